/** Connections without a person: a machine's own credentials, kept like a login and renewed like one. */
import type { Grant } from '../core/grant.ts';
import {
  DEFAULT_SETTINGS,
  requirePossible,
  type SettingsWishes,
  wishedSettings,
} from '../core/server-settings.ts';
import { findConnection } from '../vault/connections.ts';
import { findServer } from '../vault/servers.ts';
import type { ClientWishes } from './client-wishes.ts';
import { type ConnectionView, view } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import { discover } from './login-discovery.ts';
import { keepLogin, nothingYet } from './login-finish.ts';
import { makeMachineClient } from './login-new-client.ts';
import { resolveTarget } from './login-target.ts';

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
  const target = await resolveTarget(context, { target: url, name });
  const before = await vault.run(() => findServer(target.server));
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
  await withLease(context, leaseOf(connection), () =>
    keepLogin(context, { client, metadata, purpose }, nothingYet(clock.now())),
  );
  const stored = await vault.run(() => findConnection(connection));
  if (!stored) throw new Error('the connection is not there after it was saved');
  return view(context, await refresher.refresh(stored, actorOf(OPERATOR)));
}
