/**
 * What an operator may wish of an agent: a new policy, or changes of one. All that cannot be, or can only be meant
 * otherwise, is refused here, before anything is stored.
 */
import { BrokerError, quote } from '../errors.ts';
import type { AccessMode, AgentPolicy } from './access-policy.ts';
import { type CallLimits, requireSensible } from './call-limits.ts';
import { isResourcePattern, NO_RULES } from './gateway-policy.ts';
import { isAgentName, isConnectionPattern } from './names.ts';
import type { RateLimit } from './rate-limit.ts';
import { connectionOfToolPattern, isToolPattern, type ToolPolicy } from './tool-policy.ts';

/** A policy and its end. */
export interface Rights {
  policy: AgentPolicy;
  /** Epoch ms. Null: never. */
  expiresAt: number | null;
}

/** What to change. Undefined: as it was. */
export interface AgentChanges {
  /** In place of all connection patterns there are. */
  allow?: string[] | undefined;
  addAllow?: string[] | undefined;
  removeAllow?: string[] | undefined;
  modes?: AccessMode[] | undefined;
  /** In place of all there are. Empty: every tool that is not denied. */
  toolAllow?: string[] | undefined;
  toolDeny?: string[] | undefined;
  promptAllow?: string[] | undefined;
  promptDeny?: string[] | undefined;
  /** URIs, in which `*` stands for anything. */
  resourceAllow?: string[] | undefined;
  resourceDeny?: string[] | undefined;
  /** Null: the default again. */
  limits?: LimitChanges | undefined;
  rate?: RateLimit | null | undefined;
  admin?: boolean | undefined;
  expiresAt?: number | null | undefined;
}

/** Undefined: as it was. Null: the default again. */
export type LimitChanges = { [name in keyof CallLimits]?: number | null | undefined };

/** Ends later than this are mistakes, and dates beyond it cannot be written down (RFC 3339). */
const LAST_EXPIRY = Date.UTC(9999, 11, 31);

/** Throws `usage` for what is no agent name. */
export function requireAgentName(name: string): void {
  if (isAgentName(name)) return;
  throw new BrokerError('usage', `${quote(name)} is not an agent name`, {
    hint: 'a name is lower-case letters, digits, dot, dash or underscore',
  });
}

/** The rights after the changes. Throws `usage` for changes that cannot be, and for an end that has passed. */
export function changeRights({ policy, expiresAt }: Rights, changes: AgentChanges, now: number): Rights {
  const changed: Rights = {
    policy: {
      allow: changeAllow(policy.allow, changes),
      modes: changes.modes ?? policy.modes,
      tools: changeRules(policy.tools, changes.toolAllow, changes.toolDeny),
      ...changeOptional(policy, changes),
      rate: changes.rate === undefined ? policy.rate : changes.rate,
      admin: changes.admin ?? policy.admin,
    },
    expiresAt: changes.expiresAt === undefined ? expiresAt : changes.expiresAt,
  };
  requirePossible(changed.policy);
  if (typeof changes.expiresAt === 'number') requireFuture(changes.expiresAt, now);
  return changed;
}

/** Connections the wishes name in full, so that one can look whether they are there. Each once. */
export function namedConnections(changes: AgentChanges): string[] {
  const { allow, addAllow, toolAllow, toolDeny, promptAllow, promptDeny } = changes;
  const ofNames = [toolAllow, toolDeny, promptAllow, promptDeny]
    .flatMap((patterns) => patterns ?? [])
    .flatMap((pattern) => connectionOfToolPattern(pattern) ?? []);
  const patterns = [...(allow ?? []), ...(addAllow ?? []), ...ofNames];
  return [...new Set(patterns.filter((pattern) => !pattern.includes('*')))];
}

function changeRules(before: ToolPolicy, allow?: string[], deny?: string[]): ToolPolicy {
  return { allow: allow ?? before.allow, deny: deny ?? before.deny };
}

/** What few agents have is left out where there is none. */
function changeOptional(
  { prompts = NO_RULES, resources = NO_RULES, limits = {} }: AgentPolicy,
  changes: AgentChanges,
): Pick<AgentPolicy, 'prompts' | 'resources' | 'limits'> {
  const changed = {
    prompts: changeRules(prompts, changes.promptAllow, changes.promptDeny),
    resources: changeRules(resources, changes.resourceAllow, changes.resourceDeny),
  };
  const limited = Object.entries({ ...limits, ...defined(changes.limits ?? {}) });
  const kept = limited.filter(([, value]) => value !== null);
  return {
    ...Object.fromEntries(
      Object.entries(changed).filter(([, { allow, deny }]) => allow.length > 0 || deny.length > 0),
    ),
    ...(kept.length === 0 ? {} : { limits: Object.fromEntries(kept) as Partial<CallLimits> }),
  };
}

function defined(changes: LimitChanges): LimitChanges {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}

function changeAllow(before: string[], { allow, addAllow = [], removeAllow = [] }: AgentChanges): string[] {
  if (allow !== undefined && (addAllow.length > 0 || removeAllow.length > 0)) {
    throw new BrokerError(
      'usage',
      '--allow replaces the whole list, so nothing can be added or removed too',
      {
        hint: 'use --allow alone, or --add-allow and --remove-allow',
      },
    );
  }
  const absent = removeAllow.find((pattern) => !before.includes(pattern));
  if (absent !== undefined) {
    throw new BrokerError('usage', `${quote(absent)} is not among what the agent is allowed`, {
      hint: `it is allowed: ${before.join(', ')}`,
    });
  }
  return [...(allow ?? before).filter((pattern) => !removeAllow.includes(pattern)), ...addAllow];
}

function requirePossible(policy: AgentPolicy): void {
  const { allow, modes, tools, prompts = NO_RULES, resources = NO_RULES, limits = {} } = policy;
  if (allow.length === 0) {
    throw new BrokerError('usage', 'the agent may use nothing', { hint: ALLOW_HINT });
  }
  if (modes.length === 0) throw new TypeError('an agent needs at least one mode');
  const bad = allow.find((pattern) => !isConnectionPattern(pattern));
  if (bad !== undefined) {
    throw new BrokerError('usage', `${quote(bad)} is not a connection or pattern`, { hint: ALLOW_HINT });
  }
  for (const [kind, rules] of [
    ['tool', tools],
    ['prompt', prompts],
  ] as const)
    requireNamePatterns(kind, [...rules.allow, ...rules.deny]);
  requireResourcePatterns([...resources.allow, ...resources.deny]);
  const lists = [tools, prompts, resources].flatMap((rules) => [rules.allow, rules.deny]);
  for (const list of [allow, ...lists]) requireEachOnce(list);
  requireSensible(limits);
}

function requireNamePatterns(kind: 'tool' | 'prompt', patterns: string[]): void {
  const bad = patterns.find((pattern) => !isToolPattern(pattern));
  if (bad === undefined) return;
  throw new BrokerError('usage', `${quote(bad)} is not a ${kind} or pattern`, {
    hint: `write a ${kind} such as 'read_*', for one connection 'coda:read_*'; a space or colon in a ${kind}'s name as *`,
  });
}

function requireResourcePatterns(patterns: string[]): void {
  const bad = patterns.find((pattern) => !isResourcePattern(pattern));
  if (bad === undefined) return;
  throw new BrokerError('usage', `${quote(bad)} is not the URI of a resource or a pattern`, {
    hint: "write a URI such as 'file:///public/*'; a space in it as %20 or *",
  });
}

const ALLOW_HINT = "name what it may use with --allow coda or --allow 'notion@*' (repeatable)";

function requireEachOnce(patterns: string[]): void {
  const twice = patterns.find((pattern, index) => patterns.indexOf(pattern) !== index);
  if (twice === undefined) return;
  throw new BrokerError('usage', `${quote(twice)} is named twice`, { hint: 'name each once' });
}

function requireFuture(expiresAt: number, now: number): void {
  if (!(expiresAt <= LAST_EXPIRY)) {
    throw new BrokerError('usage', 'the key would end too far away to write it down', {
      hint: 'a key without --expires never ends',
    });
  }
  if (expiresAt > now) return;
  throw new BrokerError('usage', `the key would have ended already (${new Date(expiresAt).toISOString()})`, {
    hint: 'give --expires a time to come, such as 90d or a date; to cut an agent off: broker agent revoke <name>',
  });
}
