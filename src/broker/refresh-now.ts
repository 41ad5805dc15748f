/** `broker refresh`: the operator wants a refresh now, whatever the token's age and the planned next attempt. */
import { BrokerError } from '../errors.ts';
import { findFor } from './access.ts';
import { type ConnectionView, view } from './connections.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { stateError } from './state-errors.ts';

/** Throws `not_found`, `login_required` (nothing to refresh with), and what the refresh path throws. */
export async function refreshNow(context: Context, caller: Caller, name: string): Promise<ConnectionView> {
  const stored = await findFor(context, caller, name);
  if (!stored.hasRefreshToken) {
    throw new BrokerError(
      'login_required',
      `${name} came without a refresh token, so it cannot be refreshed`,
      {
        hint: `broker login ${name}`,
        connection: name,
      },
    );
  }
  // Its refresh token is known to be dead; presenting it once more could only look like an attack.
  if (stored.state === 'login_required') throw stateError(stored, context.clock.now());
  return view(context, await context.refresher.refresh(stored, actorOf(caller)));
}
