/**
 * Taking over a refresh token that another program was given. It becomes a connection first and is then refreshed at
 * once, by the one path that presents refresh tokens: so not even here can a rotated one be lost.
 */
import type { Connection } from '../core/connection.ts';
import { BrokerError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { findConnection, openTokenSet, recordState, type StoredConnection } from '../vault/connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import type { ConnectedEvent } from './login-events.ts';
import { connectedEvent, keepLogin, type LoginPlan, nothingYet, requireAccount } from './login-finish.ts';

/**
 * Throws `usage` while the connection has a login that may work, what a refresh throws, and `account_mismatch`. In the
 * latter cases the connection is there and shows why nobody can use it.
 */
export async function importRefreshToken(
  context: Context,
  plan: LoginPlan,
  refreshToken: Secret,
): Promise<ConnectedEvent> {
  const { vault, clock, refresher } = context;
  const { connection } = plan.purpose;
  await withLease(context, leaseOf(connection), async () => {
    await refuseOverWorking(context, connection);
    // Whose it is will be told by the refresh.
    const anybody = { ...plan, purpose: { ...plan.purpose, expectedAccount: null } };
    await keepLogin(context, anybody, nothingYet(clock.now(), refreshToken));
  });
  const stored = await vault.run(() => findConnection(connection));
  if (!stored) throw new BrokerError('not_found', `${connection} was logged out meanwhile`);
  const refreshed = await refresher.refresh(stored, actorOf(OPERATOR));
  await checkAccount(context, plan, refreshed);
  return connectedEvent(plan, await openTokenSet(vault.sealer, refreshed));
}

/** Nobody gets a token of a login that belongs to somebody else. */
async function checkAccount(
  { vault, clock }: Context,
  { purpose }: LoginPlan,
  refreshed: StoredConnection,
): Promise<void> {
  try {
    requireAccount(refreshed.accountIdentity ?? undefined, purpose);
  } catch (error) {
    const cause = 'the imported login belongs to another account than demanded';
    const state = { state: 'login_required', code: 'account_mismatch', cause, since: clock.now() } as const;
    await vault.transaction(() =>
      recordState(refreshed.id, refreshed.generation, { ...state, nextAttemptAt: null, failures: 1 }),
    );
    throw error;
  }
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
