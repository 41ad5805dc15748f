/** Takes what a program writes apart into lines, of which none may grow without end. */
export interface LineReader {
  push(chunk: Buffer): void;
  /** What is left is a line too. */
  end(): void;
}

const LF = 10;

/**
 * @param onLine told each line without its end; `isCut` when it was longer than `maxBytes`, of which it has the first
 */
export function createLineReader(
  maxBytes: number,
  onLine: (line: string, isCut: boolean) => void,
): LineReader {
  let held: Buffer[] = [];
  let size = 0;
  let isCut = false;

  function hold(bytes: Buffer): void {
    const room = maxBytes - size;
    if (bytes.length > room) isCut = true;
    const kept = bytes.subarray(0, Math.max(0, room));
    if (kept.length === 0) return;
    held.push(kept);
    size += kept.length;
  }

  function release(): void {
    const line = Buffer.concat(held).toString('utf8').replace(/\r$/, '');
    const wasCut = isCut;
    [held, size, isCut] = [[], 0, false];
    onLine(line, wasCut);
  }

  return {
    push(chunk) {
      let from = 0;
      for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, from)) {
        hold(chunk.subarray(from, at));
        release();
        from = at + 1;
      }
      if (from < chunk.length) hold(chunk.subarray(from));
    },
    end() {
      if (size > 0 || isCut) release();
    },
  };
}
