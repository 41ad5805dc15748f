/** Connections without a person: a machine's own credentials, kept like a login and renewed like one. */
import type { Grant } from '../core/grant.ts';
import {
  DEFAULT_SETTINGS,
  requirePossible,
  type SettingsWishes,
  wishedSettings,
} from '../core/server-settings.ts';
import { BrokerError, quote } from '../errors.ts';
import { deleteUnusedClient } from '../vault/clients.ts';
import { findConnection, listConnections, type StoredConnection } from '../vault/connections.ts';
import { findServer, type Server } from '../vault/servers.ts';
import type { ClientWishes } from './client-wishes.ts';
import { type ConnectionView, view } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import { discover } from './login-discovery.ts';
import { keepLogin, nothingYet } from './login-finish.ts';
import { makeMachineClient } from './login-new-client.ts';
import { type LoginTarget, resolveTarget } from './login-target.ts';

export interface NewConnection
  extends SettingsWishes,
    Pick<ClientWishes, 'clientSecret' | 'clientKey' | 'authMethod'> {
  /** `server` or `server@account`. Adding it again replaces its credentials. */
  name: string;
  url: string;
  /** Absent: only the assertion says who we are. */
  clientId?: string | undefined;
  grant: Grant;
}

/**
 * Adds the connection and asks for its first token, which proves the credentials. When that fails, the connection is
 * there and shows why.
 *
 * Throws `usage`, the errors of discovery, and what minting throws.
 */
export async function add(context: Context, wanted: NewConnection): Promise<ConnectionView> {
  const { vault, clock, refresher } = context;
  const { name, url, grant, clientId = '' } = wanted;
  requirePossible(wanted);
  requireIssuer(grant);
  const target = await resolveTarget(context, { target: url, name });
  const { before, existing } = await whatIsThere(context, target, grant);
  // Nobody is redirected: PKCE has nothing to protect.
  const wished = { ...wishedSettings(wanted), pkce: 'assumed', grant } as const;
  const settings = { ...(before?.settings ?? DEFAULT_SETTINGS), ...wished };
  const found = await discover(context, target.url, settings, undefined, undefined);
  const { metadata, resource, network } = found;
  const client = await makeMachineClient(context, metadata, { ...wanted, clientId });
  const { connection, server, account = null } = target;
  const scopes =
    settings.scopes.length > 0
      ? settings.scopes
      : (found.challengeScope?.split(' ') ?? found.scopesSupported ?? []);
  const purpose = {
    ...{ connection, server, account, url: target.url, resource, scope: undefined, expectedAccount: null },
    settings: { ...wished, scopes, network },
  };
  await withLease(context, leaseOf(connection), async () => {
    await keepLogin(context, { client, metadata, purpose }, nothingYet(clock.now()));
    const former = existing?.clientRowId;
    if (former) await vault.transaction(() => deleteUnusedClient(former));
  });
  const stored = await vault.run(() => findConnection(connection));
  if (!stored) throw new Error('the connection is not there after it was saved');
  return view(context, await refresher.refresh(stored, actorOf(OPERATOR)));
}

/** What earlier calls left. Throws `usage` where the new connection would change how others get their tokens. */
async function whatIsThere(
  { vault }: Context,
  { connection: name, server, url }: LoginTarget,
  grant: Grant,
): Promise<{ before: Server | undefined; existing: StoredConnection | undefined }> {
  const { before, all } = await vault.run(function* () {
    return { before: yield* findServer(server), all: yield* listConnections() };
  });
  const existing = all.find((each) => each.name === name);
  if (existing && !existing.isMinted) {
    throw new BrokerError('usage', `${name} is the login of a person`, {
      hint: `choose another name\nor give that login up first: broker logout ${name}`,
      connection: name,
    });
  }
  // The grant is kept with the server, for all its connections.
  const others = all.filter((each) => each.server === server && each.name !== name);
  const [other] = others;
  if (other && JSON.stringify(before?.settings.grant) !== JSON.stringify(grant)) {
    throw new BrokerError('usage', `${other.name} gets its tokens from ${server} in another way`, {
      hint: `give this one a server name of its own: broker add <name> --url ${url} …`,
      connection: other.name,
    });
  }
  return { before, existing };
}

function requireIssuer(grant: Grant): void {
  if (grant.kind !== 'id_jag' || URL.parse(grant.identityProvider.issuer) !== null) return;
  throw new BrokerError('usage', `${quote(grant.identityProvider.issuer)} is no issuer`, {
    hint: '--identity-issuer takes the https URL that the identity provider’s metadata names as issuer',
  });
}
