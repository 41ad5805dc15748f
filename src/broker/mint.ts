/**
 * Tokens of connections without a person: asked for anew each time, under the same lease as a refresh so that one
 * process asks and all others use what it got.
 */
import { readFile, stat } from 'node:fs/promises';
import { type NewState, type Refusal, stateAfterRefusal } from '../core/after-refusal.ts';
import type { Grant } from '../core/grant.ts';
import { isBearer, readTokenSet, type TokenSet } from '../core/token-set.ts';
import { judgeRefresh } from '../core/verdict.ts';
import { BrokerError, quote, systemCode } from '../errors.ts';
import {
  exchangeForGrant,
  ID_JAG,
  type MachineRequest,
  requestByAssertion,
  requestByCredentials,
} from '../oauth/machine-grants.ts';
import type { TokenAnswer } from '../oauth/token-request.ts';
import { Secret } from '../secret.ts';
import type { Client } from '../vault/clients.ts';
import {
  findConnectionById,
  recordState,
  replaceTokenSet,
  type StoredConnection,
  sealTokenSet,
} from '../vault/connections.ts';
import type { Server } from '../vault/servers.ts';
import type { Flight, RefreshParts } from './context.ts';
import { exchangeIdentity } from './exchange.ts';
import { gone, stateError } from './state-errors.ts';

/** What a token is asked with. */
export interface Minting {
  stored: StoredConnection;
  client: Client;
  server: Server;
  grant: Grant;
}

/** A file of a platform is small. */
const MAX_TOKEN_FILE_BYTES = 64 * 1024;

/** What came of asking. */
type Outcome = { tokens: TokenSet } | NoToken;

interface NoToken {
  refusal: Refusal;
  /** For people, in place of what the refusal alone tells. */
  cause?: string;
  /** Why nobody could be asked. Absent: the server refused, or did not answer. */
  error?: BrokerError;
}

/**
 * Asks for a token and keeps it. To be called under the connection's lease. A refused request is not made in any other
 * way. What stood in the way is recorded with the connection, also when it was on this side.
 *
 * Throws `config_error`, `client_invalid`, `upstream_unavailable`, and what discovery at an identity provider throws.
 */
export async function mint(
  parts: RefreshParts,
  minting: Minting,
  { actor }: Flight,
): Promise<StoredConnection> {
  const { vault, clock } = parts;
  const { stored } = minting;
  const outcome = await attempt(parts, minting);
  if ('tokens' in outcome) await keep(parts, minting, outcome.tokens, actor);
  else await record(parts, stored, outcome, actor);
  const current = await vault.run(() => findConnectionById(stored.id));
  if (!current) throw gone(stored);
  if (current.generation !== stored.generation) return current;
  throw ('error' in outcome && outcome.error) || refused(current, clock.now());
}

async function attempt(parts: RefreshParts, minting: Minting): Promise<Outcome> {
  const answer = await request(parts, minting).catch(notAsked);
  if ('refusal' in answer) return answer;
  const verdict = judgeRefresh(answer, minting.server.settings.deadTokenErrors);
  if (verdict.verdict === 'success') return read(answer, parts.clock.now());
  // Perhaps the server has moved: the next attempt looks for its token endpoint again.
  const isAnswered = verdict.verdict !== 'not_processed' && verdict.verdict !== 'unknown';
  if (!isAnswered) await parts.metadata.forget(minting.client.issuer);
  return { refusal: verdict };
}

/** Something on this side, or at the identity provider. It may be put right at any time, so it is tried again. */
function notAsked(error: unknown): NoToken {
  if (!(error instanceof BrokerError)) throw error;
  const { code, message: cause } = error;
  const refusal: Refusal =
    code === 'upstream_unavailable'
      ? { verdict: 'not_processed', code, retryAfterSeconds: error.retryAfterSeconds }
      : { verdict: 'config_error', code };
  return { refusal, cause, error };
}

function read(answer: TokenAnswer, now: number): Outcome {
  const tokens = readTokenSet((answer.kind === 'answer' && answer.body) || {}, now);
  if (tokens && isBearer(tokens.tokenType)) return { tokens };
  const refusal = { verdict: 'config_error', code: 'unsupported_token_type' } as const;
  return { refusal, cause: 'the server gives tokens of a type that only their owner could use' };
}

/** Whoever corrects the credentials gives all of them once more. */
function refused(current: StoredConnection, now: number): BrokerError {
  const error = stateError(current, now);
  const { code, message, hint, connection } = error;
  if (code === 'upstream_unavailable') return error;
  return new BrokerError(code, message, {
    hint: `${hint}\nto correct what it shows: broker add ${current.name} …, with all it was added with`,
    connection,
  });
}

async function request(parts: RefreshParts, { grant, stored, ...minting }: Minting): Promise<TokenAnswer> {
  const own = await requestFor(parts, minting);
  switch (grant.kind) {
    case 'client_credentials':
      return requestByCredentials(own);
    case 'jwt_bearer':
      return requestByAssertion(own, await readTokenFile(grant.assertionFile, stored.name));
    case 'id_jag': {
      const idToken = await readTokenFile(grant.subjectTokenFile, stored.name);
      const exchanged = await exchange(parts, own, grant, idToken, minting.server);
      if (judgeRefresh(exchanged).verdict !== 'success') return exchanged;
      return requestByAssertion(own, grantIn(exchanged, grant, stored.name));
    }
    case 'exchange':
      return exchangeIdentity(parts, { stored, server: minting.server }, grant, own);
    case 'forward':
      throw new TypeError('what is forwarded is never asked for');
  }
}

async function requestFor(
  parts: RefreshParts,
  { client, server }: Pick<Minting, 'client' | 'server'>,
): Promise<MachineRequest> {
  const { settings, resource } = server;
  return {
    metadata: await parts.metadata.get(client.issuer, client.serverMetadata, settings.network),
    client,
    basicEncoding: settings.basicEncoding,
    resource: settings.resourceParameter === 'send' ? resource : undefined,
    scope: settings.scopes.join(' ') || undefined,
    fetch: parts.fetchFor(settings.network),
    now: () => parts.clock.now(),
  };
}

type IdentityGrant = Extract<Grant, { kind: 'id_jag' }>;

/** At the identity provider, which an operator named. */
async function exchange(
  parts: RefreshParts,
  own: MachineRequest,
  { identityProvider: { issuer, clientId } }: IdentityGrant,
  idToken: Secret,
  { resource }: Server,
): Promise<TokenAnswer> {
  const vouched = { pkce: 'assumed' } as const;
  const metadata = await parts.metadata.discover(issuer, { network: 'private', vouched });
  const client = { clientId, authMethod: 'none', clientSecret: undefined };
  const asked = { ...own, metadata, client, fetch: parts.fetchFor('private'), resource };
  return exchangeForGrant(asked, idToken, own.metadata.issuer);
}

/** Any other token is not to be shown to the authorization server: it may open more than a grant does. */
function grantIn(exchanged: TokenAnswer, { identityProvider }: IdentityGrant, connection: string): Secret {
  const body = exchanged.kind === 'answer' ? exchanged.body : undefined;
  const kind = body?.issued_token_type;
  if (kind === undefined || kind === ID_JAG) return new Secret(String(body?.access_token));
  throw new BrokerError(
    'config_error',
    `the identity provider ${identityProvider.issuer} issues another kind of token than was asked for`,
    {
      hint: `ask its operator whether ${quote(identityProvider.clientId)} may get grants for this server (ID-JAG)`,
      connection,
    },
  );
}

/** Read each time: the platform puts a new token there before the old one ends. */
async function readTokenFile(path: string, connection: string): Promise<Secret> {
  const unusable = (reason: string) =>
    new BrokerError('config_error', `the token file ${quote(path)} cannot be used: ${reason}`, {
      hint: `it holds one token and nothing else, and the broker must be allowed to read it\nthen: broker refresh ${connection}`,
      connection,
    });
  const unread = (error: unknown) => {
    throw unusable(systemCode(error) ?? 'it cannot be read');
  };
  const found = await stat(path).catch(unread);
  // Reading a pipe or a device might never end.
  if (!found.isFile()) throw unusable('it is not a file');
  if (found.size > MAX_TOKEN_FILE_BYTES) throw unusable('it is too large');
  const token = (await readFile(path, 'utf8').catch(unread)).trim();
  if (token === '' || /\s/.test(token))
    throw unusable(token === '' ? 'it is empty' : 'it holds more than a token');
  return new Secret(token);
}

async function keep(
  { vault }: RefreshParts,
  { stored, server }: Minting,
  fresh: TokenSet,
  actor: string,
): Promise<void> {
  const { id, name, generation } = stored;
  // A machine asks with its credentials: a refresh token would be one more thing to lose.
  const scope = fresh.scope ?? (server.settings.scopes.join(' ') || undefined);
  const tokens = { ...fresh, scope, refreshToken: undefined };
  const sealed = await sealTokenSet(vault.sealer, id, generation + 1, tokens);
  await vault.transaction(function* () {
    if (!(yield* replaceTokenSet(id, generation, sealed))) return;
    const detail = { generation: sealed.generation, scope: tokens.scope ?? null };
    yield* vault.audit.append({ actor, action: 'mint', connection: name, outcome: 'ok', detail });
  });
}

async function record(
  { vault, clock }: RefreshParts,
  stored: StoredConnection,
  { refusal, cause }: NoToken,
  actor: string,
): Promise<void> {
  const judged = stateAfterMinting(stored, refusal, clock.now());
  const state = { ...judged, cause: cause ?? judged.cause };
  await vault.transaction(function* () {
    yield* recordState(stored.id, stored.generation, state);
    const detail = { generation: stored.generation, state: state.state };
    yield* vault.audit.append({
      actor,
      action: 'mint',
      connection: stored.name,
      outcome: refusal.code,
      detail,
    });
  });
}

/** As after a refused refresh, but nothing is ever spent: an answer that was lost can be asked for again. */
function stateAfterMinting(stored: StoredConnection, refusal: Refusal, now: number): NewState {
  const history = { unanswered: 0, firstInvalidGrantAt: null };
  const facts = { history, recovery: 'reuse-safe', now, jitter: Math.random() } as const;
  const { code } = refusal;
  const judged: Refusal = refusal.verdict === 'final' ? { verdict: 'config_error', code } : refusal;
  return stateAfterRefusal(stored, judged, facts);
}
