/** Logout: end the grant at the server, take our registration back when nobody needs it, and forget it here. */
import { parseConnectionName } from '../core/names.ts';
import { BrokerError } from '../errors.ts';
import { findFor } from './access.ts';
import { requireAdmin } from './admin.ts';
import type { Caller, Context } from './context.ts';
import { findIdentityServer, logoutIdentityServer } from './logout-identity.ts';
import { type LogoutView, logoutOne } from './logout-one.ts';

/**
 * Logs out a connection, or a server of identities with all that is made from them; the latter is the operator's.
 * What the server does not confirm is forgotten here all the same.
 *
 * Throws `forbidden` (an agent without the admin right), `not_found`, `usage` for what is only a view of a login.
 */
export async function logout(context: Context, caller: Caller, name: string): Promise<LogoutView> {
  await requireAdmin(context, caller, 'logout', name);
  const identities = caller.kind === 'operator' ? await findIdentityServer(context, name) : undefined;
  if (identities) return logoutIdentityServer(context, identities);
  const seen = await findFor(context, caller, name);
  if (seen.derivedFrom === undefined) return logoutOne(context, caller, seen);
  const server = parseConnectionName(name)?.server;
  throw new BrokerError(
    'usage',
    `${name} is made from the login ${seen.derivedFrom}, which others may use too`,
    {
      hint: `to end that login: broker logout ${seen.derivedFrom}\nto give up ${server} for all its users: broker logout ${server}`,
      connection: name,
    },
  );
}
