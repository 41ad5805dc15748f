/**
 * Streams that never end by themselves must not outlive what allowed them: an agent that is cut off, or a new rule,
 * counts for what is open too, a few seconds later. A client opens another, and that is judged anew.
 */
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Clock } from '../clock.ts';
import { GatewayRefusal } from './refusal.ts';

/** Watches for one stream; what it returns ends that. */
export type WatchRights = (access: UpstreamAccess, end: (reason: Error) => void) => () => void;

const LOOK_EVERY_MS = 5_000;

interface Watched {
  access: UpstreamAccess;
  end: (reason: Error) => void;
}

/** One look at a time for all streams. */
export function createRightsWatch(clock: Pick<Clock, 'wait'>): WatchRights {
  const streams = new Set<Watched>();
  let looking: AbortController | undefined;

  async function look(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await clock.wait(LOOK_EVERY_MS, signal).catch(() => {});
      if (!signal.aborted) await Promise.all([...streams].map(check));
    }
  }

  return (access, end) => {
    const watched = { access, end };
    streams.add(watched);
    if (!looking) {
      looking = new AbortController();
      void look(looking.signal);
    }
    return () => {
      streams.delete(watched);
      if (streams.size > 0) return;
      looking?.abort();
      looking = undefined;
    };
  };
}

/** A vault that cannot be read says nothing about rights; the next look will. */
async function check({ access, end }: Watched): Promise<void> {
  const isStillSo = await access.isStillSo().catch(() => true);
  if (!isStillSo) end(new GatewayRefusal(403, 'forbidden', 'what the agent may do has changed'));
}
