/**
 * When a connection should be refreshed without anybody asking.
 *
 * Rotation is a risk each time, so a refresh ahead is for connections in use only; idle ones are kept alive just
 * often enough that the server does not forget them.
 */
import { type Connection, isRenewable } from './connection.ts';
import { EXPIRY_SKEW_MS, isFromFuture, LONGEST_RETRY_AFTER_MS, refreshAfter } from './refresh-policy.ts';

/** Share of a known idle limit, or of a known life, after which an idle refresh token is used once. */
const KEEP_ALIVE_SHARE = 1 / 2;

/** An end that no refresh puts off comes nearer with each: no reason to ask more and more often. */
const SHORTEST_KEEP_ALIVE_MS = 60_000;

/** Share of the idle limit after which the keep-alive that should have come has not. */
const OVERDUE_SHARE = 3 / 4;

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
  /** How long its server keeps a refresh token nobody uses. Null: unknown. */
  idleLimitMs: number | null;
}

/** The instant of the next refresh nobody asked for, epoch ms; in the past when it is due. Null: none. */
export function dueAt(
  connection: Connection,
  { isUnanswered, jitter, idleLimitMs }: Circumstances,
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
      return isUnanswered ? now : dueWhenHealthy(connection, jitter, idleLimitMs, now);
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

/** The same for somebody who has no valid token, who may be let try before. Null: no attempt is planned. */
export function askableAt(connection: Connection, now: number): number | null {
  const planned = attemptAt(connection, now);
  return planned === null ? null : Math.min(planned, connection.askAgainAt ?? planned);
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

/** The instant from which an unused refresh token has not been kept alive as it should, epoch ms. */
export function keepAliveOverdueAt(
  { receivedAt }: Pick<Connection, 'receivedAt'>,
  idleLimitMs: number,
): number {
  return receivedAt + idleLimitMs * OVERDUE_SHARE;
}

/** Early enough for what is known of the server: how long it keeps an unused token, and when this one ends. */
function keepAliveAt({ receivedAt, refreshExpiresAt }: Connection, idleLimitMs: number | null): number {
  const idleMs = idleLimitMs === null ? KEEP_ALIVE_MS : idleLimitMs * KEEP_ALIVE_SHARE;
  // One that worked after its end has another.
  if (refreshExpiresAt === null || refreshExpiresAt <= receivedAt) return receivedAt + idleMs;
  const halfLifeMs = Math.max((refreshExpiresAt - receivedAt) * KEEP_ALIVE_SHARE, SHORTEST_KEEP_ALIVE_MS);
  return receivedAt + Math.min(idleMs, halfLifeMs);
}

function dueWhenHealthy(
  connection: Connection,
  jitter: number,
  idleLimitMs: number | null,
  now: number,
): number {
  const { accessExpiresAt, receivedAt, lastUsedAt } = connection;
  if (isFromFuture(connection, now)) return now;
  // What a machine can ask for at any time need not be kept alive.
  const keepAlive = connection.isMinted ? Number.POSITIVE_INFINITY : keepAliveAt(connection, idleLimitMs);
  const ahead = aheadAt(connection, jitter);
  if (ahead === null || accessExpiresAt === null) return keepAlive;
  const inUseMs = Math.max(IN_USE_MS, 2 * (accessExpiresAt - receivedAt));
  const isInUse = lastUsedAt !== null && Math.abs(now - lastUsedAt) < inUseMs;
  return isInUse ? Math.min(keepAlive, ahead) : keepAlive;
}
