import type { Readable } from 'node:stream';

/**
 * Reads a stream to its end, or until it has given more than so many bytes; then it is paused, and `isWhole` is false.
 * Rejects with the stream's error when it breaks off.
 */
export function readUpTo(stream: Readable, maxBytes: number): Promise<{ bytes: Buffer; isWhole: boolean }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ bytes: Buffer; isWhole: boolean }>();
  const chunks: Buffer[] = [];
  let size = 0;
  const joined = () => (chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
  stream.on('data', function take(chunk: Buffer) {
    chunks.push(chunk);
    size += chunk.length;
    if (size <= maxBytes) return;
    stream.off('data', take);
    stream.pause();
    resolve({ bytes: joined(), isWhole: false });
  });
  whenOver(stream, (error) => (error ? reject(error) : resolve({ bytes: joined(), isWhole: true })));
  return promise;
}

/**
 * Tells when a stream that flows is at its end, or has broken off, also before anybody listened. `stream.finished` does
 * the same at ten times the cost.
 */
export function whenOver(stream: Readable, callback: (error?: Error) => void): void {
  if (stream.closed) {
    // Its events may still be on their way.
    stream.on('error', () => {});
    callback(stream.readableEnded ? undefined : (stream.errored ?? brokenOff()));
    return;
  }
  stream.once('end', () => callback());
  stream.once('error', callback);
  stream.once('close', () => {
    if (!stream.readableEnded) callback(brokenOff());
  });
}

function brokenOff(): Error {
  return Object.assign(new Error('the stream broke off'), { code: 'ERR_STREAM_PREMATURE_CLOSE' });
}
