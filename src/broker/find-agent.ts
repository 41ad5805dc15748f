/** Finding an agent by the name an operator gave. */
import type { Agent } from '../core/access-policy.ts';
import { requireAgentName } from '../core/agent-wishes.ts';
import { BrokerError } from '../errors.ts';
import { findAgent } from '../vault/agents.ts';
import type { Steps } from '../vault/database.ts';

/** The agent, revoked or not. Throws `not_found`, and `usage` for what is no name. */
export function* requireAgent(name: string): Steps<Agent> {
  requireAgentName(name);
  const agent = yield* findAgent(name);
  if (agent) return agent;
  throw unknownAgent(name);
}

/** The agent, unless it was revoked: then `usage`, because nothing brings it back. */
export function* requireUnrevoked(name: string): Steps<Agent> {
  const agent = yield* requireAgent(name);
  if (agent.revokedAt === null) return agent;
  throw new BrokerError('usage', `the agent ${name} was revoked`, {
    hint: `make it anew: broker agent add ${name} --allow <connection>`,
  });
}

/** For a name nobody has. */
export function unknownAgent(name: string): BrokerError {
  return new BrokerError('not_found', `there is no agent ${name}`, { hint: 'broker agent list shows all' });
}
