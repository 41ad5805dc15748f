/** What a program writes to stderr, in our log: without its secrets, and never more than somebody would read. */
import type { Clock } from '../clock.ts';
import { printable } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Secret } from '../secret.ts';
import { createLineReader, type LineReader } from './lines.ts';

const MOST_READ_BYTES = 16 * 1024;
const MOST_SHOWN = 1000;

/** Lines of one process in one window. */
const MOST_LINES = 50;
const WINDOW_MS = 10_000;

/** Shorter ones would be found in any text. */
const MIN_SECRET = 4;

export function createProgramLog(
  { clock, log }: { clock: Pick<Clock, 'now'>; log: Log },
  { connection, secrets }: { connection: string; secrets: readonly Secret[] },
): LineReader {
  const hide = createRedaction(secrets);
  let windowAt = clock.now();
  let lines = 0;
  let dropped = 0;

  function turn(): void {
    windowAt = clock.now();
    lines = 0;
    if (dropped > 0) log.warn({ connection, dropped }, 'the program wrote more than the log takes');
    dropped = 0;
  }

  const reader = createLineReader(MOST_READ_BYTES, (line, isCut) => {
    if (Math.abs(clock.now() - windowAt) >= WINDOW_MS) turn();
    lines += 1;
    if (lines > MOST_LINES) dropped += 1;
    else log.warn({ connection, stderr: printable(hide(line, isCut), MOST_SHOWN) }, 'the program says');
  });
  return {
    push: reader.push,
    end() {
      reader.end();
      turn();
    },
  };
}

/** Puts fingerprints in the place of secrets, also where they are written as in JSON, a URL or Base64. */
function createRedaction(secrets: readonly Secret[]): (line: string, isCut: boolean) => string {
  const shapes = secrets
    .filter((secret) => secret.reveal().length >= MIN_SECRET)
    .flatMap((secret) => shapesOf(secret.reveal()).map((shape) => [shape, String(secret)] as const))
    .sort(([one], [other]) => other.length - one.length);
  const longest = shapes[0]?.[0].length ?? 0;
  return (line, isCut) => {
    // Where a line was cut, the beginning of a secret may stand that nobody would recognise.
    const whole = isCut ? line.slice(0, Math.max(0, line.length - longest)) : line;
    return shapes.reduce((text, [shape, shown]) => text.replaceAll(shape, () => shown), whole);
  };
}

function shapesOf(value: string): string[] {
  const bytes = Buffer.from(value);
  const base64 = bytes.toString('base64').replace(/=+$/, '');
  return [
    ...new Set([
      value,
      JSON.stringify(value).slice(1, -1),
      encodeURIComponent(value),
      base64,
      bytes.toString('base64url'),
      bytes.toString('hex'),
    ]),
  ];
}
