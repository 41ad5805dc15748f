/**
 * Server-sent events (WHATWG HTML §9.2), taken apart just enough to look at the message in each: one event is held at a
 * time, and what needs no change leaves byte for byte as it came.
 */
import { Transform, type TransformCallback } from 'node:stream';

/** What becomes of a message: itself, or another in its place. Undefined in, undefined out: it was no JSON. */
export type OnMessage = (message: unknown) => unknown;

const LF = 10;
const CR = 13;

/** An event grew larger than may be held. */
export class EventTooLarge extends Error {}

/** A stream of events that lets each message be changed. Fails with `EventTooLarge`. */
export class EventFilter extends Transform {
  readonly #onMessage: OnMessage;
  readonly #maxBytes: number;
  #held: Buffer[] = [];
  #size = 0;
  /** Whether the line that is being read has no character yet. */
  #isLineEmpty = true;
  #wasCarriageReturn = false;

  constructor(onMessage: OnMessage, maxBytes: number) {
    super();
    this.#onMessage = onMessage;
    this.#maxBytes = maxBytes;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let from = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      // CR, LF and CRLF each end a line.
      const isSecondHalf = byte === LF && this.#wasCarriageReturn;
      this.#wasCarriageReturn = byte === CR;
      if (isSecondHalf) {
        // The event it ends is gone already.
        if (this.#size === 0 && from === at) this.push(chunk.subarray(from, ++from));
        continue;
      }
      if (byte !== LF && byte !== CR) {
        this.#isLineEmpty = false;
        continue;
      }
      const isEventOver = this.#isLineEmpty;
      this.#isLineEmpty = true;
      if (!isEventOver) continue;
      const end = byte === CR && chunk[at + 1] === LF ? at + 2 : at + 1;
      this.#hold(chunk.subarray(from, end));
      this.#release();
      from = end;
    }
    if (from < chunk.length) this.#hold(chunk.subarray(from));
    done(this.#size > this.#maxBytes ? new EventTooLarge('an event is larger than may be held') : null);
  }

  /** What is left at the end is no whole event, and no client would take it for one (§9.2.6). */
  override _flush(done: TransformCallback): void {
    done();
  }

  #hold(bytes: Buffer): void {
    this.#held.push(bytes);
    this.#size += bytes.length;
  }

  #release(): void {
    const event = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held);
    this.#held = [];
    this.#size = 0;
    this.push(this.#changed(event) ?? event);
  }

  /** The event with another message in it. Undefined: it stays as it is. */
  #changed(event: Buffer): string | undefined {
    const lines = event.toString('utf8').split(/\r\n|\r|\n/);
    const data = lines.flatMap((line) => dataOf(line) ?? []);
    if (data.length === 0) return undefined;
    let message: unknown;
    try {
      message = JSON.parse(data.join('\n'));
    } catch {
      return undefined;
    }
    const changed = this.#onMessage(message);
    if (changed === message) return undefined;
    const others = lines.filter((line) => line !== '' && dataOf(line) === undefined);
    return [...others, `data: ${JSON.stringify(changed)}`, '', ''].join('\n');
  }
}

/** The value of a `data` line. Undefined: it is another line. */
function dataOf(line: string): string | undefined {
  if (line === 'data') return '';
  return line.startsWith('data:') ? line.slice('data:'.length).replace(/^ /, '') : undefined;
}
