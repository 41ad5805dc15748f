/** Connections without a person: a machine's own credentials, kept like a login and renewed like one. */
import type { NewState } from '../core/after-refusal.ts';
import { describeGrant, type Grant } from '../core/grant.ts';
import {
  DEFAULT_SETTINGS,
  requirePossible,
  type SettingsWishes,
  wishedSettings,
} from '../core/server-settings.ts';
import { nothingYet } from '../core/token-set.ts';
import { BrokerError, quote } from '../errors.ts';
import { clientAuth } from '../oauth/client-auth.ts';
import { generateClientKey, publicJwks, readClientKey } from '../oauth/client-key.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import { deleteUnusedClient, findClient, openClient } from '../vault/clients.ts';
import { findConnection, recordState, type StoredConnection } from '../vault/connections.ts';
import type { ClientWishes } from './client-wishes.ts';
import { type ConnectionView, type PublicJwks, showFor, view } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { type Present, requireSameKind, whatIsPresent } from './kind-change.ts';
import { leaseOf, withLease } from './lease.ts';
import { discover } from './login-discovery.ts';
import { keepUnproven } from './login-finish.ts';
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
  /** Makes the client's private key here, unless it has one already. Default false. */
  generateKey?: boolean | undefined;
  grant: Grant;
}

/** The connection, and what its operator has to do with its key. */
export interface AddedMachineView extends ConnectionView {
  /** Public half of a key that was made here, to be registered with the server (RFC 7591 §2). Absent: there is none. */
  client_jwks?: PublicJwks;
  /** Whether that key is new: then no token was asked for yet. */
  is_key_new?: boolean;
}

/**
 * Adds the connection and asks for its first token, which proves the credentials. When that fails, the connection is
 * there and shows why. With a key that nobody knows yet no token is asked for: it has to be registered first.
 *
 * Throws `usage`, `config_error` for a key that cannot be used there, the errors of discovery, and what minting throws.
 */
export async function add(context: Context, wanted: NewConnection): Promise<AddedMachineView> {
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
  const found = await discover(context, target.url, settings);
  const { metadata, resource, network } = found;
  const proof = wanted.generateKey ? await ownKey(context, metadata, existing, clientId) : wanted;
  const client = await makeMachineClient(context, metadata, { ...wanted, ...proof, clientId });
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
    await keepUnproven(context, { client, metadata, purpose }, nothingYet(clock.now()));
    const former = existing?.clientRowId;
    if (former) await vault.transaction(() => deleteUnusedClient(former));
  });
  const stored = await vault.run(() => findConnection(connection));
  if (!stored) throw new Error('the connection is not there after it was saved');
  const jwks = wanted.generateKey && client.clientKey ? { client_jwks: publicJwks(client.clientKey) } : {};
  if ('isNew' in proof && proof.isNew) {
    const now = clock.now();
    await vault.transaction(() => recordState(stored.id, stored.generation, unknownKey(now), now));
    return { ...(await showFor(context, OPERATOR, connection)), ...jwks, is_key_new: true };
  }
  return { ...(await view(context, await refresher.refresh(stored, actorOf(OPERATOR)))), ...jwks };
}

/** A client for which a key is made shows nothing else. */
function requireOneProof({
  clientSecret,
  clientKey,
  clientId,
  authMethod,
}: Omit<NewConnection, 'name' | 'url'>): void {
  const isOther = clientSecret || clientKey || (authMethod ?? 'private_key_jwt') !== 'private_key_jwt';
  if (!isOther && clientId) return;
  throw new BrokerError('usage', 'a key is made only for a client that shows nothing else', {
    hint: 'name the client, and leave out its secret, its key and other ways to authenticate',
  });
}

/** The key that this client has had so far, which its server may know, else a new one. */
async function ownKey(
  { vault }: Context,
  { issuer, token_endpoint_auth_signing_alg_values_supported: offered }: ServerMetadata,
  existing: StoredConnection | undefined,
  clientId: string,
) {
  const authMethod = 'private_key_jwt' as const;
  const rowId = existing?.clientRowId;
  const row = rowId ? await vault.run(() => findClient(rowId)) : undefined;
  const isSame = row?.issuer === issuer && row.client_id === clientId;
  const clientKey = isSame ? (await openClient(vault.sealer, row)).clientKey : undefined;
  if (clientKey) return { clientKey, authMethod, isNew: false };
  return { clientKey: await generateClientKey(offered), authMethod, isNew: true };
}

/** Nobody is asked with such a key before its operator says so. */
function unknownKey(now: number): NewState {
  return {
    state: 'client_invalid',
    code: 'key_not_registered',
    cause: 'its key was made here, and is still to be registered with the server',
    ...{ since: now, nextAttemptAt: null, failures: 0 },
  };
}

/** Throws `usage` for wishes that cannot be, and for a key that cannot sign. */
export function requireMachine(wanted: Omit<NewConnection, 'name' | 'url'>): void {
  const { clientId = '', authMethod, clientSecret, clientKey, generateKey } = wanted;
  requirePossible(wanted);
  if (generateKey) requireOneProof(wanted);
  requireIssuer(wanted.grant);
  try {
    if (clientKey) readClientKey(clientKey);
    if (authMethod && !generateKey) clientAuth({ clientId, authMethod, clientSecret, clientKey });
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
