/** Which agent may do what. Pure: the one place where access is decided, for every door. */
import { matchesPattern } from './names.ts';

/** How an agent may use a connection: be handed its token, or go through the gateway. */
export type AccessMode = 'token' | 'gateway';

export interface AgentPolicy {
  /** Connection patterns, see `core/names.ts`. */
  allow: string[];
  modes: AccessMode[];
  /** May use admin routes. */
  admin: boolean;
}

export interface Agent {
  name: string;
  policy: AgentPolicy;
  /** First characters of the key, to tell keys apart in a list. */
  keyPrefix: string;
  createdAt: number;
  /** Epoch ms. Null: never. */
  expiresAt: number | null;
  revokedAt: number | null;
  lastUsedAt: number | null;
}

/** Whether this agent's key still opens anything. */
export function isLive(agent: Pick<Agent, 'revokedAt' | 'expiresAt'>, now: number): boolean {
  return agent.revokedAt === null && (agent.expiresAt === null || agent.expiresAt > now);
}

/** Whether the connection exists as far as this agent is concerned. What it may not see answers like what is not there. */
export function maySee(policy: AgentPolicy, connection: string): boolean {
  return policy.allow.some((pattern) => matchesPattern(pattern, connection));
}

/** Whether the agent may use what it sees in this way. */
export function mayUse(policy: AgentPolicy, mode: AccessMode): boolean {
  return policy.modes.includes(mode);
}
