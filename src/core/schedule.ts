/**
 * When a connection should be refreshed without anybody asking.
 *
 * Rotation is a risk each time, so a refresh ahead is for connections in use only; idle ones are kept alive just
 * often enough that the server does not forget them.
 */
import { type Connection, isRenewable } from './connection.ts';
import { EXPIRY_SKEW_MS, isFromFuture, LONGEST_RETRY_AFTER_MS, refreshAfter } from './refresh-policy.ts';

/** Idle grants lapse after 7 to 30 days at servers seen; where the limit is unknown, this often is safe. */
export const KEEP_ALIVE_MS = 7 * 24 * 60 * 60_000;

/** A connection counts as in use this long after a token was last handed out, or for two lifetimes if longer. */
const IN_USE_MS = 10 * 60_000;

/** Share of the lifetime over which refreshes ahead are spread, so that many do not come at one moment. */
const JITTER_SHARE = 1 / 20;

/** What the scheduler must know of a connection besides itself. */
export interface Circumstances {
  /** Whether its refresh token was presented and the answer never came. */
  isUnanswered: boolean;
  /** From 0 to 1, the same for a connection each time. */
  jitter: number;
}

/** The instant of the next refresh nobody asked for, epoch ms; in the past when it is due. Null: none. */
export function dueAt(
  connection: Connection,
  { isUnanswered, jitter }: Circumstances,
  now: number,
): number | null {
  // What is made from an identity is asked for when somebody needs it.
  if (!isRenewable(connection) || connection.kind === 'identity') return null;
  switch (connection.state) {
    case 'login_required':
    case 'client_invalid':
    case 'disabled':
      return null;
    case 'degraded':
    case 'uncertain':
    case 'config_error':
      return attemptAt(connection, now);
    case 'ok':
      return isUnanswered ? now : dueWhenHealthy(connection, jitter, now);
  }
}

/**
 * The planned attempt of a connection that fails. One that was planned before the clock was set back is due: it may
 * lie years ahead. Null: none is planned.
 */
export function attemptAt({ nextAttemptAt, since }: Connection, now: number): number | null {
  if (nextAttemptAt === null) return null;
  const isOutdated = since - now > EXPIRY_SKEW_MS || nextAttemptAt - now > LONGEST_RETRY_AFTER_MS;
  return isOutdated ? Math.min(nextAttemptAt, now) : nextAttemptAt;
}

/**
 * The instant at which a refresh ahead would be due if the connection is in use by then: when it is worth looking
 * again. Null: expiry unknown.
 */
export function aheadAt(connection: Connection, jitter: number): number | null {
  const { accessExpiresAt, receivedAt } = connection;
  const ahead = refreshAfter(connection);
  return ahead === null || accessExpiresAt === null
    ? null
    : ahead + (accessExpiresAt - receivedAt) * JITTER_SHARE * jitter;
}

function dueWhenHealthy(connection: Connection, jitter: number, now: number): number {
  const { accessExpiresAt, receivedAt, lastUsedAt } = connection;
  if (isFromFuture(connection, now)) return now;
  // What a machine can ask for at any time need not be kept alive.
  const keepAlive = connection.isMinted ? Number.POSITIVE_INFINITY : receivedAt + KEEP_ALIVE_MS;
  const ahead = aheadAt(connection, jitter);
  if (ahead === null || accessExpiresAt === null) return keepAlive;
  const inUseMs = Math.max(IN_USE_MS, 2 * (accessExpiresAt - receivedAt));
  const isInUse = lastUsedAt !== null && Math.abs(now - lastUsedAt) < inUseMs;
  return isInUse ? Math.min(keepAlive, ahead) : keepAlive;
}
