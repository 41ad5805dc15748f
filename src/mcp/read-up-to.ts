import { finished, type Readable } from 'node:stream';

/**
 * Reads a stream to its end, or until it has given more than so many bytes; then it is paused, and `isWhole` is false.
 * Rejects with the stream's error when it breaks off.
 */
export function readUpTo(stream: Readable, maxBytes: number): Promise<{ bytes: Buffer; isWhole: boolean }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ bytes: Buffer; isWhole: boolean }>();
  const chunks: Buffer[] = [];
  let size = 0;
  const joined = () => (chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
  const stopListening = finished(stream, { writable: false }, (error) => {
    if (error) reject(error);
    else resolve({ bytes: joined(), isWhole: true });
  });
  stream.on('data', function take(chunk: Buffer) {
    chunks.push(chunk);
    size += chunk.length;
    if (size <= maxBytes) return;
    stream.off('data', take);
    stream.pause();
    stopListening();
    resolve({ bytes: joined(), isWhole: false });
  });
  return promise;
}
