/** Servers whose connections are made from the identity of the user who calls: nobody signs in there again. */
import type { AuthMethod } from '../core/auth-methods.ts';
import type { Grant } from '../core/grant.ts';
import { formatConnectionName, requireConnectionName } from '../core/names.ts';
import { DEFAULT_SETTINGS, type ServerSettings } from '../core/server-settings.ts';
import { BrokerError, printable, quote } from '../errors.ts';
import { readClientKey } from '../oauth/client-key.ts';
import type { Secret } from '../secret.ts';
import { listConnections } from '../vault/connections.ts';
import { findServer, saveServer } from '../vault/servers.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { eraseDerived } from './erase-derived.ts';
import { kindOf, requireSameKind, whatIsPresent } from './kind-change.ts';
import { discover } from './login-discovery.ts';
import { makeMachineClient } from './login-new-client.ts';
import { requireNewTarget, resolveNewTarget } from './login-target.ts';

/** The server's own authorization server takes grants of identity providers (MCP enterprise-managed authorization). */
const ID_JAG_PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag';

export interface NewIdentityServer {
  /** Name of the server; its connections are `name` and `name@account`. */
  name: string;
  url: string;
  /** Name of the server whose logins are the identities, such as `corp`. */
  source: string;
  /** `forward`: the identity's own access token goes there as it is. */
  mode: 'forward' | 'exchange';
  /** Our client at the server's own authorization server, where that takes grants. */
  clientId?: string | undefined;
  clientSecret?: Secret | undefined;
  /** PEM or JWK, for `private_key_jwt`. */
  clientKey?: Secret | undefined;
  authMethod?: AuthMethod | undefined;
  scopes?: readonly string[] | undefined;
}

/** The server, and how its connections will get their tokens. */
export interface IdentityServerView {
  server: string;
  url: string;
  source: string;
  way: 'forward' | 'token_exchange' | 'id_jag';
  /** Connections there are by now. */
  connections: string[];
}

/** Throws `usage` for an unknown source and for a name that other connections have, and the errors of discovery. */
export async function addIdentityServer(
  context: Context,
  wanted: NewIdentityServer,
): Promise<IdentityServerView> {
  const { vault, clock } = context;
  const { name, source, mode } = wanted;
  requireIdentityServer(wanted);
  refuseNeedless(wanted);
  const target = await resolveNewTarget(context, wanted);
  const present = await whatIsPresent(context, target);
  await requireSource(context, source);
  requireSameKind(present, target, 'identity');
  const settings: ServerSettings = { ...DEFAULT_SETTINGS, scopes: wanted.scopes ?? [] };
  const way =
    mode === 'forward'
      ? { ...settings, grant: { kind: 'forward', source } as const, resource: target.url }
      : await exchangeWay(context, wanted, target.url, settings);
  const { resource, ...kept } = way;
  const { before } = present;
  const logins = await vault.transaction(function* () {
    // What was exchanged in another way, or for other scopes, is of no use any more.
    if (before) yield* eraseDerived(before);
    yield* saveServer({
      ...{ name, url: target.url, kind: 'identity', resource, settings: kept, createdAt: clock.now() },
    });
    const detail = { kind: 'identity', source, mode };
    yield* vault.audit.append({
      ...{ actor: actorOf(OPERATOR), action: 'add', connection: name, outcome: 'ok', detail },
    });
    return (yield* listConnections()).filter((each) => each.server === source);
  });
  return {
    server: name,
    url: target.url,
    source,
    way: kept.grant.kind === 'forward' ? 'forward' : kept.grant.way,
    connections: logins.map(({ account }) =>
      formatConnectionName({ server: name, account: account ?? undefined }),
    ),
  };
}

/** Throws `usage` for a name with an account, and for a server that would be made from itself. */
export function requireIdentityServer({ name, url, source }: NewIdentityServer): void {
  requireNewTarget({ name, url });
  const { server, account } = requireConnectionName(name);
  if (account !== undefined) {
    throw new BrokerError('usage', `${name} names an account, but identities bring their own`, {
      hint: `give the server alone: broker add ${server} --url ${url} --identity ${source}`,
    });
  }
  if (source === name) throw noIdentities(source);
}

/** The refusal for a source that is none: `usage`. */
export function noIdentities(source: string): BrokerError {
  return new BrokerError('usage', `there are no identities called ${quote(source)}`, {
    hint: 'sign in to the identity provider first: broker login <its issuer> --name <name> --account <user>',
  });
}

async function requireSource({ vault }: Context, source: string): Promise<void> {
  const identity = await vault.run(() => findServer(source));
  if (!identity) throw noIdentities(source);
  if (identity.kind === 'oauth') return;
  throw new BrokerError('usage', `${source} has no logins of users: it is of kind ${kindOf(identity)}`, {
    hint: 'identities come from a server that users sign in to: broker login <its issuer> --name <name> --account <user>',
  });
}

/** What is forwarded as it is needs no client of ours. */
function refuseNeedless({ mode, clientId, clientSecret, clientKey, authMethod }: NewIdentityServer): void {
  if (clientKey) readClientKey(clientKey);
  const isForAClient = [clientId, clientSecret, clientKey, authMethod].some((each) => each !== undefined);
  if (mode === 'forward' && isForAClient) {
    throw new BrokerError('usage', 'what is forwarded as it is needs no client', {
      hint: 'leave out --client-id and what belongs to it\nor exchange it: --exchange',
    });
  }
  if (clientId !== undefined || !isForAClient) return;
  throw new BrokerError('usage', 'the OAuth client is missing', { hint: 'add --client-id <id>' });
}

/** How an identity becomes a token for this server. */
async function exchangeWay(
  context: Context,
  { source, clientId, clientSecret, clientKey, authMethod }: NewIdentityServer,
  url: string,
  settings: ServerSettings,
): Promise<ServerSettings & { resource: string; grant: Extract<Grant, { kind: 'exchange' }> }> {
  const found = await discover(context, url, { ...settings, pkce: 'assumed' });
  const { metadata, resource, network } = found;
  const scopes = settings.scopes.length > 0 ? settings.scopes : (found.challengeScope?.split(' ') ?? []);
  const kept = { ...settings, scopes, network, resource };
  const profiles = metadata.authorization_grant_profiles_supported;
  if (!Array.isArray(profiles) || !profiles.includes(ID_JAG_PROFILE)) {
    if (clientId !== undefined) throw takesNoGrants(metadata.issuer);
    return { ...kept, grant: { kind: 'exchange', source, way: 'token_exchange' } };
  }
  if (clientId === undefined) {
    throw new BrokerError(
      'usage',
      `${printable(metadata.issuer)} takes the company’s grants, but wants to know our client`,
      {
        hint: 'ask its operator for one, and give it with --client-id and --client-secret-file',
      },
    );
  }
  const ours = { clientId, clientSecret, clientKey, authMethod };
  const client = await makeMachineClient(context, metadata, ours);
  return { ...kept, grant: { kind: 'exchange', source, way: 'id_jag', clientRowId: client.rowId } };
}

/** A client there would never be asked for: the exchange is made as the client of the logins. */
function takesNoGrants(issuer: string): BrokerError {
  return new BrokerError(
    'usage',
    `${printable(issuer)} does not take the company’s grants, so no client of ours is needed there`,
    { hint: 'leave out --client-id: tokens are exchanged at the company alone (RFC 8693)' },
  );
}
