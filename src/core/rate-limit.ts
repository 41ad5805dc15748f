/**
 * How often an agent may ask: a bucket that holds as many requests as the limit names and fills up evenly, so that a
 * burst of that many passes, and after it one at a time.
 *
 * Pure: a bucket is a value, and whoever keeps it says what time it is. Counted in whole numbers, because fractions
 * of a request would add up to one too few.
 */
import { BrokerError, quote } from '../errors.ts';

/** Requests per second, minute or hour. */
export interface RateLimit {
  /** From 1 to 1000000; also the size of a burst. */
  requests: number;
  per: 's' | 'm' | 'h';
}

/** Keys an address may have refused: as many as a person with a wrong one tries, and too few to guess one. */
export const DEFAULT_AUTH_FAILURES: RateLimit = { requests: 10, per: 'm' };

/** What is left of a limit. */
export interface Bucket {
  limit: RateLimit;
  /** Requests left, each counted as the milliseconds of the unit. */
  level: number;
  /** When that was so, epoch ms. */
  at: number;
}

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000 };

/** More than the daemon can answer, and small enough for the bucket to count exactly. */
const MOST_REQUESTS = 1_000_000;

/** `600/m`, `5/s`, `1000/h`. Throws `usage`. */
export function parseRate(text: string): RateLimit {
  const match = /^(\d{1,9})\/([smh])$/.exec(text);
  const requests = Number(match?.[1]);
  if (match && requests >= 1 && requests <= MOST_REQUESTS) {
    return { requests, per: match[2] as RateLimit['per'] };
  }
  if (match && requests === 0) {
    throw new BrokerError('usage', 'a rate of 0 would refuse every request', {
      hint: 'to cut an agent off: broker agent revoke <name>',
    });
  }
  throw new BrokerError('usage', `${quote(text)} is not a rate`, {
    hint: `write requests per second, minute or hour, such as 600/m; at most ${MOST_REQUESTS} of them`,
  });
}

/** `600/m`. */
export function formatRate({ requests, per }: RateLimit): string {
  return `${requests}/${per}`;
}

/**
 * Takes one request out of the bucket. What is refused takes nothing.
 *
 * @param before undefined: nothing was asked yet. A bucket of another limit counts for nothing.
 * @returns the bucket to keep, and in how many milliseconds there is room again; 0: the request may pass
 */
export function takeRequest(
  before: Bucket | undefined,
  limit: RateLimit,
  now: number,
): { bucket: Bucket; waitMs: number } {
  const cost = UNIT_MS[limit.per];
  const level = levelOf(before, limit, now);
  if (level >= cost) return { bucket: { limit, level: level - cost, at: now }, waitMs: 0 };
  return { bucket: { limit, level, at: now }, waitMs: Math.ceil((cost - level) / limit.requests) };
}

function levelOf(before: Bucket | undefined, limit: RateLimit, now: number): number {
  const full = limit.requests * UNIT_MS[limit.per];
  if (!before || formatRate(before.limit) !== formatRate(limit)) return full;
  // A clock that was set back gives nothing, and takes nothing away.
  const filled = Math.max(0, now - before.at) * limit.requests;
  return Math.min(full, before.level + filled);
}
