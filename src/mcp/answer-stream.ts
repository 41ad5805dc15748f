/** A stream of events on its way to an agent, which is read no faster than the agent reads. */
import { PassThrough } from 'node:stream';

export interface AnswerStream {
  body: PassThrough;
  /** Resolves with the first piece, and when none comes. */
  first: Promise<void>;
}

/**
 * Reads the body of a `Response`.
 *
 * @param onFull told when the agent does not keep up, and again when it has caught up
 */
export function streamAnswer(
  source: ReadableStream<Uint8Array>,
  onFull: (isFull: boolean) => void,
): AnswerStream {
  const body = new PassThrough();
  const reader = source.getReader();
  const { promise: first, resolve: came } = Promise.withResolvers<void>();
  // Whoever passes it on listens too; until then an agent may be gone already.
  body.on('error', () => {});
  body.once('close', () => {
    came();
    reader.cancel().catch(() => {});
  });
  pump().catch((error: unknown) => body.destroy(error as Error));

  async function pump(): Promise<void> {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      came();
      if (body.writableEnded || body.destroyed) return;
      if (!body.write(value)) await caughtUp();
    }
    body.end();
  }

  async function caughtUp(): Promise<void> {
    onFull(true);
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const event of ['drain', 'close']) body.once(event, resolve);
    await promise;
    for (const event of ['drain', 'close']) body.off(event, resolve);
    onFull(false);
  }

  return { body, first };
}
