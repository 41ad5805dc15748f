import type { Clock } from '../../src/clock.ts';

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /**
   * Moves time forward by `ms`. Waits that fall due end in order of their time, each with `now()` at exactly that
   * time, and what they set off may begin further waits that end within the same step. Network and disk are not
   * waited for.
   */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock without ending a wait, like a person or NTP does. Waits keep their remaining time. */
  jump(ms: number): void;
  /** Number of waits not over yet. */
  waiting(): number;
  /** Resolves once at least `count` (default 1) waits are pending, so that a test need not guess when code waits. */
  untilWaiting(count?: number): Promise<void>;
}

interface Wait {
  /** On the clock's own time line, which `jump` does not touch. */
  dueAt: number;
  end(): void;
}

/** 2026-01-01T00:00:00Z: any date will do, as long as it looks like one. */
const DEFAULT_START = 1_767_225_600_000;

/** Creates a clock that stands at `startAt`, epoch milliseconds. */
export function createManualClock(startAt = DEFAULT_START): ManualClock {
  const waits = new Set<Wait>();
  const watchers = new Set<() => void>();
  let elapsed = 0;
  let offset = startAt;

  function nextDue(until: number): Wait | undefined {
    let next: Wait | undefined;
    // A Set keeps the order of insertion, so of two waits due at the same time the older one ends first.
    for (const wait of waits) {
      if (wait.dueAt <= until && (next === undefined || wait.dueAt < next.dueAt)) next = wait;
    }
    return next;
  }

  return {
    // Whole milliseconds, as of every clock.
    now: () => Math.floor(offset + elapsed),
    wait(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        const abort = () => {
          waits.delete(wait);
          reject(signal?.reason);
        };
        const wait: Wait = {
          dueAt: elapsed + Math.max(0, ms),
          end() {
            waits.delete(wait);
            signal?.removeEventListener('abort', abort);
            resolve();
          },
        };
        signal?.addEventListener('abort', abort, { once: true });
        waits.add(wait);
        for (const watcher of watchers) watcher();
      });
    },
    async advance(ms) {
      const until = elapsed + ms;
      await settle();
      for (let due = nextDue(until); due; due = nextDue(until)) {
        elapsed = due.dueAt;
        due.end();
        await settle();
      }
      elapsed = until;
    },
    jump(ms) {
      offset += ms;
    },
    waiting: () => waits.size,
    untilWaiting(count = 1) {
      return new Promise((resolve) => {
        const watcher = () => {
          if (waits.size < count) return;
          watchers.delete(watcher);
          resolve();
        };
        watchers.add(watcher);
        watcher();
      });
    },
  };
}

/** Lets everything run that can run without the outside world. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
