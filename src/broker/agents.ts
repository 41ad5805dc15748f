/** Agents: making keys, knowing them again, and cutting them off. */
import { randomBytes } from 'node:crypto';
import { type AccessMode, type Agent, isLive } from '../core/access-policy.ts';
import { isAgentName, isConnectionPattern } from '../core/names.ts';
import { BrokerError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { findAgentByKey, insertAgent, keyDigest, listAgents, revokeAgent } from '../vault/agents.ts';
import { timestamp } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';

/** Starts every agent key, so that secret scanners and people know one when they see it. */
const KEY_PREFIX = 'mtb_';
const SHOWN_PREFIX_LENGTH = 10;

export interface NewAgent {
  name: string;
  /** Connection patterns; at least one. */
  allow: string[];
  modes: AccessMode[];
  admin: boolean;
  /** Epoch ms. Null: never. */
  expiresAt: number | null;
}

/** An agent as shown; the key is never part of it. */
export interface AgentView {
  name: string;
  key_prefix: string;
  allow: string[];
  modes: AccessMode[];
  admin: boolean;
  status: 'active' | 'revoked' | 'expired';
  created_at: string;
  expires_at?: string;
  last_used_at?: string;
}

/**
 * Makes an agent. The key is returned once and stored only as a digest.
 *
 * Throws `usage` for a bad name, a bad pattern or a name that is taken.
 */
export async function addAgent(
  { vault, clock }: Context,
  wanted: NewAgent,
): Promise<{ agent: AgentView; key: Secret }> {
  requireSensible(wanted);
  const key = new Secret(`${KEY_PREFIX}${randomBytes(32).toString('base64url')}`);
  const now = clock.now();
  const agent: Agent = {
    name: wanted.name,
    policy: { allow: wanted.allow, modes: wanted.modes, admin: wanted.admin },
    keyPrefix: key.reveal().slice(0, SHOWN_PREFIX_LENGTH),
    createdAt: now,
    expiresAt: wanted.expiresAt,
    revokedAt: null,
    lastUsedAt: null,
  };
  const isNew = await vault.transaction(function* () {
    if (!(yield* insertAgent(agent, keyDigest(key)))) return false;
    yield* vault.audit.append({
      actor: actorOf(OPERATOR),
      action: 'agent.add',
      outcome: 'ok',
      detail: { agent: agent.name, policy: JSON.stringify(agent.policy) },
    });
    return true;
  });
  if (!isNew) {
    throw new BrokerError('usage', `there is an agent ${wanted.name} already`, {
      hint: `choose another name, or cut the old one off first: broker agent revoke ${wanted.name}`,
    });
  }
  return { agent: toView(agent, now), key };
}

/** All agents by name. */
export async function listAgentViews({ vault, clock }: Context): Promise<AgentView[]> {
  const agents = await vault.run(() => listAgents());
  return agents.map((agent) => toView(agent, clock.now()));
}

/** Cuts the agent off: its next call is refused. Throws `not_found`. */
export async function revoke({ vault, clock }: Context, name: string): Promise<void> {
  const isKnown = await vault.transaction(function* () {
    if (!(yield* revokeAgent(name, clock.now()))) return false;
    yield* vault.audit.append({
      actor: actorOf(OPERATOR),
      action: 'agent.revoke',
      outcome: 'ok',
      detail: { agent: name },
    });
    return true;
  });
  if (isKnown) return;
  throw new BrokerError('not_found', `there is no agent ${name}`, { hint: 'broker agent list shows all' });
}

/** The agent of a key. Throws `unauthenticated` for a key that is unknown, revoked or expired: all alike. */
export async function authenticate({ vault, clock }: Context, key: Secret): Promise<Agent> {
  const agent = await vault.run(() => findAgentByKey(keyDigest(key)));
  if (agent && isLive(agent, clock.now())) return agent;
  if (agent) {
    await vault.transaction(() =>
      vault.audit.append({
        actor: `agent:${agent.name}`,
        action: 'authenticate',
        outcome: agent.revokedAt === null ? 'expired' : 'revoked',
      }),
    );
  }
  throw new BrokerError('unauthenticated', 'the agent key is not valid', {
    hint: 'broker agent add <name> --allow <connection>',
  });
}

function requireSensible({ name, allow, modes }: NewAgent): void {
  if (!isAgentName(name)) {
    throw new BrokerError('usage', `"${name}" is not an agent name`, {
      hint: 'a name is lower-case letters, digits, dot, dash or underscore',
    });
  }
  const bad = allow.find((pattern) => !isConnectionPattern(pattern));
  if (bad !== undefined || allow.length === 0) {
    throw new BrokerError(
      'usage',
      bad === undefined ? 'the agent may use nothing yet' : `"${bad}" is not a connection or pattern`,
      {
        hint: "name what it may use with --allow coda or --allow 'notion@*' (repeatable)",
      },
    );
  }
  if (modes.length === 0) throw new TypeError('an agent needs at least one mode');
}

function toView(agent: Agent, now: number): AgentView {
  const status = agent.revokedAt !== null ? 'revoked' : isLive(agent, now) ? 'active' : 'expired';
  return {
    name: agent.name,
    key_prefix: agent.keyPrefix,
    allow: agent.policy.allow,
    modes: agent.policy.modes,
    admin: agent.policy.admin,
    status,
    created_at: timestamp(agent.createdAt),
    ...(agent.expiresAt === null ? {} : { expires_at: timestamp(agent.expiresAt) }),
    ...(agent.lastUsedAt === null ? {} : { last_used_at: timestamp(agent.lastUsedAt) }),
  };
}
