/** Streams that would never end by themselves, so that they end when the daemon stops. */
import type { Call } from './call.ts';
import { Stopping, type TimeLimits } from './time-limits.ts';

export interface EndlessStreams {
  /** Counts one in; what it returns counts it out. Throws `Stopping` when the daemon does. */
  enter(time: Pick<TimeLimits, 'cancel'>): () => void;
  /** Ends those that are open, and lets no other begin. */
  stop(): void;
}

export function createEndlessStreams(): EndlessStreams {
  const open = new Set<Pick<TimeLimits, 'cancel'>>();
  let isStopping = false;
  return {
    enter(time) {
      if (isStopping) throw new Stopping();
      open.add(time);
      return () => void open.delete(time);
    },
    stop() {
      isStopping = true;
      for (const time of open) time.cancel(new Stopping());
    },
  };
}

/** Whether the answer brings whatever comes, for as long as somebody listens. */
export function isEndless({ verb, messages }: Pick<Call, 'verb' | 'messages'>): boolean {
  const isListening = messages.some(
    (each) => each.kind === 'request' && each.method === 'subscriptions/listen',
  );
  return verb === 'GET' || isListening;
}
