/** Which agent may do what. Pure: the one place where access is decided, for every door. */
import type { CallLimits } from './call-limits.ts';
import { matchesPattern } from './names.ts';
import type { RateLimit } from './rate-limit.ts';
import type { ToolPolicy } from './tool-policy.ts';

/** How an agent may use a connection: be handed its token, or go through the gateway. */
export type AccessMode = 'token' | 'gateway';

export interface AgentPolicy {
  /** Connection patterns, see `core/names.ts`. */
  allow: string[];
  modes: AccessMode[];
  /** Tools it may call through the gateway. */
  tools: ToolPolicy;
  /** Prompts it may get there. Undefined: as the tools let it, see `core/gateway-policy.ts`. */
  prompts?: ToolPolicy;
  /** Resources it may read there, by URI. */
  resources?: ToolPolicy;
  /** What it may take up of the gateway. What is undefined is the default, see `core/call-limits.ts`. */
  limits?: Partial<CallLimits>;
  /** Null: as often as it likes. */
  rate: RateLimit | null;
  /** May use admin routes. */
  admin: boolean;
}

export interface Agent {
  name: string;
  policy: AgentPolicy;
  /** First characters of the key, to tell keys apart in a list. */
  keyPrefix: string;
  /** The key before this one. Null: it never had another. */
  previousKey: PreviousKey | null;
  createdAt: number;
  /** Epoch ms. Null: never. */
  expiresAt: number | null;
  revokedAt: number | null;
  lastUsedAt: number | null;
}

/** A key that was replaced, and works a while longer. */
export interface PreviousKey {
  prefix: string;
  /** Epoch ms, possibly in the past. */
  endsAt: number;
  /** Since it was replaced, to the minute. Null: not at all. */
  lastUsedAt: number | null;
}

/** Which of its two keys an agent came with. */
export type KeyAge = 'current' | 'previous';

/** Why a key opens nothing any more. */
export type KeyRefusal = 'revoked' | 'expired' | 'rotated';

/** Whether this agent's key still opens anything. */
export function isLive(agent: Pick<Agent, 'revokedAt' | 'expiresAt'>, now: number): boolean {
  return agent.revokedAt === null && (agent.expiresAt === null || agent.expiresAt > now);
}

/** Why the key is refused. Undefined: it is not. */
export function keyRefusal(
  agent: Pick<Agent, 'revokedAt' | 'expiresAt' | 'previousKey'>,
  age: KeyAge,
  now: number,
): KeyRefusal | undefined {
  if (agent.revokedAt !== null) return 'revoked';
  if (!isLive(agent, now)) return 'expired';
  return age === 'current' || overlappingKey(agent, now) ? undefined : 'rotated';
}

/** The key before this one, while it still works. */
export function overlappingKey(
  { previousKey }: Pick<Agent, 'previousKey'>,
  now: number,
): PreviousKey | undefined {
  return previousKey && previousKey.endsAt > now ? previousKey : undefined;
}

/** Whether the connection exists as far as this agent is concerned. What it may not see answers like what is not there. */
export function maySee(policy: AgentPolicy, connection: string): boolean {
  return policy.allow.some((pattern) => matchesPattern(pattern, connection));
}

/** Whether the agent may use what it sees in this way. */
export function mayUse(policy: AgentPolicy, mode: AccessMode): boolean {
  return policy.modes.includes(mode);
}
