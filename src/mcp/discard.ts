import type { Readable } from 'node:stream';

/** Gives up a body that nobody reads: its connection is closed rather than read to its end. */
export function discard(body: Readable): void {
  body.on('error', () => {});
  body.destroy();
}
