/** Connections without a person: a machine's own credentials, kept like a login and renewed like one. */
import { describeGrant, type Grant } from '../core/grant.ts';
import {
  DEFAULT_SETTINGS,
  requirePossible,
  type SettingsWishes,
  wishedSettings,
} from '../core/server-settings.ts';
import { BrokerError, quote } from '../errors.ts';
import { clientAuth } from '../oauth/client-auth.ts';
import { readClientKey } from '../oauth/client-key.ts';
import { deleteUnusedClient } from '../vault/clients.ts';
import { findConnection } from '../vault/connections.ts';
import type { ClientWishes } from './client-wishes.ts';
import { type ConnectionView, view } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { type Present, requireSameKind, whatIsPresent } from './kind-change.ts';
import { leaseOf, withLease } from './lease.ts';
import { discover } from './login-discovery.ts';
import { keepLogin, nothingYet } from './login-finish.ts';
import { makeMachineClient } from './login-new-client.ts';
import { type LoginTarget, resolveNewTarget } from './login-target.ts';

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
  const { grant, clientId = '' } = wanted;
  requireMachine(wanted);
  const target = await resolveNewTarget(context, wanted);
  const present = await whatIsPresent(context, target);
  requireSameKind(present, target, 'client_credentials');
  requireSameGrant(present, target, grant);
  const { before, existing } = present;
  const wished = machineSettings(wanted);
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

/** Throws `usage` for wishes that cannot be, and for a key that cannot sign. */
export function requireMachine(wanted: Omit<NewConnection, 'name' | 'url'>): void {
  const { clientId = '', authMethod, clientSecret, clientKey } = wanted;
  requirePossible(wanted);
  requireIssuer(wanted.grant);
  try {
    if (clientKey) readClientKey(clientKey);
    if (authMethod) clientAuth({ clientId, authMethod, clientSecret, clientKey });
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    // Nothing is configured yet: it was typed so.
    throw new BrokerError('usage', error.message, { hint: error.hint });
  }
}

/** What is kept with the server. Nobody is redirected: PKCE has nothing to protect. */
export function machineSettings(wanted: Omit<NewConnection, 'name' | 'url'>) {
  return { ...wishedSettings(wanted), pkce: 'assumed', grant: wanted.grant } as const;
}

/** The grant is kept with the server, for all its connections. Throws `usage` where it would change for others. */
function requireSameGrant({ before, others }: Present, { server, url }: LoginTarget, grant: Grant): void {
  const [other] = others;
  if (!other || JSON.stringify(before?.settings.grant) === JSON.stringify(grant)) return;
  const way = before?.settings.grant ? ` (${describeGrant(before.settings.grant)})` : '';
  throw new BrokerError('usage', `${other.name} gets its tokens from ${server} in another way${way}`, {
    hint: `give this one a server name of its own: broker add <name> --url ${url} …`,
    connection: other.name,
  });
}

function requireIssuer(grant: Grant): void {
  if (grant.kind !== 'id_jag' || URL.parse(grant.identityProvider.issuer) !== null) return;
  throw new BrokerError('usage', `${quote(grant.identityProvider.issuer)} is no issuer`, {
    hint: '--identity-issuer takes the https URL that the identity provider’s metadata names as issuer',
  });
}
