/** Notices when nobody has used a thing for a while. */
import type { Clock } from '../clock.ts';

export interface IdleWatch {
  /** Somebody begins to use it. */
  enter(): void;
  leave(): void;
  /** It is over: nobody needs to know any more. */
  stop(): void;
}

/** @param idleMs how long, asked when the last one leaves */
export function createIdleWatch(
  clock: Pick<Clock, 'wait'>,
  idleMs: () => number,
  onIdle: () => void,
): IdleWatch {
  let users = 0;
  let isOver = false;
  let waiting = new AbortController();
  return {
    enter() {
      users += 1;
      waiting.abort();
    },
    leave() {
      users -= 1;
      if (users > 0 || isOver) return;
      waiting = new AbortController();
      clock.wait(idleMs(), waiting.signal).then(onIdle, () => {});
    },
    stop() {
      isOver = true;
      waiting.abort();
    },
  };
}
