/** Gives a call up when it takes too long, or when nothing comes of it any more. */
import type { Clock } from '../clock.ts';

export interface TimeLimits {
  /** Aborted when the time is over, or when the caller gives up. */
  signal: AbortSignal;
  /** Something came. */
  progress(): void;
  /** Gives the call up. */
  cancel(reason: Error): void;
  /** The call is over. */
  stop(): void;
}

/** Nothing came in time. */
export class CallTimeout extends Error {}

/** The agent hung up: there is nobody to answer. */
export class ClientGone extends Error {}

/** Starts to count. An infinite limit is none. */
export function startTimeLimits(
  clock: Pick<Clock, 'wait'>,
  { idleMs, totalMs }: { idleMs: number; totalMs: number },
): TimeLimits {
  const calling = new AbortController();
  const counting = new AbortController();
  let hasProgressed = false;

  const cancel = (reason: Error) => calling.abort(reason);

  async function countTotal(): Promise<void> {
    await clock.wait(totalMs, counting.signal);
    cancel(new CallTimeout(`it took longer than ${totalMs / 1000} s`));
  }

  /** Looks once for each period, so a piece costs no timer: the call is given up after one to two of them. */
  async function countIdle(): Promise<void> {
    do {
      hasProgressed = false;
      await clock.wait(idleMs, counting.signal);
    } while (hasProgressed);
    cancel(new CallTimeout(`nothing came for ${idleMs / 1000} s`));
  }

  for (const [count, ms] of [
    [countTotal, totalMs],
    [countIdle, idleMs],
  ] as const) {
    if (ms !== Number.POSITIVE_INFINITY) count().catch(() => {});
  }
  return {
    signal: calling.signal,
    progress() {
      hasProgressed = true;
    },
    cancel,
    stop: () => counting.abort(),
  };
}
