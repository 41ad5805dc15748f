/**
 * Tokens of connections without a person: asked for anew each time, under the same lease as a refresh so that one
 * process asks and all others use what it got.
 */
import { readFile, stat } from 'node:fs/promises';
import { type NewState, type Refusal, stateAfterRefusal } from '../core/after-refusal.ts';
import { type Grant, sourceOf } from '../core/grant.ts';
import { formatConnectionName } from '../core/names.ts';
import { isBearer, readTokenSet, type TokenSet } from '../core/token-set.ts';
import { judgeRefresh } from '../core/verdict.ts';
import { BrokerError, printable, quote, systemCode } from '../errors.ts';
import { type MachineRequest, requestByAssertion, requestByCredentials } from '../oauth/machine-grants.ts';
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
import { countRefresh } from './count-refresh.ts';
import { type Asked, exchangeFile, exchangeIdentity } from './exchange.ts';
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
  throw ('error' in outcome && outcome.error) || refused(minting, current, clock.now());
}

async function attempt(parts: RefreshParts, minting: Minting): Promise<Outcome> {
  const askedAt = parts.clock.now();
  const asked = await request(parts, minting).catch(notAsked);
  const verdict =
    'refusal' in asked ? asked.refusal : judgeRefresh(asked.answer, minting.server.settings.deadTokenErrors);
  countRefresh(parts, minting.stored.name, verdict, askedAt);
  if ('refusal' in asked) return asked;
  const { answer, provider } = asked;
  if (verdict.verdict === 'success') return read(answer, parts.clock.now());
  // Perhaps the server has moved: the next attempt looks for its token endpoint again.
  const isAnswered = verdict.verdict !== 'not_processed' && verdict.verdict !== 'unknown';
  if (!isAnswered) await parts.metadata.forget(provider ?? minting.client.issuer);
  const cause = provider === undefined ? undefined : causeAt(provider, isAnswered, verdict.code);
  return { refusal: verdict, ...(cause === undefined ? {} : { cause }) };
}

/** With two parties in the way, people must know which one it was. */
function causeAt(provider: string, isAnswered: boolean, code: string): string {
  const who = `the identity provider ${printable(provider)}`;
  return isAnswered
    ? `${who} refused to exchange the token (${code})`
    : `${who} could not be asked (${code})`;
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
function refused({ grant }: Minting, current: StoredConnection, now: number): BrokerError {
  const error = stateError(current, now);
  const { code, message, hint, connection } = error;
  if (code === 'upstream_unavailable') return error;
  const source = sourceOf(grant);
  const ways = [
    hint,
    ...(source === undefined ? [] : [`or with a new sign-in: broker login ${loginBehind(current, source)}`]),
    `to correct what it shows: broker add ${source === undefined ? current.name : current.server} …, with all it was added with`,
  ];
  return new BrokerError(code, message, { hint: ways.join('\n'), connection });
}

function loginBehind({ account }: StoredConnection, source: string): string {
  return formatConnectionName({ server: source, account: account ?? undefined });
}

async function request(parts: RefreshParts, { grant, ...minting }: Minting): Promise<Asked> {
  const { stored, server } = minting;
  const own = () => requestFor(parts, minting);
  switch (grant.kind) {
    case 'client_credentials':
      return { answer: await requestByCredentials(await own()) };
    case 'jwt_bearer': {
      const assertion = await readTokenFile(grant.assertionFile, stored.name);
      return { answer: await requestByAssertion(await own(), assertion) };
    }
    case 'id_jag': {
      const idToken = await readTokenFile(grant.subjectTokenFile, stored.name);
      return exchangeFile(parts, { stored, server, own }, grant, idToken);
    }
    case 'exchange':
      return exchangeIdentity(parts, { stored, server, own }, grant);
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
  // What is asked for anew needs no refresh token, nor an ID token: each would be one more thing to lose.
  const { idToken: _, ...kept } = fresh;
  const scope = fresh.scope ?? (server.settings.scopes.join(' ') || undefined);
  const accountIdentity = stored.accountIdentity ?? fresh.accountIdentity;
  const tokens = { ...kept, scope, accountIdentity, refreshToken: undefined };
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
  const now = clock.now();
  const judged = stateAfterMinting(stored, refusal, now);
  const state = { ...judged, cause: cause ?? judged.cause };
  await vault.transaction(function* () {
    yield* recordState(stored.id, stored.generation, state, now);
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
