/** When a notice that could not be delivered is tried again. */
import type { AttemptEnd } from '../vault/notices.ts';
import type { Sent } from './notify-message.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** After a failed attempt: three quick ones, then ever more rarely. Who asks for more time gets it, up to the longest. */
const QUICK_PAUSES_MS = [1_000, 5_000, 25_000];
const SLOW_PAUSES_MS = [2 * MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS, 12 * HOUR_MS];
const LONGEST_PAUSE_MS = 24 * HOUR_MS;

/** No pause is longer than a day: one that is was planned before the clock was set back. */
export function isDue(dueAt: number, now: number): boolean {
  return dueAt <= now || dueAt - now > LONGEST_PAUSE_MS;
}

/** What follows from an attempt, the `attempts`th. */
export function endOf(sent: Sent, attempts: number, now: number): AttemptEnd {
  if (sent.isDelivered) return { outcome: 'delivered', failure: null, at: now };
  const { failure, isRefused, retryAfterSeconds = 0 } = sent;
  if (isRefused) return { outcome: 'refused', failure, at: now };
  const pauseMs = [...QUICK_PAUSES_MS, ...SLOW_PAUSES_MS][attempts - 1] ?? LONGEST_PAUSE_MS;
  const nextAttemptAt = now + Math.min(Math.max(pauseMs, retryAfterSeconds * 1000), LONGEST_PAUSE_MS);
  return { nextAttemptAt, failure };
}

/** Whether the next attempt is one of the quick ones, which are worth waiting for. */
export function isSoon(dueAt: number, now: number): boolean {
  return dueAt - now <= Math.max(...QUICK_PAUSES_MS);
}
