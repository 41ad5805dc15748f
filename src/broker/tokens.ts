/** An agent (or the operator) asks for an access token: allowed? usable? answer, else refresh, then answer. */
import { enteringCommand, fixingCommand, isRenewable } from '../core/connection.ts';
import { hasBearer, isStatic } from '../core/credential-kind.ts';
import { parseConnectionName } from '../core/names.ts';
import { isAlive, isServable, isUsable, refreshAfter } from '../core/refresh-policy.ts';
import { isBearer } from '../core/token-set.ts';
import { BrokerError } from '../errors.ts';
import type { Door } from '../metrics.ts';
import { requestIds } from '../request-context.ts';
import type { Secret } from '../secret.ts';
import type { AuditRecord } from '../vault/audit.ts';
import { findConnectionById, openTokenSet, type StoredConnection } from '../vault/connections.ts';
import { findServer, type Server } from '../vault/servers.ts';
import { findFor } from './access.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { findDerived, materialise, noLink } from './identity.ts';
import { refreshOrExplain, refuseHasty } from './refresh-for-caller.ts';
import { gone, stateError } from './state-errors.ts';

export interface TokenQuery {
  /** Seconds the token should live at least. Default 0. Clamped to half its lifetime. */
  minTtlSeconds?: number | undefined;
  /** Generation of a token the server refused. Refreshes only if it is still the current one. */
  rejectedGeneration?: number | undefined;
}

export interface GrantedToken {
  connection: string;
  account: string | null;
  accessToken: Secret;
  generation: number;
  /** Epoch ms. Null: unknown. */
  expiresAt: number | null;
  /** Epoch ms from which asking again gives a newer token. Null: unknown, or never. */
  refreshAfter: number | null;
  scope: string | null;
  resource: string;
  /** What the caller should know although it got a token, such as that refreshing fails. */
  warnings: string[];
}

/**
 * Hands out the access token of a connection, refreshed if need be.
 *
 * Throws `not_found`, `forbidden`, `bad_request` (it has no bearer token), `rate_limited` (a fresh token was rejected
 * again at once), `login_required`, `client_invalid`, `config_error`, `upstream_unavailable`, `save_failed`.
 */
export async function getToken(
  context: Context,
  caller: Caller,
  name: string,
  query: TokenQuery = {},
  door: Door = 'token',
): Promise<GrantedToken> {
  const stored = await findFor(context, caller, name, 'token');
  await requireNoProgram(context, stored);
  const { granted, holder } = await obtainToken(context, caller, stored, query);
  handedOut(context, caller, holder, name, door, {
    generation: granted.generation,
    token: granted.accessToken.fingerprint(),
  });
  return granted;
}

/** Throws `bad_request` for a program, which is reached through the gateway alone. */
export async function requireNoProgram(
  context: Pick<Context, 'vault' | 'memory'>,
  { name, kind, server }: StoredConnection,
): Promise<void> {
  if (kind !== 'none' || (await serverOf(context, server))?.settings.transport !== 'stdio') return;
  throw new BrokerError('bad_request', `${name} is a program behind the gateway: it has no token`, {
    hint: `connect the agent to the daemon instead, at /mcp/${name}`,
    connection: name,
  });
}

/** A token and the row it lies in: of an identity that is forwarded, not its own. */
export interface ObtainedToken {
  granted: GrantedToken;
  holder: StoredConnection;
}

/** The same for a connection the caller was found to have, without writing down that anybody got it. */
export async function obtainToken(
  context: Context,
  caller: Caller,
  stored: StoredConnection,
  query: TokenQuery = {},
): Promise<ObtainedToken> {
  const { name } = stored;
  if (!hasBearer(stored.kind)) {
    throw new BrokerError('bad_request', `${name} has no bearer token (its kind is ${stored.kind})`, {
      hint: `ask for its headers: GET /v1/connections/${name}/headers, or broker token ${name} --headers-json`,
      connection: name,
    });
  }
  if (isStatic(stored.kind)) return answer(context, requireFresh(context, stored, query), name);
  const holder = stored.kind === 'identity' ? await ownOrSource(context, stored) : stored;
  return grant(context, caller, holder, query, name);
}

/**
 * Of an identity: the login itself where its token is forwarded, else the row that holds the exchanged ones. Throws
 * `login_required` without that login, whatever was exchanged before.
 */
async function ownOrSource(context: Context, stored: StoredConnection): Promise<StoredConnection> {
  const { name } = stored;
  const { derived, server } = await context.vault.run(function* () {
    return { derived: yield* findDerived(name), server: yield* findServer(stored.server) };
  });
  if (server && derived === 'no_link') throw noLink(name, server);
  const source = derived && derived !== 'no_link' ? derived : undefined;
  const login = source && (await context.vault.run(() => findConnectionById(source.id)));
  if (!source || !login) throw gone(stored);
  return server?.settings.grant?.kind === 'forward' ? login : materialise(context, source);
}

/** @param name under which it was asked for */
async function grant(
  context: Context,
  caller: Caller,
  stored: StoredConnection,
  query: TokenQuery,
  name: string,
): Promise<ObtainedToken> {
  const isRejected = query.rejectedGeneration === stored.generation;
  const isGoodEnough = !isRejected && isUsable(stored, context.clock.now(), query.minTtlSeconds);
  if (isGoodEnough) return answer(context, stored, name);
  if (isRejected) refuseHasty(context, stored);
  const isLeft = !isRejected && isServable(stored, context.clock.now());
  try {
    return await answer(context, await refreshOrExplain(context, caller, stored, isLeft), name);
  } catch (error) {
    const current = await context.vault.run(() => findConnectionById(stored.id));
    if (!current) throw gone(stored);
    // A token that still lives is better than none, unless the server just refused this very one.
    const isJustRefused = isRejected && current.generation === stored.generation;
    const isStillLeft = !isJustRefused && isServable(current, context.clock.now());
    if (!(error instanceof BrokerError) || !isStillLeft) throw error;
    const { granted, holder } = await answer(context, current, name);
    if (granted.warnings.length > 0) return { granted, holder };
    return { granted: { ...granted, warnings: [`not refreshed: ${error.message}`] }, holder };
  }
}

/** What was entered by hand cannot be renewed here. Throws `login_required` when it has ended or was refused. */
export function requireFresh(
  { clock }: Context,
  stored: StoredConnection,
  { rejectedGeneration }: TokenQuery = {},
): StoredConnection {
  const isRejected = rejectedGeneration === stored.generation;
  if (!isRejected && isAlive(stored, clock.now())) return stored;
  const what = isRejected ? 'was refused by its server' : 'has ended';
  throw new BrokerError(
    'login_required',
    `the credential of ${stored.name} ${what}; it was entered by hand`,
    {
      hint: enteringCommand(stored),
      connection: stored.name,
    },
  );
}

/** @param name under which it was asked for: of an identity that is forwarded, not its own */
async function answer(context: Context, stored: StoredConnection, name: string): Promise<ObtainedToken> {
  const { vault, memory } = context;
  const tokens = await memory.recall(`token ${stored.id} ${stored.generation}`, async () => {
    const { accessToken, tokenType } = await openTokenSet(vault.sealer, stored);
    return { accessToken, tokenType };
  });
  // None came yet, or it is somebody else's: whatever the clock says of its life, nobody gets it.
  const isNone = tokens.accessToken.reveal() === '' || stored.code === 'account_mismatch';
  if (isNone || !isBearer(tokens.tokenType)) throw stateError(stored, context.clock.now());
  const server = await serverOf(context, parseConnectionName(name)?.server ?? stored.server);
  const granted = {
    connection: name,
    account: stored.accountIdentity,
    accessToken: tokens.accessToken,
    generation: stored.generation,
    expiresAt: stored.accessExpiresAt,
    refreshAfter: isRenewable(stored) ? refreshAfter(stored) : null,
    scope: stored.scope,
    resource: server?.resource ?? '',
    warnings: warningsFor(stored),
  };
  return { granted, holder: stored };
}

/** The server of this name, as it was last read. */
export function serverOf(
  { vault, memory }: Pick<Context, 'vault' | 'memory'>,
  name: string,
): Promise<Server | undefined> {
  return memory.recall(`server ${name}`, () => vault.run(() => findServer(name)));
}

/** Writes down who got what. */
export function handedOut(
  { handOuts, metrics }: Context,
  caller: Caller,
  { id }: StoredConnection,
  connection: string,
  door: Door,
  detail: NonNullable<AuditRecord['detail']>,
): void {
  const agentName = caller.kind === 'agent' ? caller.agent.name : undefined;
  const record = {
    ...{ actor: actorOf(caller), action: 'token', connection, outcome: 'ok' },
    detail: { ...detail, ...requestIds() },
  };
  metrics.tokenIssued(connection, door);
  handOuts.add({ connectionId: id, agentName, record });
}

function warningsFor(stored: StoredConnection): string[] {
  const warnings: string[] = [];
  const command = fixingCommand(stored);
  if (command !== null)
    warnings.push(`${stored.state}: ${stored.cause ?? 'not refreshing'}; run: ${command}`);
  if (!isRenewable(stored) && !isStatic(stored.kind))
    warnings.push('no refresh token: this login ends with its access token');
  return warnings;
}
