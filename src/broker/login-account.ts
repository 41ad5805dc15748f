/** Whom a login belongs to: what the token answer told, else what the authorization server tells when it is asked. */
import { belongsTo, describeMismatch, isNamed, subjectOf } from '../core/account.ts';
import type { Network } from '../core/server-settings.ts';
import type { TokenSet } from '../core/token-set.ts';
import { BrokerError } from '../errors.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import { askUserinfo } from '../oauth/userinfo.ts';
import type { LoginPurpose } from '../vault/logins.ts';
import type { Context } from './context.ts';

/** The tokens with all that is known of their account. */
export interface KnownTokens {
  tokens: TokenSet;
  /** Why not more is known, for people. Undefined: there is nothing to tell. */
  note?: string | undefined;
}

/**
 * Asks the userinfo endpoint where the answer told no name, the login may ask it, and there is one. Never throws.
 *
 * @see OpenID Connect Core 1.0 §5.3, §5.4: with an access token, claims are told there and not in the ID token
 */
export async function withAccount(
  { fetchFor }: Pick<Context, 'fetchFor'>,
  tokens: TokenSet,
  { metadata, network }: { metadata: ServerMetadata; network: Network },
): Promise<KnownTokens> {
  const { userinfo_endpoint: endpoint, issuer } = metadata;
  const mayAsk = tokens.scope?.split(' ').includes('openid') && endpoint !== undefined;
  if (isNamed(tokens) || !mayAsk) return { tokens };
  const { accessToken } = tokens;
  const told = await askUserinfo({
    ...{ endpoint, accessToken, subject: subjectOf(tokens) },
    fetch: fetchFor(network),
  });
  if ('accountIdentity' in told) return { tokens: { ...tokens, accountIdentity: told.accountIdentity } };
  return { tokens, note: `${issuer} did not tell a name for the account: ${told.reason}` };
}

/** A login as somebody else must not take the place of this one. Throws `account_mismatch`. */
export function requireAccount(known: KnownTokens, { expectedAccount, connection }: LoginPurpose): void {
  if (expectedAccount === null || belongsTo(known.tokens, expectedAccount)) return;
  const remedy =
    known.tokens.accountIdentity === undefined
      ? 'servers that speak OpenID tell it with --scope openid added'
      : 'sign out at the server in your browser, then run the login again as the right account\n' +
        'to take this account on purpose: --expect-account <account>';
  throw mismatch(known, expectedAccount, connection, `${connection} was not changed; ${remedy}`);
}

/** The same for a login that is stored already, and marked so that nobody gets its tokens. */
export function requireStoredAccount(
  known: KnownTokens,
  { expectedAccount, connection }: LoginPurpose,
): void {
  if (expectedAccount === null || belongsTo(known.tokens, expectedAccount)) return;
  const remedy = `nobody gets its tokens; sign in as the right account: broker login ${connection}`;
  throw mismatch(known, expectedAccount, connection, remedy);
}

function mismatch(
  { tokens, note }: KnownTokens,
  expected: string,
  connection: string,
  remedy: string,
): BrokerError {
  return new BrokerError('account_mismatch', describeMismatch(tokens.accountIdentity, expected), {
    hint: note === undefined ? remedy : `${remedy}\n${note}`,
    connection,
  });
}
