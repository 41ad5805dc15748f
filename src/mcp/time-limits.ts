/** Gives calls up that take too long, or of which nothing comes any more. */
import type { Clock } from '../clock.ts';

export interface TimeLimits {
  /** Aborted when the time is over, or when the caller gives up. */
  signal: AbortSignal;
  /** Something came. */
  progress(): void;
  /** From now on it may last as long as it likes. */
  setEndless(): void;
  /** Gives the call up. */
  cancel(reason: Error): void;
  /** The call is over. */
  stop(): void;
}

/** How long a call may take. `Infinity` is no limit. */
export interface Times {
  idleMs: number;
  totalMs: number;
}

/** Nothing came in time. */
export class CallTimeout extends Error {}

/** The agent hung up: there is nobody to answer. */
export class ClientGone extends Error {}

/** The daemon stops, and does not wait for what would never end. */
export class Stopping extends Error {}

/** The agent wants no answer to this call any more. */
export class CallCancelled extends Error {}

/** Starts to count for one call. */
export type StartTimeLimits = (times: Times) => TimeLimits;

const TICK_MS = 1_000;

const NEVER: Times = { idleMs: Number.POSITIVE_INFINITY, totalMs: Number.POSITIVE_INFINITY };

interface Counted {
  /** Milliseconds left, by whole ticks. */
  idle: number;
  total: number;
  times: Times;
  cancel(reason: Error): void;
}

/** One clock for all calls, which ticks while there are any: a timer for each would cost more than most calls. */
export function createTimeLimits(clock: Pick<Clock, 'wait'>): StartTimeLimits {
  const calls = new Set<Counted>();
  let isTicking = false;

  async function tick(): Promise<void> {
    isTicking = true;
    while (calls.size > 0) {
      await clock.wait(TICK_MS);
      for (const call of calls) count(call);
    }
    isTicking = false;
  }

  return (times) => {
    const calling = new AbortController();
    const cancel = (reason: Error) => calling.abort(reason);
    const call: Counted = { idle: times.idleMs, total: times.totalMs, times, cancel };
    calls.add(call);
    if (!isTicking) void tick();
    return {
      signal: calling.signal,
      progress() {
        call.idle = call.times.idleMs;
      },
      setEndless() {
        call.times = NEVER;
        call.idle = NEVER.idleMs;
        call.total = NEVER.totalMs;
      },
      cancel,
      stop: () => void calls.delete(call),
    };
  };
}

function count(call: Counted): void {
  call.idle -= TICK_MS;
  call.total -= TICK_MS;
  const { idleMs, totalMs } = call.times;
  if (call.total <= 0) call.cancel(new CallTimeout(`it took longer than ${totalMs / 1000} s`));
  else if (call.idle <= 0) call.cancel(new CallTimeout(`nothing came for ${idleMs / 1000} s`));
}
