/** The command lines of README.md and docs/, as a reader would copy them. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** One command that a document shows. */
export interface CommandLine {
  /** The document, relative to the checkout, such as `docs/login.md`. */
  page: string;
  /** Without `$ `, its continued lines joined. */
  command: string;
  /**
   * `block`: a line of its own to be copied, also `indented`; `inline`: named in a sentence or a table; `file`: what a
   * crontab or a unit runs.
   */
  place: 'block' | 'indented' | 'inline' | 'file';
  /** What the document shows behind it, possibly nothing. Undefined: not of a console block. */
  output?: string[];
}

const CHECKOUT = fileURLToPath(new URL('../../../', import.meta.url));

/** Every document that people read, relative to the checkout. */
export function pages(): string[] {
  const docs = readdirSync(`${CHECKOUT}docs`).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.sort().map((name) => `docs/${name}`)];
}

/** The text of a file of the checkout. */
export function readPage(page: string): string {
  return readFileSync(`${CHECKOUT}${page}`, 'utf8');
}

/** Every command line of a page, in order. */
export function commandLines(page: string, text = readPage(page)): CommandLine[] {
  const found: CommandLine[] = [];
  // A fenced block, an indented command, or inline code: whichever comes first.
  const pieces =
    /^```(\w*)\n(.*?)^```$|^ {4}(broker .+)$|(?<!`)`((?:(?:npx |sudo -u \S+ )?broker|npm run) [^`]+)`(?!`)/gms;
  for (const [, language, block, indented, inline] of text.matchAll(pieces)) {
    if (block !== undefined) found.push(...blockLines(page, language ?? '', block));
    else if (indented !== undefined)
      found.push({ page, command: indented.split('\n')[0] ?? '', place: 'indented' });
    else if (inline !== undefined)
      found.push({ page, command: inline.replaceAll('\\|', '|'), place: 'inline' });
  }
  return found;
}

function blockLines(page: string, language: string, block: string): CommandLine[] {
  const text = block.replace(/\\\n\s*/g, '');
  if (language === 'sh') return shellCommands(text).map((command) => entry(page, command));
  if (language !== 'console') return fileLines(page, text);
  return text.split(/^\$ /m).flatMap((part) => {
    const [command = '', ...output] = part.trimEnd().split('\n');
    return command === '' ? [] : [entry(page, command, output)];
  });
}

/** Lines of a crontab, and what a unit of systemd starts. */
function fileLines(page: string, text: string): CommandLine[] {
  const lines = text.matchAll(/^(?:(?:[\d*/,-]+\s+){5}|@\w+\s+|Exec\w+=-?)(.*\bbroker\b.*)$/gm);
  return [...lines].map(([, command = '']) => ({ ...entry(page, command), place: 'file' }));
}

function entry(page: string, command: string, output?: string[]): CommandLine {
  return { page, command, place: 'block', ...(output === undefined ? {} : { output }) };
}

/** Lines of a script; what belongs together (a text up to its end mark, a loop) stays together. */
function shellCommands(text: string): string[] {
  const commands: string[] = [];
  let open = '';
  for (const line of text.split('\n')) {
    if (open === '' && /^\s*(#.*)?$/.test(line)) continue;
    open += open === '' ? line : `\n${line}`;
    if (isWhole(open)) {
      commands.push(open);
      open = '';
    }
  }
  return open === '' ? commands : [...commands, open];
}

function isWhole(text: string): boolean {
  const [, mark] = /<<-?\s*'?(\w+)'?/.exec(text) ?? [];
  if (mark !== undefined) return new RegExp(`\n\\s*${mark}$`).test(text);
  const begun = text.match(/^\s*(if|for|while|until|case)\b/gm)?.length ?? 0;
  const ended = text.match(/(?:^|[;\s])(fi|done|esac)\b/g)?.length ?? 0;
  return begun <= ended;
}
