/** What is wrong with a token set that has come, so that agents must not be given it. */
import { belongsTo, describeMismatch } from './account.ts';
import type { NewState } from './after-refusal.ts';
import { isBearer, type TokenSet } from './token-set.ts';

/**
 * The state of a connection with these tokens. Undefined: nothing is wrong.
 *
 * @param expectedAccount whom its login must belong to; null: anybody
 */
export function faultOf(tokens: TokenSet, expectedAccount: string | null, now: number): NewState | undefined {
  const since = { since: now, nextAttemptAt: null, failures: 1 };
  if (expectedAccount !== null && !belongsTo(tokens, expectedAccount)) {
    const cause = describeMismatch(tokens.accountIdentity, expectedAccount);
    return { state: 'login_required', code: 'account_mismatch', cause, ...since };
  }
  if (isBearer(tokens.tokenType)) return undefined;
  const cause = 'the server now issues tokens of a type agents cannot use as Bearer';
  return { state: 'config_error', code: 'unsupported_token_type', cause, ...since };
}
