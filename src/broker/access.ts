/** Finding a connection on behalf of a caller: the one gate in front of every connection. */
import { type AccessMode, maySee, mayUse } from '../core/access-policy.ts';
import { parseConnectionName } from '../core/names.ts';
import { BrokerError } from '../errors.ts';
import { findConnection, type StoredConnection } from '../vault/connections.ts';
import { findServer, type Server } from '../vault/servers.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { findDerived, noLink } from './identity.ts';

const FORBIDDEN: Record<AccessMode, string> = {
  token: 'be handed the token of',
  gateway: 'use the gateway for',
};

/** Whether the caller may know that this connection exists. */
export function isVisible(caller: Caller, name: string): boolean {
  return caller.kind === 'operator' || maySee(caller.agent.policy, name);
}

/**
 * The connection, if the caller may see it and use it in this way. Refusals are on disk before the answer.
 *
 * Throws `not_found` (unknown and invisible alike), `forbidden`.
 *
 * @param mode undefined: only to look at it
 */
export async function findFor(
  { vault, memory }: Pick<Context, 'vault' | 'memory'>,
  caller: Caller,
  name: string,
  mode?: AccessMode,
): Promise<StoredConnection> {
  const look = () =>
    vault.run(function* () {
      return (yield* findConnection(name)) ?? (yield* findDerived(name));
    });
  if (caller.kind === 'operator') memory.catchUp();
  // Who only looks is also told when it was last used, which is not remembered.
  const found = mode === undefined ? await look() : await memory.recall(`connection ${name}`, look);
  if (found === 'no_link' && isVisible(caller, name)) throw noLink(name, await serverOf(vault, name));
  const stored = found === 'no_link' ? undefined : found;
  if (!stored || !isVisible(caller, name)) {
    if (caller.kind === 'agent') await refuse(vault, caller, name, mode, 'not_found');
    throw unknownConnection(caller, name);
  }
  if (caller.kind === 'agent' && mode !== undefined && !mayUse(caller.agent.policy, mode)) {
    await refuse(vault, caller, name, mode, 'forbidden');
    throw new BrokerError('forbidden', `the agent ${caller.agent.name} may not ${FORBIDDEN[mode]} ${name}`, {
      hint: `broker agent set ${caller.agent.name} --mode ${[...caller.agent.policy.modes, mode].join(',')}`,
      connection: name,
    });
  }
  return stored;
}

async function serverOf(vault: Context['vault'], name: string): Promise<Server> {
  const server = await vault.run(() => findServer(parseConnectionName(name)?.server ?? ''));
  if (!server) throw new Error('the server went while it was looked at');
  return server;
}

function unknownConnection(caller: Caller, name: string): BrokerError {
  return new BrokerError(
    'not_found',
    `there is no connection ${name}${caller.kind === 'agent' ? ' for this agent' : ''}`,
    {
      hint:
        caller.kind === 'agent'
          ? 'GET /v1/connections lists what this agent may use; an operator can allow more'
          : 'broker list shows what is connected; broker login <url> or broker add connects more',
      connection: name,
    },
  );
}

async function refuse(
  vault: Context['vault'],
  caller: Caller,
  connection: string,
  mode: AccessMode | undefined,
  outcome: string,
): Promise<void> {
  await vault.transaction(() =>
    vault.audit.append({ actor: actorOf(caller), action: mode ?? 'show', connection, outcome }),
  );
}
