/** Compares what a document shows behind a command with what the command printed. */

/**
 * Whether `output` has the documented lines, in order and without others between them. `…` stands for anything within
 * a line, a line with nothing but `…` for any lines; numbers, and how far apart words are, do not count.
 */
export function hasShape(output: string, documented: string[]): boolean {
  const lines = documented.map((line) => (line.trim() === '…' ? '(?:.*\\n)*?' : `${lineShape(line)}\\n`));
  return new RegExp(`^(?:\\s*\\n)*${lines.join('')}\\s*$`).test(`${output.trimEnd()}\n`);
}

function lineShape(line: string): string {
  return line
    .trim()
    .split(/(…|\d+|\s+)/)
    .map((part) => {
      if (part === '…') return '.*';
      if (/^\d+$/.test(part)) return '\\d+';
      if (/^\s+$/.test(part)) return '\\s+';
      return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    })
    .join('')
    .replace(/^/, '\\s*')
    .replace(/$/, '\\s*');
}
