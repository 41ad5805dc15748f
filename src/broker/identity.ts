/**
 * Connections made from a user's identity: `internal@alice` from `corp@alice`, where alice signed in once with her
 * company. Its state and remedy are those of the login it is made from; a user without that login is refused, never
 * sent on without a token.
 */
import { randomUUID } from 'node:crypto';
import { idTokenEndsAt } from '../core/account.ts';
import { sourceOf } from '../core/grant.ts';
import { formatConnectionName, parseConnectionName } from '../core/names.ts';
import { EXPIRY_SKEW_MS, isUsable } from '../core/refresh-policy.ts';
import { DEFAULT_SETTINGS } from '../core/server-settings.ts';
import { nothingYet } from '../core/token-set.ts';
import { BrokerError } from '../errors.ts';
import {
  deleteConnection,
  findConnection,
  findConnectionById,
  insertConnection,
  listConnections,
  openTokenSet,
  type StoredConnection,
  sealTokenSet,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { findServer, listServers, type Server } from '../vault/servers.ts';
import type { Context } from './context.ts';

/** The connection as it follows from the identity it is made from. Undefined: there is no such server of that kind. */
export function* findDerived(name: string): Steps<StoredConnection | 'no_link' | undefined> {
  const parsed = parseConnectionName(name);
  const server = parsed && (yield* findServer(parsed.server));
  const source = server && sourceOf(server.settings.grant);
  if (!parsed || !server || source === undefined) return undefined;
  const login = yield* findConnection(formatConnectionName({ server: source, account: parsed.account }));
  // What was entered by hand under that name is nobody's identity.
  return login?.kind === 'oauth' ? derive(server, login) : 'no_link';
}

/** All connections that follow from identities and have no row of their own. */
export function* listDerived(): Steps<StoredConnection[]> {
  const servers = yield* listServers();
  const connections = yield* listConnections();
  const isStored = (name: string) => connections.some((each) => each.name === name);
  return servers.flatMap((server) => {
    const source = sourceOf(server.settings.grant);
    const logins = connections.filter((each) => each.server === source && each.kind === 'oauth');
    return logins.map((login) => derive(server, login)).filter(({ name }) => !isStored(name));
  });
}

/** The refusal for a user who has not signed in with the identity: `login_required`. */
export function noLink(name: string, { settings }: Server): BrokerError {
  const account = parseConnectionName(name)?.account;
  const source = formatConnectionName({ server: sourceOf(settings.grant) ?? '', account });
  return new BrokerError(
    'login_required',
    `${name} needs the identity ${source}, and nobody has signed in there`,
    {
      hint: `broker login ${source}`,
      connection: name,
    },
  );
}

/**
 * The row of an exchanged connection, made when it is first used: its tokens are its own, and are asked for with the
 * identity's.
 */
export async function materialise(
  { vault, clock }: Pick<Context, 'vault' | 'clock'>,
  derived: StoredConnection,
): Promise<StoredConnection> {
  const { name, server, account } = derived;
  const before = await vault.run(() => findConnection(name));
  if (before) return before;
  const { grant } = (await vault.run(() => findServer(server)))?.settings ?? DEFAULT_SETTINGS;
  // A grant is redeemed as our client at the server's own authorization server.
  const ours = grant?.kind === 'exchange' ? grant.clientRowId : undefined;
  const clientRowId = ours ?? derived.clientRowId;
  const id = randomUUID();
  const now = clock.now();
  const accountIdentity = derived.accountIdentity ?? undefined;
  const sealed = await sealTokenSet(vault.sealer, id, 1, nothingYet(now, { accountIdentity }));
  return vault.transaction(function* () {
    const existing = yield* findConnection(name);
    if (existing) return existing;
    yield* insertConnection({ id, name, server, account, clientRowId, createdAt: now }, sealed);
    const stored = yield* findConnection(name);
    if (!stored) throw new Error('the connection is not there after it was stored');
    return stored;
  });
}

/**
 * Makes sure that the login behind an exchanged connection has tokens that live. Throws what its refresh throws.
 *
 * @param actor who asked, for the audit trail
 */
export async function freshenIdentity(
  { vault, clock, refresher }: Context,
  name: string,
  actor: string,
): Promise<void> {
  const { login, grant } = await vault.run(function* () {
    const derived = yield* findDerived(name);
    const login = derived && derived !== 'no_link' ? yield* findConnectionById(derived.id) : undefined;
    const server = yield* findServer(parseConnectionName(name)?.server ?? '');
    return { login, grant: server?.settings.grant };
  });
  // Who asks next is told that nobody has signed in.
  if (!login || grant?.kind !== 'exchange') return;
  const now = clock.now();
  const endsAt = grant.way === 'id_jag' ? idTokenEndsAt(await openTokenSet(vault.sealer, login)) : undefined;
  const isEnding = endsAt !== undefined && endsAt - now <= EXPIRY_SKEW_MS;
  if (!isUsable(login, now) || (isEnding && login.hasRefreshToken)) await refresher.refresh(login, actor);
}

/**
 * Forgets what was exchanged with a login that is another by now, or none: it may have been another person's, and what
 * stood in the way of an exchange may be gone.
 */
export function* forgetExchanged({
  server: source,
  account,
}: Pick<StoredConnection, 'server' | 'account'>): Steps<void> {
  const servers = (yield* listServers()).filter(({ settings }) => sourceOf(settings.grant) === source);
  for (const { name: server } of servers) {
    const name = formatConnectionName({ server, account: account ?? undefined });
    const exchanged = yield* findConnection(name);
    if (exchanged) yield* deleteConnection(exchanged.id);
  }
}

/** What is made from an identity is in no better state than that, and belongs to the same account. */
export async function withIdentity(
  { vault }: Pick<Context, 'vault'>,
  own: StoredConnection,
): Promise<StoredConnection> {
  if (own.kind !== 'identity' || own.derivedFrom !== undefined) return own;
  const derived = await vault.run(() => findDerived(own.name));
  if (!derived || derived === 'no_link') return own;
  const { accountIdentity } = derived;
  // A person has to sign in there again before anything can be exchanged.
  const needsLogin = own.code === 'login_required' && own.state !== 'ok';
  if (needsLogin) {
    const derivedFrom = derived.derivedFrom ?? derived.name;
    return { ...own, state: 'login_required', accountIdentity, derivedFrom, isMinted: false };
  }
  if (derived.state === 'ok') return { ...own, accountIdentity };
  const { state, code, cause, since, nextAttemptAt, askAgainAt, derivedFrom = derived.name } = derived;
  const following = { state, code, cause, since, nextAttemptAt, askAgainAt, derivedFrom, accountIdentity };
  return { ...own, ...following, isMinted: derived.isMinted };
}

function derive(server: Server, login: StoredConnection): StoredConnection {
  const { account } = login;
  const name = formatConnectionName({ server: server.name, account: account ?? undefined });
  return { ...login, name, server: server.name, kind: 'identity', isMinted: false, derivedFrom: login.name };
}
