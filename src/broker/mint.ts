/**
 * Tokens of connections without a person: asked for anew each time, under the same lease as a refresh so that one
 * process asks and all others use what it got.
 */
import { readFile } from 'node:fs/promises';
import { type NewState, type Refusal, stateAfterRefusal } from '../core/after-refusal.ts';
import type { Grant } from '../core/grant.ts';
import { isBearer, readTokenSet, type TokenSet } from '../core/token-set.ts';
import { judgeRefresh } from '../core/verdict.ts';
import { BrokerError, systemCode } from '../errors.ts';
import {
  exchangeForGrant,
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

/**
 * Asks for a token and keeps it. To be called under the connection's lease. A refused request is not made in any other
 * way.
 *
 * Throws `config_error`, `client_invalid`, `upstream_unavailable`.
 */
export async function mint(
  parts: RefreshParts,
  minting: Minting,
  { actor }: Flight,
): Promise<StoredConnection> {
  const { vault, clock } = parts;
  const { stored } = minting;
  const answer = await request(parts, minting);
  const verdict = judgeRefresh(answer, minting.server.settings.deadTokenErrors);
  const body = answer.kind === 'answer' ? answer.body : undefined;
  const tokens = verdict.verdict === 'success' ? readTokenSet(body ?? {}, clock.now()) : undefined;
  if (!tokens || !isBearer(tokens.tokenType)) {
    const refusal: Refusal =
      verdict.verdict === 'success' ? { verdict: 'config_error', code: 'unsupported_token_type' } : verdict;
    await record(parts, stored, refusal, actor);
  } else {
    await keep(parts, minting, tokens, actor);
  }
  const current = await vault.run(() => findConnectionById(stored.id));
  if (!current) throw gone(stored);
  if (current.generation === stored.generation) throw stateError(current, clock.now());
  return current;
}

async function request(parts: RefreshParts, { grant, ...minting }: Minting): Promise<TokenAnswer> {
  const own = await requestFor(parts, minting);
  switch (grant.kind) {
    case 'client_credentials':
      return requestByCredentials(own);
    case 'jwt_bearer':
      return requestByAssertion(own, await readTokenFile(grant.assertionFile));
    case 'id_jag': {
      const exchanged = await exchange(parts, own, grant, minting.server);
      if (exchanged.kind !== 'answer' || typeof exchanged.body?.access_token !== 'string') return exchanged;
      return requestByAssertion(own, new Secret(exchanged.body.access_token));
    }
  }
}

async function requestFor(
  parts: RefreshParts,
  { client, server }: Omit<Minting, 'grant'>,
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

/** At the identity provider, which an operator named. */
async function exchange(
  parts: RefreshParts,
  own: MachineRequest,
  { identityProvider: { issuer, clientId }, subjectTokenFile }: Extract<Grant, { kind: 'id_jag' }>,
  server: Server,
): Promise<TokenAnswer> {
  const vouched = { pkce: 'assumed' } as const;
  const metadata = await parts.metadata.discover(issuer, { network: 'private', vouched });
  const client = { clientId, authMethod: 'none', clientSecret: undefined };
  const fetch = parts.fetchFor('private');
  const asked = { ...own, metadata, client, fetch, resource: server.resource };
  return exchangeForGrant(asked, await readTokenFile(subjectTokenFile), own.metadata.issuer);
}

/** Read each time: the platform puts a new token there before the old one ends. */
async function readTokenFile(path: string): Promise<Secret> {
  const unusable = (reason: string) =>
    new BrokerError('config_error', `the token file ${path} cannot be used: ${reason}`, {
      hint: 'it holds one token and nothing else, and the broker must be allowed to read it',
    });
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw unusable(systemCode(error) ?? 'it cannot be read');
  });
  if (text.length > MAX_TOKEN_FILE_BYTES) throw unusable('it is too large');
  const token = text.trim();
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
  refusal: Refusal,
  actor: string,
): Promise<void> {
  const state = stateAfterMinting(stored, refusal, clock.now());
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
