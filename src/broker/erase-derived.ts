/** Erasing what was made from identities: rows, and the client that exchanges them. The logins behind stay. */
import { deleteUnusedClient } from '../vault/clients.ts';
import { deleteConnection, listConnections } from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import type { Server } from '../vault/servers.ts';

/** Erases all connections of a server of identities, and our client at its own authorization server. */
export function* eraseDerived({ name, settings: { grant } }: Server): Steps<void> {
  const all = yield* listConnections();
  for (const each of all) if (each.server === name) yield* deleteConnection(each.id);
  if (grant?.kind === 'exchange' && grant.clientRowId !== undefined)
    yield* deleteUnusedClient(grant.clientRowId);
}
