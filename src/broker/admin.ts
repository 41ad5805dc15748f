/** What only the operator and agents with the `admin` right may do. */
import { BrokerError } from '../errors.ts';
import { isVisible } from './access.ts';
import { actorOf, type Caller, type Context } from './context.ts';

/**
 * Throws `forbidden` for an agent without the right; that is on disk before the answer.
 *
 * @param action as the audit trail names it
 */
export async function requireAdmin(
  context: Pick<Context, 'vault'>,
  caller: Caller,
  action: string,
  connection?: string,
): Promise<void> {
  if (caller.kind === 'operator' || caller.agent.policy.admin) return;
  await refuse(context, caller, action, connection);
  throw new BrokerError('forbidden', `the agent ${caller.agent.name} has no admin right`, {
    hint: 'an operator makes an agent that has it: broker agent add <name> --allow <connection> --admin',
  });
}

/**
 * The right ends where the agent's patterns do. Throws `forbidden` for a connection they do not cover, there or not;
 * that is on disk before the answer.
 */
export async function requireCovered(
  context: Pick<Context, 'vault'>,
  caller: Caller,
  action: string,
  connection: string,
): Promise<void> {
  if (caller.kind === 'operator' || isVisible(caller, connection)) return;
  await refuse(context, caller, action, connection);
  throw new BrokerError(
    'forbidden',
    `${connection} is not among what the agent ${caller.agent.name} may use`,
    {
      hint: `an operator allows it: broker agent add <name> --allow '${connection}' --admin`,
      connection,
    },
  );
}

async function refuse(
  { vault }: Pick<Context, 'vault'>,
  caller: Caller,
  action: string,
  connection: string | undefined,
): Promise<void> {
  const refusal = { actor: actorOf(caller), action, connection, outcome: 'forbidden' };
  await vault.transaction(() => vault.audit.append(refusal));
}
