import type { Readable } from 'node:stream';
import { finished } from 'node:stream';

/**
 * Reads a stream whole, up to so many bytes. Rejects with what `tooLarge` makes when there are more, and with the
 * stream's error when it breaks off.
 */
export function readWhole(stream: Readable, maxBytes: number, tooLarge: () => Error): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;

  function take(chunk: Buffer): void {
    size += chunk.length;
    chunks.push(chunk);
    if (size <= maxBytes) return;
    stream.off('data', take);
    stream.pause();
    reject(tooLarge());
  }

  stream.on('data', take);
  finished(stream, { writable: false }, (error) => {
    if (error) reject(error);
    else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
  });
  return promise;
}
