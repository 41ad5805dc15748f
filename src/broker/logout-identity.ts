/**
 * Logout of a server of identities: all that is made from users' logins goes at once. The logins themselves, which
 * belong to another server and may serve others too, are never touched.
 */
import { listConnections } from '../vault/connections.ts';
import { deleteServer, findServer, type Server } from '../vault/servers.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { eraseDerived } from './erase-derived.ts';
import { listDerived } from './identity.ts';
import { type LogoutView, logoutOne } from './logout-one.ts';

/** The server of identities of this name. Undefined: there is none. */
export async function findIdentityServer({ vault }: Context, name: string): Promise<Server | undefined> {
  const server = await vault.run(() => findServer(name));
  return server?.kind === 'identity' ? server : undefined;
}

/**
 * Ends every token that was made for this server, and forgets it. The worst outcome of a revocation is told.
 *
 * `gone` names the connections that are no longer there, those without a token of their own too.
 */
export async function logoutIdentityServer(context: Context, server: Server): Promise<LogoutView> {
  const { vault } = context;
  const { name } = server;
  const { stored, derived } = await vault.run(function* () {
    return { stored: yield* listConnections(), derived: yield* listDerived() };
  });
  const isOurs = (each: { server: string }) => each.server === name;
  const own = stored.filter(isOurs);
  const outcomes: LogoutView['revocation'][] = [];
  for (const each of own) outcomes.push((await logoutOne(context, OPERATOR, each)).revocation);
  await vault.transaction(function* () {
    // One may have been made meanwhile.
    yield* eraseDerived(server);
    yield* deleteServer(name);
    const actor = actorOf(OPERATOR);
    yield* vault.audit.append({ actor, action: 'logout', connection: name, outcome: 'ok' });
  });
  const gone = [...own, ...derived.filter(isOurs)].map((each) => each.name).sort();
  return { connection: name, revocation: worstOf(outcomes), gone };
}

function worstOf(outcomes: LogoutView['revocation'][]): LogoutView['revocation'] {
  const order = ['failed', 'unsupported', 'revoked'] as const;
  return order.find((each) => outcomes.includes(each)) ?? 'nothing';
}
