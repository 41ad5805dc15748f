/**
 * Taking over a refresh token that another program was given. It becomes a connection first and is then refreshed at
 * once, by the one path that presents refresh tokens: so not even here can a rotated one be lost.
 */
import { BrokerError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { findConnection, openTokenSet } from '../vault/connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import type { ConnectedEvent } from './login-events.ts';
import { connectedEvent, keepLogin, type LoginPlan, nothingYet } from './login-finish.ts';

/**
 * Throws `usage` while the connection has a login that works, and what a refresh throws: then the connection is there
 * and shows why.
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
    await keepLogin(
      context,
      { ...plan, purpose: { ...plan.purpose, expectedAccount: null } },
      nothingYet(clock.now(), refreshToken),
    );
  });
  const stored = await vault.run(() => findConnection(connection));
  if (!stored) throw new BrokerError('not_found', `${connection} was logged out meanwhile`);
  const refreshed = await refresher.refresh(stored, actorOf(OPERATOR));
  return connectedEvent(plan, await openTokenSet(vault.sealer, refreshed));
}

async function refuseOverWorking({ vault }: Context, name: string): Promise<void> {
  const existing = await vault.run(() => findConnection(name));
  if (existing?.state !== 'ok') return;
  throw new BrokerError(
    'usage',
    `${name} has a login that works; an unproven token must not take its place`,
    {
      hint: `keep it beside the other: --account <account>\nor log out first: broker logout ${name}`,
      connection: name,
    },
  );
}
