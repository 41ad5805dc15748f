/** What a failed refresh does to a connection: the state it gets, why, and when to try again. */
import type { Connection, ConnectionState, StateReason } from './connection.ts';
import type { RecoveryPolicy } from './recovery.ts';
import { backoffMs } from './refresh-policy.ts';
import type { Verdict } from './verdict.ts';

/** A first `invalid_grant` is believed only after a second one at least this much later. */
export const CONFIRM_AFTER_MS = 60_000;

/** What is known about a presentation besides its answer. */
export interface PresentationFacts {
  history: PresentationHistory;
  recovery: RecoveryPolicy;
  now: number;
  /** From 0 to 1. */
  jitter: number;
}

/** What the journal tells of this generation's refresh token, the present attempt left out. */
export interface PresentationHistory {
  /** Presentations whose outcome is unknown. */
  unanswered: number;
  /** When `invalid_grant` was first answered, epoch ms. Null: never. */
  firstInvalidGrantAt: number | null;
  /** Whether it came from a backup, so that somebody else may have used it. Default false. */
  isRestored?: boolean;
}

const USED_SINCE_BACKUP =
  'the server ended the login: it came from a restored backup, and its refresh token was used up since';

export type Refusal = Exclude<Verdict, { verdict: 'success' }>;
/** A reason without a time to ask again earlier is asked again as planned. */
export type NewState = Omit<StateReason, 'askAgainAt'> &
  Partial<Pick<StateReason, 'askAgainAt'>> & { state: ConnectionState };

/** A server that is down is asked at most so often because somebody wants a token. */
export const ASKED_AGAIN_MS = 60_000;

/**
 * The state after a refusal. No outcome plans "never again" but a definite end: every other one has a next
 * attempt, however far.

 */
export function stateAfterRefusal(
  connection: Connection,
  verdict: Refusal,
  { history, recovery, now, jitter }: PresentationFacts,
): NewState {
  const failures = connection.failures + 1;
  const become = (state: ConnectionState, cause: string, nextAttemptAt: number | null): NewState => ({
    state,
    code: verdict.code,
    cause,
    since: connection.state === state ? Math.min(connection.since, now) : now,
    nextAttemptAt,
    failures,
  });
  const later = (retryAfterSeconds?: number) => now + backoffMs(failures, jitter, retryAfterSeconds);
  const down = (cause: string, retryAfterSeconds = 0): NewState => {
    const nextAttemptAt = later(retryAfterSeconds);
    const askAgainAt = now + Math.max(ASKED_AGAIN_MS, retryAfterSeconds * 1000);
    return { ...become('degraded', cause, nextAttemptAt), askAgainAt: Math.min(askAgainAt, nextAttemptAt) };
  };
  switch (verdict.verdict) {
    case 'not_processed':
      return down(`the server could not be asked (${verdict.code})`, verdict.retryAfterSeconds);
    case 'unknown':
      if (recovery === 'reuse-safe')
        return down(`no usable answer came (${verdict.code})`, verdict.retryAfterSeconds);
      if (recovery === 'needs-login') {
        return become(
          'login_required',
          `the answer was lost (${verdict.code}), and this server must not be asked twice`,
          null,
        );
      }
      return become(
        'uncertain',
        `the server was asked, but its answer was lost (${verdict.code})`,
        later(verdict.retryAfterSeconds),
      );
    case 'client_invalid':
      return become('client_invalid', `the server refused our client (${verdict.code})`, null);
    case 'config_error':
      return become('config_error', `the server refused the request (${verdict.code})`, later());
    case 'final': {
      const { unanswered, firstInvalidGrantAt, isRestored = false } = history;
      if (isRestored) return become('login_required', USED_SINCE_BACKUP, null);
      const isConfirmed = firstInvalidGrantAt !== null && now - firstInvalidGrantAt >= CONFIRM_AFTER_MS;
      if (unanswered > 0 || isConfirmed) return become('login_required', 'the server ended the login', null);
      const confirmAt = (firstInvalidGrantAt ?? now) + CONFIRM_AFTER_MS;
      return become(
        'degraded',
        'the server refused the refresh token once; it will be asked again',
        confirmAt,
      );
    }
  }
}
