/** An agent as shown. Its keys are never part of it. */
import { type AccessMode, type Agent, isLive, maySee, overlappingKey } from '../core/access-policy.ts';
import { type CallLimits, formatDuration, formatSize } from '../core/call-limits.ts';
import { matchesPattern } from '../core/names.ts';
import { formatRate } from '../core/rate-limit.ts';
import type { ToolPolicy } from '../core/tool-policy.ts';
import { timestamp } from './connections.ts';

/** Instants are RFC 3339; what is not limited, and what has not happened, is left out. */
export interface AgentView {
  name: string;
  key_prefix: string;
  /** The key before it, while it still works. */
  previous_key?: PreviousKeyView;
  allow: string[];
  modes: AccessMode[];
  tool_allow?: string[];
  tool_deny?: string[];
  prompt_allow?: string[];
  prompt_deny?: string[];
  resource_allow?: string[];
  resource_deny?: string[];
  /** Such as `600/m`. */
  rate?: string;
  /** Calls and streams at a time, where it is not the default; as is what follows. */
  concurrency?: number;
  /** Such as `4MB`. */
  max_body?: string;
  /** Such as `5m`. */
  idle_timeout?: string;
  call_timeout?: string;
  admin: boolean;
  status: 'active' | 'revoked' | 'expired';
  created_at: string;
  expires_at?: string;
  last_used_at?: string;
}

/** A key that was replaced and still works. */
export interface PreviousKeyView {
  key_prefix: string;
  ends_at: string;
  /** Since it was replaced, to the minute. */
  last_used_at?: string;
}

/** One agent in full. */
export interface AgentDetail extends AgentView {
  /** What it can see now. */
  connections: string[];
  /** What it is allowed and is not there. */
  unmatched: string[];
}

/** The agent as in the list. */
export function viewAgent(agent: Agent, now: number): AgentView {
  const { allow, modes, tools, prompts, resources, limits, rate, admin } = agent.policy;
  const previous = agent.revokedAt === null ? overlappingKey(agent, now) : undefined;
  const status = agent.revokedAt !== null ? 'revoked' : isLive(agent, now) ? 'active' : 'expired';
  return {
    name: agent.name,
    key_prefix: agent.keyPrefix,
    ...(previous && {
      previous_key: {
        key_prefix: previous.prefix,
        ends_at: timestamp(previous.endsAt),
        ...(previous.lastUsedAt === null ? {} : { last_used_at: timestamp(previous.lastUsedAt) }),
      },
    }),
    allow,
    modes,
    ...viewRules('tool', tools),
    ...viewRules('prompt', prompts),
    ...viewRules('resource', resources),
    ...(rate === null ? {} : { rate: formatRate(rate) }),
    ...viewLimits(limits),
    admin,
    status,
    created_at: timestamp(agent.createdAt),
    ...(agent.expiresAt === null ? {} : { expires_at: timestamp(agent.expiresAt) }),
    ...(agent.lastUsedAt === null ? {} : { last_used_at: timestamp(agent.lastUsedAt) }),
  };
}

type RulesView<Kind extends string> = { [name in `${Kind}_allow` | `${Kind}_deny`]?: string[] };

function viewRules<Kind extends string>(kind: Kind, rules: ToolPolicy | undefined): RulesView<Kind> {
  const lists = Object.entries(rules ?? {}).filter(([, patterns]) => patterns.length > 0);
  return Object.fromEntries(
    lists.map(([name, patterns]) => [`${kind}_${name}`, patterns]),
  ) as RulesView<Kind>;
}

function viewLimits({
  concurrency,
  bodyBytes,
  idleMs,
  totalMs,
}: Partial<CallLimits> = {}): Pick<AgentView, 'concurrency' | 'max_body' | 'idle_timeout' | 'call_timeout'> {
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(bodyBytes === undefined ? {} : { max_body: formatSize(bodyBytes) }),
    ...(idleMs === undefined ? {} : { idle_timeout: formatDuration(idleMs) }),
    ...(totalMs === undefined ? {} : { call_timeout: formatDuration(totalMs) }),
  };
}

/** The agent with what its patterns come to among these connections. One that is cut off sees nothing. */
export function viewAgentInFull(agent: Agent, connections: string[], now: number): AgentDetail {
  const { allow } = agent.policy;
  return {
    ...viewAgent(agent, now),
    connections: isLive(agent, now) ? connections.filter((name) => maySee(agent.policy, name)) : [],
    unmatched: allow.filter((pattern) => !connections.some((name) => matchesPattern(pattern, name))),
  };
}
