/**
 * Server-sent events (WHATWG HTML §9.2), taken apart just enough to look at the message in each: one event is held at a
 * time, and what needs no change leaves byte for byte as it came.
 */
import { Transform, type TransformCallback } from 'node:stream';
import { BrokerError } from '../errors.ts';
import { changedText } from './held-message.ts';
import type { Hold } from './hold.ts';

const LF = 10;
const CR = 13;

/** An event grew larger than may be held. */
export class EventTooLarge extends BrokerError {
  constructor() {
    super('upstream_unavailable', 'the server sent an event too large to be looked at', {
      hint: 'ask for less, with a cursor',
    });
  }
}

/** A stream of events that lets each message be changed. Fails with `EventTooLarge`. */
export class EventFilter extends Transform {
  readonly #hold: Hold;
  #held: Buffer[] = [];
  #size = 0;
  /** Whether the event that is being read leaves as it comes, because it is too large to be looked at. */
  #isPassing = false;
  /** Whether the line that is being read has no character yet. */
  #isLineEmpty = true;
  #wasCarriageReturn = false;

  constructor(hold: Hold) {
    super();
    this.#hold = hold;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#take(chunk).then(() => done(), done);
  }

  /** What is left at the end is no whole event, and no client would take it for one (§9.2.6). */
  override _flush(done: TransformCallback): void {
    done();
  }

  async #take(chunk: Buffer): Promise<void> {
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
      this.#keep(chunk.subarray(from, end));
      await this.#release();
      from = end;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
    if (this.#size > this.#hold.maxBytes) this.#giveUpHolding();
  }

  #keep(bytes: Buffer): void {
    if (this.#isPassing) {
      this.push(bytes);
      return;
    }
    this.#held.push(bytes);
    this.#size += bytes.length;
  }

  async #release(): Promise<void> {
    const event = Buffer.concat(this.#held);
    this.#held = [];
    this.#size = 0;
    if (this.#isPassing) this.#isPassing = false;
    else this.push((await this.#changed(event)) ?? event);
  }

  #giveUpHolding(): void {
    if (this.#hold.whenLarger === 'fail') throw new EventTooLarge();
    for (const bytes of this.#held) this.push(bytes);
    this.#held = [];
    this.#size = 0;
    this.#isPassing = true;
  }

  /** The event with another message in it. Undefined: it stays as it is. */
  async #changed(event: Buffer): Promise<string | undefined> {
    // One mark may stand before the first event (§9.2.5).
    const lines = event
      .toString('utf8')
      .replace(/^\uFEFF/, '')
      .split(/\r\n|\r|\n/);
    const data = lines.flatMap((line) => dataOf(line) ?? []);
    if (data.length === 0) return undefined;
    const changed = await changedText(data.join('\n'), this.#hold);
    if (changed === undefined) return undefined;
    const others = lines.filter((line) => line !== '' && dataOf(line) === undefined);
    return [...others, `data: ${changed}`, '', ''].join('\n');
  }
}

/** The value of a `data` line. Undefined: it is another line. */
function dataOf(line: string): string | undefined {
  if (line === 'data') return '';
  return line.startsWith('data:') ? line.slice('data:'.length).replace(/^ /, '') : undefined;
}
