/**
 * Taking over a refresh token that another program was given. It becomes a connection first and is then refreshed at
 * once, by the one path that presents refresh tokens: so not even here can a rotated one be lost. Whose it must be is
 * stored with it, so that whoever gets the answer, after a crash too, judges it.
 */
import { isNamed } from '../core/account.ts';
import type { Connection } from '../core/connection.ts';
import { nothingYet } from '../core/token-set.ts';
import { BrokerError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { findConnection, openTokenSet, type StoredConnection, sealTokenSet } from '../vault/connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import { type KnownTokens, requireStoredAccount, withAccount } from './login-account.ts';
import type { ConnectedEvent } from './login-events.ts';
import { connectedEvent, keepUnproven, type LoginPlan } from './login-finish.ts';
import { putTokens } from './put-tokens.ts';

/**
 * Throws `usage` while the connection has a login that may work, what a refresh throws, and `account_mismatch`. In the
 * latter cases the connection is there and shows why nobody can use it.
 */
export async function importRefreshToken(
  context: Context,
  plan: LoginPlan,
  refreshToken: Secret,
): Promise<ConnectedEvent> {
  const { vault, clock } = context;
  const { connection } = plan.purpose;
  await withLease(context, leaseOf(connection), async () => {
    await refuseOverWorking(context, connection);
    await keepUnproven(context, plan, nothingYet(clock.now(), { refreshToken }));
  });
  const stored = await vault.run(() => findConnection(connection));
  if (!stored) throw new BrokerError('not_found', `${connection} was logged out meanwhile`);
  const refreshed = await refresh(context, stored);
  const known = await withLease(context, leaseOf(connection), () => learnAccount(context, plan, refreshed));
  requireStoredAccount(known, plan.purpose);
  return connectedEvent(plan, known);
}

/** The connection with new tokens, also when they turn out to be somebody else's: nobody gets those. */
async function refresh({ vault, refresher }: Context, stored: StoredConnection): Promise<StoredConnection> {
  try {
    return await refresher.refresh(stored, actorOf(OPERATOR));
  } catch (error) {
    const current = await vault.run(() => findConnection(stored.name));
    if (current?.id !== stored.id || current.code !== 'account_mismatch') throw error;
    return current;
  }
}

/** Asks whose it is, where the refresh told no name, and keeps what is told. To be called under the lease. */
async function learnAccount(
  context: Context,
  { metadata, settings }: LoginPlan,
  refreshed: StoredConnection,
): Promise<KnownTokens> {
  const { vault, clock } = context;
  const tokens = await openTokenSet(vault.sealer, refreshed);
  const known = await withAccount(context, tokens, { metadata, network: settings.network });
  if (!isNamed(known.tokens) || isNamed(tokens)) return known;
  const { id, generation } = refreshed;
  const sealed = await sealTokenSet(vault.sealer, id, generation + 1, known.tokens);
  // Where somebody was faster, theirs stays: a name is all that is lost.
  await vault.transaction(() => putTokens(refreshed, sealed, clock.now()));
  return known;
}

/** Whether its refresh token may be good: it is, or nobody could ask. */
function mayLive({ state, code }: Connection): boolean {
  return state === 'ok' || ((state === 'degraded' || state === 'uncertain') && code !== 'invalid_grant');
}

async function refuseOverWorking({ vault }: Context, name: string): Promise<void> {
  const existing = await vault.run(() => findConnection(name));
  if (existing === undefined || !mayLive(existing)) return;
  throw new BrokerError(
    'usage',
    `${name} has a login that works; an unproven token must not take its place`,
    {
      hint: `keep it beside the other: --account <account>\nor log out first: broker logout ${name}`,
      connection: name,
    },
  );
}
