/**
 * When a token is still good, when to refresh, and how long to wait after a failure.
 *
 * Every refresh of a rotating grant is one more chance to lose it, so the rule is: as late as is safe, and
 * never twice for one reason.
 */

/** A token counts as expired this much early, so that it survives the trip to the server. */
export const EXPIRY_SKEW_MS = 10_000;

/**
 * Servers count in whole seconds: what was issued late in one may end almost a second before its lifetime is over.
 */
const WHOLE_SECOND_MS = 1_000;

/** Share of the lifetime at whose end we refresh ahead of time. */
const REFRESH_AHEAD_SHARE = 1 / 5;

/** Of a token that lives for seconds: time for a refresh ahead before its skew begins, in skews. */
const REFRESH_AHEAD_SKEWS = 1.5;

/** Backoff after failures: doubles from 5 s to 4 h. The ladder never ends. */
const FIRST_BACKOFF_MS = 5_000;
const LONGEST_BACKOFF_MS = 4 * 60 * 60_000;

/** A `Retry-After` beyond a day is a mistake of the server, not a plan. */
export const LONGEST_RETRY_AFTER_MS = 24 * 60 * 60_000;

/** Shortest time between two refreshes that callers ask for by rejecting the token they got, for tokens that live longer. */
const MIN_REFRESH_INTERVAL_MS = 30_000;

export interface TokenLife {
  receivedAt: number;
  accessExpiresAt: number | null;
}

/**
 * Whether the access token lives for `minTtlSeconds` more. `minTtlSeconds` is clamped to half the lifetime, so
 * that a caller who asks for an hour of a five-minute token does not cause a refresh per call. An unknown
 * expiry is usable until somebody reports the token as rejected.
 */
export function isUsable(life: TokenLife, now: number, minTtlSeconds = 0): boolean {
  if (life.accessExpiresAt === null) return true;
  if (isFromFuture(life, now)) return false;
  const lifetime = life.accessExpiresAt - life.receivedAt;
  const wanted = Math.min(Math.max(minTtlSeconds * 1000, skew(lifetime)), lifetime / 2);
  return life.accessExpiresAt - now > wanted;
}

/** Whether the clock was set back since the token came: nobody can tell any more when it ends. */
export function isFromFuture(life: TokenLife, now: number): boolean {
  const lifetime = (life.accessExpiresAt ?? Number.POSITIVE_INFINITY) - life.receivedAt;
  return life.receivedAt - now > skew(lifetime);
}

/** Whether the access token has not ended yet, however short its rest. */
export function isAlive(life: TokenLife, now: number): boolean {
  return life.accessExpiresAt === null || life.accessExpiresAt > now;
}

/**
 * Whether the access token may still be handed out, for want of a better one: it is alive, also by the clock of a
 * server that counts in whole seconds.
 */
export function isServable(life: TokenLife, now: number): boolean {
  if (life.accessExpiresAt === null) return true;
  const lifetime = life.accessExpiresAt - life.receivedAt;
  // Less than a second is lost: with a whole one left it has not ended yet.
  return life.accessExpiresAt - now >= Math.min(WHOLE_SECOND_MS, Math.max(lifetime / 2, 1));
}

/** How long after its arrival a token may not be replaced yet, although a caller says that it was rejected. */
export function minRefreshIntervalMs({ receivedAt, accessExpiresAt }: TokenLife): number {
  if (accessExpiresAt === null) return MIN_REFRESH_INTERVAL_MS;
  // One that lives for seconds may have ended on its way to the caller.
  return Math.min(MIN_REFRESH_INTERVAL_MS, Math.max(0, accessExpiresAt - receivedAt) / 2);
}

/**
 * Instant from which refreshing ahead makes sense: the last fifth of the lifetime, for tokens of seconds a little more.
 * Null: expiry unknown.
 */
export function refreshAfter(life: TokenLife): number | null {
  if (life.accessExpiresAt === null) return null;
  const lifetime = life.accessExpiresAt - life.receivedAt;
  const aheadMs = Math.max(lifetime * REFRESH_AHEAD_SHARE, skew(lifetime) * REFRESH_AHEAD_SKEWS);
  return Math.round(Math.max(life.accessExpiresAt - aheadMs, life.receivedAt));
}

/**
 * Skew for this lifetime: 10 s, but at most a tenth of it, so that 60-second tokens keep most of their life; at least
 * the second by which a server may round.
 */
function skew(lifetimeMs: number): number {
  return Math.min(EXPIRY_SKEW_MS, Math.max(lifetimeMs / 10, WHOLE_SECOND_MS));
}

/**
 * Milliseconds until the next attempt after `failures` failures in a row (1 or more).
 *
 * @param jitter from 0 to 1; adds up to a quarter, so that many connections do not retry in step
 * @param retryAfterSeconds what the server asked for; it wins when longer, bounded to a day
 */
export function backoffMs(failures: number, jitter: number, retryAfterSeconds?: number): number {
  const doubled = FIRST_BACKOFF_MS * 2 ** Math.min(failures - 1, 30);
  const ours = Math.min(doubled, LONGEST_BACKOFF_MS) * (1 + jitter / 4);
  const asked = Math.min((retryAfterSeconds ?? 0) * 1000, LONGEST_RETRY_AFTER_MS);
  return Math.round(Math.max(ours, asked));
}
