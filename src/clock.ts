import { setTimeout as delay } from 'node:timers/promises';

/** Time as a value, so that tests advance it instead of sleeping. */
export interface Clock {
  /** Wall-clock time, epoch milliseconds. */
  now(): number;
  /**
   * Resolves after `ms` milliseconds. Rejects with `signal.reason` when aborted. A pending wait keeps the process
   * alive, because somebody needs what comes after it: whoever does not any more aborts it.
   */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  async wait(ms, signal) {
    try {
      await delay(ms, undefined, signal && { signal });
    } catch (error) {
      throw signal?.reason ?? error;
    }
  },
};
