/** Logout of one connection: end its grant at the server, take our registration back, and erase it here. */
import { isStatic } from '../core/credential-kind.ts';
import { DEFAULT_SETTINGS, type ServerSettings } from '../core/server-settings.ts';
import type { Fetch } from '../oauth/http.ts';
import { deleteManaged } from '../oauth/registration-management.ts';
import { type RevocationOutcome, revokeToken } from '../oauth/revocation.ts';
import { reached } from '../steps.ts';
import { type Client, deleteUnusedClient, findClient, openClient } from '../vault/clients.ts';
import {
  deleteConnection,
  findConnectionById,
  openTokenSet,
  type StoredConnection,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { deleteUnusedServer, findServer, listServers } from '../vault/servers.ts';
import { deleteSessions } from '../vault/sessions.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { forgetExchanged } from './identity.ts';
import { leaseOf, withLease } from './lease.ts';

export interface LogoutView {
  connection: string;
  /**
   * What the server did with the tokens. `unsupported`: it offers no revocation. `by_hand`: the credential was entered
   * by hand, and only its vendor can end it. `nothing`: there was none.
   */
  revocation: RevocationOutcome | 'by_hand' | 'nothing';
  /** Whether our registration there was deleted. Absent: others use it, or it cannot be deleted. */
  registration_deleted?: boolean;
  /** Of a server of identities: the connections that are gone with it. */
  gone?: string[];
}

/**
 * Revokes, deregisters and erases. Goes on when the server does not answer: what is erased here cannot be used
 * by us any more, and the outcome says what the server may still accept.
 */
export async function logoutOne(
  context: Context,
  caller: Caller,
  seen: StoredConnection,
): Promise<LogoutView> {
  const { name } = seen;
  return withLease(context, leaseOf(name), async () => {
    // Under the lease nobody refreshes: these are the last tokens.
    const stored = (await context.vault.run(() => findConnectionById(seen.id))) ?? seen;
    reached('logout.leased');
    const client = await clientOf(context, stored);
    const server = await context.vault.run(() => findServer(stored.server));
    const { network, basicEncoding } = server?.settings ?? DEFAULT_SETTINGS;
    const fetch = context.fetchFor(network);
    const revocation = client
      ? await revokeAll(context, stored, client, { network, basicEncoding })
      : withoutClient(stored);
    reached('logout.revoked');
    const isClientUnused = await erase(context, caller, stored, revocation);
    reached('logout.erased');
    const registration = client && isClientUnused ? await deregister(fetch, client) : undefined;
    reached('logout.deregistered');
    return {
      connection: name,
      revocation,
      ...(registration === undefined ? {} : { registration_deleted: registration }),
    };
  });
}

function withoutClient({ kind }: StoredConnection): LogoutView['revocation'] {
  if (kind === 'none') return 'nothing';
  return isStatic(kind) ? 'by_hand' : 'unsupported';
}

async function clientOf({ vault }: Context, stored: StoredConnection): Promise<Client | undefined> {
  const rowId = stored.clientRowId;
  const row = rowId === null ? undefined : await vault.run(() => findClient(rowId));
  return row && openClient(vault.sealer, row);
}

async function revokeAll(
  context: Context,
  stored: StoredConnection,
  client: Client,
  { network, basicEncoding }: Pick<ServerSettings, 'network' | 'basicEncoding'>,
): Promise<RevocationOutcome> {
  const { vault } = context;
  const fetch = context.fetchFor(network);
  const { accessToken, refreshToken } = await openTokenSet(vault.sealer, stored);
  const metadata = await context.metadata.get(client.issuer, client.serverMetadata, network);
  // The refresh token first: it is the one that could go on for months.
  const refresh =
    refreshToken &&
    (await revokeToken(metadata, client, refreshToken, 'refresh_token', fetch, basicEncoding));
  const access = await revokeToken(metadata, client, accessToken, 'access_token', fetch, basicEncoding);
  return refresh ?? access;
}

/** True when no other connection uses the client, which is then gone too, unless a person entered it for logins. */
async function erase(
  { vault }: Context,
  caller: Caller,
  stored: StoredConnection,
  revocation: LogoutView['revocation'],
): Promise<boolean> {
  return vault.transaction(function* () {
    yield* deleteConnection(stored.id);
    yield* forgetExchanged(stored);
    yield* deleteSessions({ connection: stored.name });
    const row = stored.clientRowId === null ? undefined : yield* findClient(stored.clientRowId);
    // A machine's client, which has no redirect URI, serves no login: its secret need not stay.
    const isOurs = row?.source === 'registered' || row?.redirect_uri === '';
    const isClientGone =
      row !== undefined && isOurs && !(yield* isOfServer(row.id)) && (yield* deleteUnusedClient(row.id));
    yield* deleteUnusedServer(stored.server);
    yield* vault.audit.append({
      actor: actorOf(caller),
      action: 'logout',
      connection: stored.name,
      outcome: 'ok',
      detail: { revocation },
    });
    return isClientGone;
  });
}

/** Whether it is how a server of identities redeems grants: for its users to come, too. */
function* isOfServer(clientRowId: string): Steps<boolean> {
  const servers = yield* listServers();
  return servers.some(
    ({ settings: { grant } }) => grant?.kind === 'exchange' && grant.clientRowId === clientRowId,
  );
}

async function deregister(fetch: Fetch, client: Client): Promise<boolean | undefined> {
  const { registrationClientUri, registrationAccessToken } = client;
  if (registrationClientUri === undefined || registrationAccessToken === undefined) return undefined;
  return deleteManaged({ ...client, registrationClientUri, registrationAccessToken }, fetch);
}
