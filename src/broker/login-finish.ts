/** The end of every login: a code or token that was answered becomes a stored connection. */
import { DEFAULT_SETTINGS, type ServerSettings } from '../core/server-settings.ts';
import type { TokenSet } from '../core/token-set.ts';
import { BrokerError } from '../errors.ts';
import { redeemCode } from '../oauth/authorization.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import { reached } from '../steps.ts';
import type { Client } from '../vault/clients.ts';
import { consumeLogin, type LoginPurpose } from '../vault/logins.ts';
import { findServer } from '../vault/servers.ts';
import { actorOf, type Context, type LoginFacts, OPERATOR } from './context.ts';
import { type KnownTokens, requireAccount, withAccount } from './login-account.ts';
import { type LoginAnswer, timedOut } from './login-answer.ts';
import type { ConnectedEvent } from './login-events.ts';
import { saveLogin } from './login-save.ts';
import { readTokens } from './login-tokens.ts';
import { anotherManner, errorOf, type Manner, mannerOf, rememberClient } from './manner.ts';

/** Everything a login has settled before a person is asked. */
export interface LoginPlan {
  client: Client;
  metadata: ServerMetadata;
  /** As they hold for this login. */
  settings: ServerSettings;
  timeoutMs: number;
  purpose: LoginPurpose;
}

/** Redeems the code and saves what it brought. To be called under the connection's lease. */
export async function finishByCode(
  context: Context,
  answer: Omit<LoginAnswer, 'show'>,
  timeoutMs: number,
): Promise<ConnectedEvent> {
  const { vault, clock } = context;
  const consumed = await vault.transaction(() => consumeLogin(answer.login.id, clock.now()));
  // The clock was set forward, or the machine slept.
  if (consumed === 'ended') throw timedOut(timeoutMs);
  if (consumed === 'unknown')
    throw new BrokerError('callback_invalid', 'this login was used already', { hint: 'start it again' });
  return redeemAnswer(context, answer);
}

/** The same for an answer whose login was consumed. To be called under the connection's lease. */
export async function redeemAnswer(
  context: Context,
  { login, client, metadata, parameters }: Omit<LoginAnswer, 'show'>,
): Promise<ConnectedEvent> {
  const { vault, clock } = context;
  const { purpose } = login;
  reached('login.consumed');
  const server = await vault.run(() => findServer(purpose.server));
  const settings = { ...(server?.settings ?? DEFAULT_SETTINGS), ...purpose.settings };
  const { state, codeVerifier, redirectUri } = login;
  const redeem = ({ client, settings }: Manner) =>
    redeemCode({
      ...{ metadata, client, settings, parameters, state, codeVerifier, redirectUri },
      resource: purpose.resource,
      fetch: context.fetchFor(settings.network),
      now: () => clock.now(),
    });

  let manner: Manner = { client, settings };
  let answer = await redeem(manner);
  // A server that refused the manner of asking has not used the code: it may be asked in another one, once each.
  for (
    let other = anotherManner(answer, manner, metadata);
    other;
    other = anotherManner(answer, manner, metadata)
  ) {
    const again = await redeem(other);
    manner = other;
    // The first refusal is the one to report when the code was spent by it after all.
    if (errorOf(again) !== 'invalid_grant') answer = again;
    else break;
  }
  reached('login.redeemed');
  const tokens = readTokens(answer, metadata, clock.now(), purpose.scope);
  return keepLogin(
    context,
    { client: manner.client, metadata, purpose: withManner(purpose, settings, manner) },
    await withAccount(context, tokens, { metadata, network: settings.network }),
    { actor: login.begunBy ?? actorOf(OPERATOR), loginId: login.id },
  );
}

/** What a fallback has proven is kept with the server. */
function withManner(purpose: LoginPurpose, before: ServerSettings, manner: Manner): LoginPurpose {
  return { ...purpose, settings: { ...purpose.settings, ...mannerOf(manner.settings, before) } };
}

/**
 * Saves the tokens as the login of the connection, if they belong to whom it is for. To be called under the
 * connection's lease. Throws `account_mismatch`, and what `keepUnproven` throws.
 *
 * @param origin who signs in, and which pending login ends with it. Default: the operator, none
 */
export async function keepLogin(
  context: Context,
  plan: Finished,
  known: KnownTokens,
  origin?: Origin,
): Promise<ConnectedEvent> {
  requireAccount(known, plan.purpose);
  await keepUnproven(context, plan, known.tokens, origin);
  return connectedEvent(plan, known);
}

/**
 * The same for tokens that cannot tell whose they are yet: whoever uses them first finds out. Throws `save_failed`.
 */
export async function keepUnproven(
  context: Context,
  { client, purpose }: Finished,
  tokens: TokenSet,
  origin: Origin = { actor: actorOf(OPERATOR) },
): Promise<void> {
  await rememberClient(context, client);
  const facts = { clientRowId: client.rowId, issuer: client.issuer, ...origin };
  await saveLogin(context, { ...purpose, ...facts }, tokens);
}

type Finished = Pick<LoginPlan, 'client' | 'metadata' | 'purpose'>;
type Origin = Pick<LoginFacts, 'actor' | 'loginId'>;

/** What there is to tell about a login that is stored. */
export function connectedEvent(
  { metadata, purpose }: Pick<LoginPlan, 'metadata' | 'purpose'>,
  { tokens, note }: KnownTokens,
): ConnectedEvent {
  return {
    event: 'connected',
    connection: purpose.connection,
    ...(tokens.accountIdentity === undefined ? {} : { account: tokens.accountIdentity }),
    ...(tokens.scope === undefined ? {} : { scope: tokens.scope }),
    ...(tokens.accessExpiresAt === undefined
      ? {}
      : { expires_in: Math.round((tokens.accessExpiresAt - tokens.receivedAt) / 1000) }),
    refresh_token: tokens.refreshToken !== undefined,
    issuer: metadata.issuer,
    resource: purpose.resource,
    ...(note === undefined ? {} : { notes: [note] }),
  };
}
