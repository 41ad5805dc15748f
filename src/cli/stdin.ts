/** Lines a person pastes while a command waits for something else. */
import { createInterface } from 'node:readline';

export interface PastedLines {
  lines: AsyncIterable<string>;
  /** Lets go of stdin, so that the process can end. */
  close(): void;
}

/**
 * Reads stdin when somebody may type there: it is a terminal, or `wanted` says so. Undefined otherwise, because
 * a service's stdin is not ours to read.
 */
export function pastedLines(wanted: boolean): PastedLines | undefined {
  if (!wanted && !process.stdin.isTTY) return undefined;
  // A stdin that breaks is one that has ended: the login can still come by the browser.
  process.stdin.on('error', () => {});
  const reader = createInterface({ input: process.stdin });
  // From now on: what is piped in arrives, and ends, before anybody asks for it.
  const iterator = reader[Symbol.asyncIterator]();
  return {
    lines: { [Symbol.asyncIterator]: () => iterator },
    close() {
      reader.close();
      process.stdin.destroy();
    },
  };
}
