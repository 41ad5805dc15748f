/** A refresh because somebody asks for a token: when it may be tried, and when that would only burn the grant. */
import { isRenewable } from '../core/connection.ts';
import { isServable, minRefreshIntervalMs } from '../core/refresh-policy.ts';
import { askableAt, attemptAt } from '../core/schedule.ts';
import { BrokerError } from '../errors.ts';
import type { StoredConnection } from '../vault/connections.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { freshenIdentity, withIdentity } from './identity.ts';
import { stateError } from './state-errors.ts';

/**
 * Refreshes, unless it is known that it cannot help now.
 *
 * @param isLeft whether there is a token that will do if this brings none
 */
export async function refreshOrExplain(
  context: Context,
  caller: Caller,
  stored: StoredConnection,
  isLeft: boolean,
): Promise<StoredConnection> {
  const now = context.clock.now();
  const isHopeless = stored.nextAttemptAt === null && stored.state !== 'ok';
  // A token that lives can wait for the planned attempt; whoever has none is let try before, if that may help.
  const dueAt = isLeft ? attemptAt(stored, now) : askableAt(stored, now);
  const isTooEarly = now < (dueAt ?? now);
  const isOver = !isRenewable(stored) && isServable(stored, now);
  if (isHopeless || isTooEarly || isOver) throw stateError(await withIdentity(context, stored), now);
  if (stored.kind === 'identity') await freshenIdentity(context, stored.name, actorOf(caller));
  return context.refresher.refresh(stored, actorOf(caller));
}

/** A caller whose fresh token is rejected has another problem than its age; refreshing in a circle burns the grant. */
export function refuseHasty({ clock }: Context, stored: StoredConnection): void {
  const age = clock.now() - stored.receivedAt;
  const intervalMs = minRefreshIntervalMs(stored);
  // A negative age tells of a clock that was set back, not of a fresh token.
  if (age < 0 || age >= intervalMs) return;
  throw new BrokerError(
    'rate_limited',
    `the token of ${stored.name} was refreshed only ${Math.floor(age / 1000)} s ago`,
    {
      hint: 'if the server rejects it still, its scope or audience may be wrong: look at the 401 it sends',
      connection: stored.name,
      retryAfterSeconds: Math.ceil((intervalMs - age) / 1000),
    },
  );
}
