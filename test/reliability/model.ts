/**
 * What must be true of a grant, said a second time: small, pure, and from the words of DESIGN §5 alone.
 *
 * A grant is what the brokers on one vault hold of one login. Everything that happens to it is an event, and `after`
 * says what the grant is then. Nothing here is shared with `src/core` but the names of the states, so a rule that is
 * wrong there is seen here.
 */
import type { ConnectionState } from '../../src/core/connection.ts';
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import { FAULTS, type FaultName, RETRY_AFTER_SECONDS } from '../support/hostile-faults.ts';
import type { PresentationOutcome } from '../support/hostile-grants.ts';
import { FAULT_ROWS } from './fault-matrix.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** The ladder of pauses: 5 s, doubled each time, to 4 h, and up to a quarter more. */
export const FIRST_PAUSE_MS = 5 * SECOND_MS;
export const LONGEST_PAUSE_MS = 4 * HOUR_MS;
const JITTER = 1 / 4;

/** A refresh token is dead when the server says so twice, at least so far apart. */
const CONFIRM_MS = 60 * SECOND_MS;

/** A token that was just refreshed and is rejected is not refreshed again so soon. */
const HASTE_MS = 30 * SECOND_MS;

/** An idle login is kept alive so often. */
const KEEP_ALIVE_MS = 7 * 24 * HOUR_MS;

/** What the answer to a refresh means, in the words of DESIGN §5. */
export type Meaning = 'success' | 'not processed' | 'unknown' | 'final' | 'client invalid' | 'config error';

/** What a token endpoint issued. Tokens by their fingerprints. */
export interface Pair {
  refreshToken: string;
  accessToken: string;
  receivedAt: number;
  /** Null: unknown. */
  expiresAt: number | null;
  /** Whether agents can use it. */
  isBearer: boolean;
}

/** One time the refresh token of this generation was shown. */
interface Showing {
  attempt: number;
  /** Undefined: nobody knows yet, or will ever. */
  meaning: Meaning | undefined;
  /** When that was written down. */
  at: number;
}

export interface Grant {
  /** Counts first logins: after a logout another grant begins. */
  life: number;
  recovery: RecoveryPolicy;
  state: ConnectionState;
  generation: number;
  current: Pair;
  /** A pair that came too late. */
  spare: Pair | undefined;
  failures: number;
  /** Bounds of the next attempt nobody asks for. Null: there will be none. */
  next: { earliest: number; latest: number } | null;
  /** From when a caller without a valid token is let try before that. Null: not before. */
  askAgainAt: number | null;
  showings: Showing[];
  /** A spare that took the place of a dead one: it is tried at once. */
  isToBeTried: boolean;
}

/** An answer to a refresh, as its sender wrote it down. */
export interface Answered {
  kind: 'answered';
  life: number;
  generation: number;
  attempt: number;
  meaning: Meaning;
  /** Set with `success`. */
  pair: Pair | undefined;
  retryAfterMs: number;
  /** Whether it refused how it was asked, and there is another manner to ask in. */
  isMisasked: boolean;
  at: number;
}

export type GrantEvent =
  | { kind: 'login'; life: number; recovery: RecoveryPolicy; pair: Pair }
  | { kind: 'logout' }
  /** The journal says that the refresh token is about to be shown. */
  | { kind: 'shown'; attempt: number; at: number }
  | Answered
  /** Not shown, because it must not be shown twice. */
  | { kind: 'given up' };

/** The grant after an event. Undefined: there is none. */
export function after(grant: Grant | undefined, event: GrantEvent): Grant | undefined {
  switch (event.kind) {
    case 'login':
      return afterLogin(grant, event);
    case 'logout':
      return undefined;
    case 'shown':
      return (
        grant && {
          ...grant,
          isToBeTried: false,
          showings: [...grant.showings, { ...event, meaning: undefined }],
        }
      );
    case 'answered':
      // A grant that is gone or newer than the answer has nothing to do with it, but for a pair that must be kept.
      if (!grant || event.life !== grant.life) return grant;
      if (event.generation === grant.generation) return afterAnswer(grant, event);
      return event.pair && isNew(event.pair, grant) ? afterLatePair(grant, event.pair) : grant;
    case 'given up':
      return grant && { ...grant, state: 'login_required', next: null, failures: 0 };
  }
}

/** Where a server does not rotate, or answers twice, the late pair is the one we have. */
function isNew(pair: Pair, { current }: Grant): boolean {
  return pair.refreshToken !== current.refreshToken;
}

/** A grant newer than the pair keeps its place unless it is dead; the pair is kept for that case. */
function afterLatePair(grant: Grant, pair: Pair): Grant {
  if (grant.state !== 'login_required' || !pair.isBearer) return { ...grant, spare: pair };
  return { ...grant, ...HEALTHY, generation: grant.generation + 1, current: pair };
}

function afterLogin(
  grant: Grant | undefined,
  { life, recovery, pair }: Extract<GrantEvent, { kind: 'login' }>,
): Grant {
  const known = grant ?? { life, recovery, generation: 0, spare: undefined };
  return { ...known, ...HEALTHY, generation: known.generation + 1, current: pair };
}

const HEALTHY = {
  ...{ state: 'ok', failures: 0, next: null, askAgainAt: null, showings: [], isToBeTried: false },
} as const satisfies Partial<Grant>;

function afterAnswer(grant: Grant, event: Answered): Grant {
  const { attempt, meaning, at, pair } = event;
  if (pair !== undefined) {
    const renewed = { ...grant, ...HEALTHY, generation: grant.generation + 1, current: pair };
    return pair.isBearer ? renewed : { ...renewed, state: 'config_error', failures: 1 };
  }
  const showings = grant.showings.map((each) => (each.attempt === attempt ? { ...each, meaning, at } : each));
  // It used nothing up, and the next one follows at once.
  if (event.isMisasked) return { ...grant, showings };
  // Dead stays dead, whatever is heard by one who asked before that was known.
  if (grant.state === 'login_required') return { ...grant, showings };
  return afterRefusal({ ...grant, showings, failures: grant.failures + 1 }, event);
}

/** `grant` knows of the refusal already, but for its state. */
function afterRefusal(grant: Grant, { meaning, attempt, at, retryAfterMs }: Answered): Grant {
  const { failures, recovery, showings, spare } = grant;
  const later = () => {
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
    const [least, most] = [Math.max(pause, retryAfterMs), Math.max(pause * (1 + JITTER), retryAfterMs)];
    return { earliest: at + Math.floor(least), latest: at + Math.ceil(most) };
  };
  // Nothing was used up, so whoever needs a token may find out whether the server is well again.
  const down = () => {
    const next = later();
    return { next, askAgainAt: at + Math.max(MINUTE_MS, retryAfterMs) };
  };
  switch (meaning) {
    case 'not processed':
      return { ...grant, ...down(), state: 'degraded' };
    case 'unknown':
      if (recovery === 'needs-login') return { ...grant, state: 'login_required', next: null };
      return recovery === 'reuse-safe'
        ? { ...grant, ...down(), state: 'degraded' }
        : { ...grant, state: 'uncertain', next: later(), askAgainAt: null };
    case 'client invalid':
      return { ...grant, state: 'client_invalid', next: null };
    case 'config error':
      return { ...grant, state: 'config_error', next: later(), askAgainAt: null };
    case 'final': {
      const others = showings.filter((each) => each.attempt !== attempt);
      const confirmAt = (others.find((each) => each.meaning === 'final')?.at ?? at) + CONFIRM_MS;
      const isDead = at >= confirmAt || others.some((each) => isUnanswered(each, recovery));
      if (!isDead)
        return {
          ...grant,
          state: 'degraded',
          next: { earliest: confirmAt, latest: confirmAt },
          askAgainAt: null,
        };
      if (!spare || !isNew(spare, grant)) return { ...grant, state: 'login_required', next: null };
      const promoted = { ...grant, ...HEALTHY, generation: grant.generation + 1, current: spare };
      return { ...promoted, spare: undefined, isToBeTried: true };
    }
    case 'success':
      throw new TypeError('a success without a pair');
  }
}

/** Whether nobody knows what the server did with the token. */
function isUnanswered({ meaning }: Showing, recovery: RecoveryPolicy): boolean {
  return meaning === undefined || (meaning === 'unknown' && recovery !== 'reuse-safe');
}

/** Whether the token must not be shown again, since it may have been seen once. */
export function mustGiveUp({ recovery, showings }: Grant): boolean {
  return recovery === 'needs-login' && showings.some((each) => isUnanswered(each, recovery));
}

/** Who wants a refresh: the operator at once, a caller whose token is too old, or the scheduler. */
export type Wish = 'now' | 'for a caller' | 'on schedule';

/** Why the refresh token must not be shown now. Undefined: it may be. */
export function objection(grant: Grant, wish: Wish, now: number): string | undefined {
  if (grant.state === 'login_required') return 'the token is known to be dead';
  if (mustGiveUp(grant)) return 'the token was seen once and must not be shown again';
  return isDue(grant, wish, now) ? undefined : 'it is too early';
}

/**
 * Whether the pauses are over, and there is a reason to refresh.
 *
 * @param isInNeed whether a caller has no token that would do for want of a better one
 */
function isDue(grant: Grant, wish: Wish, now: number, isInNeed = wish === 'for a caller'): boolean {
  const { state, next, askAgainAt, current, showings, recovery, isToBeTried } = grant;
  if (wish === 'now' || isToBeTried) return true;
  const asked = isInNeed && askAgainAt !== null ? askAgainAt : Number.POSITIVE_INFINITY;
  if (state !== 'ok') return next !== null && now >= Math.min(next.earliest, asked);
  const { receivedAt, expiresAt } = current;
  const aheadAt = expiresAt === null ? Number.POSITIVE_INFINITY : expiresAt - (expiresAt - receivedAt) / 5;
  return (
    wish === 'for a caller' ||
    showings.some((each) => isUnanswered(each, recovery)) ||
    now >= Math.min(aheadAt, receivedAt + KEEP_ALIVE_MS)
  );
}

/** What a caller who asks for a token must get, when nobody else is at work. */
export type Reply = 'the token' | 'a refresh' | 'rate_limited' | 'upstream_unavailable' | ConnectionState;

export interface Ask {
  minTtlSeconds: number;
  /** Whether the server refused this very generation. */
  isRejected: boolean;
}

/** The reply to `ask` as things stand; `a refresh`: one is tried, and the reply depends on what comes of it. */
export function replyTo(grant: Grant, { minTtlSeconds, isRejected }: Ask, now: number): Reply {
  const { receivedAt, expiresAt } = grant.current;
  const left = (expiresAt ?? Number.POSITIVE_INFINITY) - now;
  const lifetime = (expiresAt ?? Number.POSITIVE_INFINITY) - receivedAt;
  // A tenth of its lifetime, at most 10 s, is for the way; no wish is granted beyond half of it.
  const wanted = Math.min(
    Math.max(minTtlSeconds * SECOND_MS, Math.min(10 * SECOND_MS, lifetime / 10)),
    lifetime / 2,
  );
  if (!isRejected && grant.current.isBearer && (expiresAt === null || left > wanted)) return 'the token';
  if (isRejected && now - receivedAt < HASTE_MS) return 'rate_limited';
  const isServable = expiresAt === null || left >= Math.min(SECOND_MS, Math.max(lifetime / 2, 1));
  if (isDue(grant, 'for a caller', now, isRejected || !isServable)) return 'a refresh';
  return replyWithoutRefresh(grant, isRejected, now);
}

/** The reply when a refresh brought nothing, or is not allowed. */
export function replyWithoutRefresh(grant: Grant, isRejected: boolean, now: number): Reply {
  const { state, current } = grant;
  if (current.isBearer && !isRejected && (current.expiresAt ?? Number.POSITIVE_INFINITY) > now)
    return 'the token';
  return state === 'ok' || state === 'degraded' || state === 'uncertain' ? 'upstream_unavailable' : state;
}

/** What the sender of a refresh heard: the fault's own words, or else the server's. */
export function meaningOf(
  fault: FaultName | undefined,
  outcome: PresentationOutcome | undefined,
  isTimedOut: boolean,
): Meaning {
  if (isTimedOut) return 'unknown';
  const isServersOwn = fault === undefined || FAULTS[fault].act.kind === 'change';
  if (isServersOwn) {
    if (outcome === 'rotated' || outcome === 'kept' || outcome === 'grace') return 'success';
    // It was asked for another resource, or for none.
    return outcome === 'refused' ? 'config error' : 'final';
  }
  const row = FAULT_ROWS.find((each) => each.fault === fault && each.deadTokenErrors === undefined);
  return (row?.verdict ?? 'unknown').replace('_', ' ') as Meaning;
}

/** How long the server asks us to wait, said at `saidAt` and heard now. In whole seconds, on the wire and after. */
export function retryAfterOf(fault: FaultName | undefined, saidAt: number, now: number): number {
  if (fault?.endsWith('in seconds')) return RETRY_AFTER_SECONDS * SECOND_MS;
  if (!fault?.endsWith('as a date')) return 0;
  const until = Math.floor(saidAt / SECOND_MS) + RETRY_AFTER_SECONDS;
  return Math.max(0, Math.ceil(until - now / SECOND_MS)) * SECOND_MS;
}
