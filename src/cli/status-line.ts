/**
 * The line that says that a command is still at work: after a second, on a terminal, until the command says
 * something itself. Whoever reads the output with a program never sees it.
 */
import { systemClock } from '../clock.ts';

/** A terminal to write to, or what is none. */
export interface StatusStream {
  isTTY?: boolean;
  write(text: string): unknown;
}

const PATIENCE_MS = 1000;
const START_OF_LINE = '\r\u001b[2K';

let running: { ending: AbortController; progress: string; erase(): void } | undefined;

/** Begins to wait for the end of `doing`, such as `broker check`. Does nothing where nobody looks. */
export function startStatus(
  doing: string,
  { clock = systemClock, stream = process.stderr as StatusStream } = {},
): void {
  endStatus();
  if (!stream.isTTY) return;
  const ending = new AbortController();
  let isShown = false;
  const status = { ending, progress: '', erase: () => isShown && stream.write(START_OF_LINE) };
  running = status;
  void (async () => {
    for (let seconds = 1; ; seconds += 1) {
      await clock.wait(PATIENCE_MS, ending.signal);
      isShown = true;
      stream.write(`${START_OF_LINE}${doing}: still at it, ${seconds} s${status.progress}`);
    }
  })().catch(() => {});
}

/** Says how far it has come: so many `things` of so many. */
export function showProgress(done: number, total: number | undefined, things: string): void {
  if (!running) return;
  const share = total ? ` of ${total}` : '';
  running.progress = `, ${done}${share} ${things}`;
}

/** Takes the line away. */
export function endStatus(): void {
  const { ending, erase } = running ?? {};
  running = undefined;
  ending?.abort();
  erase?.();
}
