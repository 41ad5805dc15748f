/** `broker refresh`: the operator wants a refresh now, whatever the token's age and the planned next attempt. */
import { enteringCommand, isRenewable } from '../core/connection.ts';
import { isStatic } from '../core/credential-kind.ts';
import { BrokerError } from '../errors.ts';
import { findFor } from './access.ts';
import { type ConnectionView, view } from './connections.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { freshenIdentity } from './identity.ts';

/** Throws `not_found`, `login_required` (nothing to refresh with), and what the refresh path throws. */
export async function refreshNow(context: Context, caller: Caller, name: string): Promise<ConnectionView> {
  const stored = await findFor(context, caller, name);
  if (isStatic(stored.kind)) {
    throw new BrokerError('usage', `${name} was entered by hand: there is nothing to refresh`, {
      hint: enteringCommand(stored),
      connection: name,
    });
  }
  if (stored.derivedFrom !== undefined) return refreshNow(context, caller, stored.derivedFrom);
  if (!isRenewable(stored)) {
    throw new BrokerError(
      'login_required',
      `${name} came without a refresh token, so it cannot be refreshed`,
      {
        hint: `broker login ${name}`,
        connection: name,
      },
    );
  }
  if (stored.kind === 'identity') await freshenIdentity(context, name, actorOf(caller));
  return view(context, await context.refresher.refresh(stored, actorOf(caller)));
}
