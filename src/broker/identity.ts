/**
 * Connections made from a user's identity: `internal@alice` from `corp@alice`, where alice signed in once with her
 * company. Its state and remedy are those of the login it is made from; a user without that login is refused, never
 * sent on without a token.
 */
import { randomUUID } from 'node:crypto';
import { sourceOf } from '../core/grant.ts';
import { formatConnectionName, parseConnectionName } from '../core/names.ts';
import { DEFAULT_SETTINGS } from '../core/server-settings.ts';
import { BrokerError } from '../errors.ts';
import {
  findConnection,
  insertConnection,
  listConnections,
  type StoredConnection,
  sealTokenSet,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { findServer, listServers, type Server } from '../vault/servers.ts';
import type { Context } from './context.ts';
import { nothingYet } from './login-finish.ts';

/** The connection as it follows from the identity it is made from. Undefined: there is no such server of that kind. */
export function* findDerived(name: string): Steps<StoredConnection | 'no_link' | undefined> {
  const parsed = parseConnectionName(name);
  const server = parsed && (yield* findServer(parsed.server));
  const source = server && sourceOf(server.settings.grant);
  if (!parsed || !server || source === undefined) return undefined;
  const login = yield* findConnection(formatConnectionName({ server: source, account: parsed.account }));
  return login ? derive(server, login) : 'no_link';
}

/** All connections that follow from identities and have no row of their own. */
export function* listDerived(): Steps<StoredConnection[]> {
  const servers = yield* listServers();
  const connections = yield* listConnections();
  const isStored = (name: string) => connections.some((each) => each.name === name);
  return servers.flatMap((server) => {
    const source = sourceOf(server.settings.grant);
    const logins = connections.filter((each) => each.server === source);
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
  const { grant } = (await vault.run(() => findServer(server)))?.settings ?? DEFAULT_SETTINGS;
  // A grant is redeemed as our client at the server's own authorization server.
  const ours = grant?.kind === 'exchange' ? grant.clientRowId : undefined;
  const clientRowId = ours ?? derived.clientRowId;
  const id = randomUUID();
  const now = clock.now();
  const sealed = await sealTokenSet(vault.sealer, id, 1, nothingYet(now));
  return vault.transaction(function* () {
    const existing = yield* findConnection(name);
    if (existing) return existing;
    yield* insertConnection({ id, name, server, account, clientRowId, createdAt: now }, sealed);
    const stored = yield* findConnection(name);
    if (!stored) throw new Error('the connection is not there after it was stored');
    return stored;
  });
}

function derive(server: Server, login: StoredConnection): StoredConnection {
  const { account } = login;
  const name = formatConnectionName({ server: server.name, account: account ?? undefined });
  return { ...login, name, server: server.name, kind: 'identity', isMinted: false, derivedFrom: login.name };
}
