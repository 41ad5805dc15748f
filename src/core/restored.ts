/**
 * Connections that came from a backup. Since it was made their refresh tokens may have been used, and where a server
 * replaces them with each use, what was restored is dead then. Nobody can know before the server is asked.
 */
import type { NewState } from './after-refusal.ts';
import { isRenewable } from './connection.ts';
import type { RecoveryPolicy } from './recovery.ts';
import { LONGEST_RETRY_AFTER_MS, refreshAfter, type TokenLife } from './refresh-policy.ts';

/** Code of a connection whose refresh token came from a backup and was not presented since. */
export const RESTORED = 'restored';

/** Facts about a connection in a backup. */
export interface BackedUp extends TokenLife {
  state: string;
  hasRefreshToken: boolean;
  isMinted: boolean;
  /** Whether its server was seen to replace refresh tokens. Null: it was not seen yet. */
  rotates: boolean | null;
  recovery: RecoveryPolicy;
}

/** Whether its refresh token may be used up by now. What nobody knows counts as yes. */
export function mayBeUsedUp({ rotates, recovery, ...connection }: BackedUp): boolean {
  const isServing = ['ok', 'degraded', 'uncertain'].includes(connection.state);
  const isRefreshed = isRenewable(connection) && !connection.isMinted;
  return isServing && isRefreshed && rotates !== false && recovery !== 'reuse-safe';
}

/**
 * The state such a connection starts in: its access token is served while it lives, and the refresh token is presented
 * when the next refresh is due, or when somebody needs it.
 */
export function stateAfterRestore(life: TokenLife, now: number): NewState {
  const dueAt = refreshAfter(life) ?? now;
  return {
    state: 'uncertain',
    code: RESTORED,
    cause: 'it was restored from a backup, and its refresh token may have been used since',
    since: now,
    nextAttemptAt: Math.min(Math.max(dueAt, now), now + LONGEST_RETRY_AFTER_MS),
    // It has failed at nothing yet: whoever needs a token waits for no ladder.
    askAgainAt: now,
    failures: 0,
  };
}
