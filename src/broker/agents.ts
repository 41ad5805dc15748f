/** Agents: making them, changing what they may do, and cutting them off. */
import type { AccessMode, Agent } from '../core/access-policy.ts';
import {
  type AgentChanges,
  changeRights,
  type LimitChanges,
  namedConnections,
  type Rights,
  requireAgentName,
} from '../core/agent-wishes.ts';
import { formatRate, type RateLimit } from '../core/rate-limit.ts';
import { BrokerError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { insertAgent, listAgents, revokeAgent, updateRights } from '../vault/agents.ts';
import { findConnection, listConnections } from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { deleteSessions } from '../vault/sessions.ts';
import { newKey } from './agent-keys.ts';
import { type AgentDetail, type AgentView, viewAgent, viewAgentInFull } from './agent-view.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { requireAgent, requireUnrevoked, unknownAgent } from './find-agent.ts';
import { findDerived, listDerived } from './identity.ts';

export interface NewAgent {
  name: string;
  /** Connection patterns; at least one. */
  allow: string[];
  modes: AccessMode[];
  /** Tool patterns. Default: every tool that is not denied. */
  toolAllow?: string[] | undefined;
  toolDeny?: string[] | undefined;
  /** Prompt patterns. Default: as the tools let it. */
  promptAllow?: string[] | undefined;
  promptDeny?: string[] | undefined;
  /** URIs, in which `*` stands for anything. */
  resourceAllow?: string[] | undefined;
  resourceDeny?: string[] | undefined;
  /** What it may take up of the gateway. Default: see `core/call-limits.ts`. */
  limits?: LimitChanges | undefined;
  /** Default: as often as it likes. */
  rate?: RateLimit | null | undefined;
  admin: boolean;
  /** Epoch ms. Null: never. */
  expiresAt: number | null;
  /** Whether it may be allowed a connection that is not there yet. Default false. */
  allowUnknown?: boolean | undefined;
}

/** What to change of an agent, and whether it may then be allowed a connection that is not there yet (default false). */
export type AgentWishes = AgentChanges & { allowUnknown?: boolean | undefined };

/** An agent after a change. */
export interface ChangedAgent {
  agent: AgentView;
  /** False: it was so already. */
  isChanged: boolean;
}

const NO_RIGHTS: Rights = {
  policy: { allow: [], modes: [], tools: { allow: [], deny: [] }, rate: null, admin: false },
  expiresAt: null,
};

/**
 * Makes an agent. The key is returned once and stored only as a digest.
 *
 * Throws `usage` for a bad name, wishes that cannot be, a name that is taken, or a connection that is not there.
 */
export async function addAgent(
  { vault, clock }: Context,
  { name, allowUnknown = false, ...wanted }: NewAgent,
): Promise<{ agent: AgentView; key: Secret }> {
  requireAgentName(name);
  const now = clock.now();
  const rights = changeRights(NO_RIGHTS, wanted, now);
  const { key, digest, prefix } = newKey();
  const agent: Agent = {
    ...{ name, ...rights, keyPrefix: prefix, previousKey: null },
    ...{ createdAt: now, revokedAt: null, lastUsedAt: null },
  };
  await vault.transaction(function* () {
    if (!allowUnknown) yield* requireConnections(namedConnections(wanted));
    if (!(yield* insertAgent(agent, digest))) throw taken(name);
    yield* vault.audit.append({
      actor: actorOf(OPERATOR),
      action: 'agent.add',
      outcome: 'ok',
      detail: { agent: name, rights: describeRights(rights) },
    });
  });
  return { agent: viewAgent(agent, now), key };
}

/** Throws `usage` for an agent that could not be added where there is no connection yet, nor a vault. */
export function requireFirstAgent({ name, allowUnknown = false, ...wanted }: NewAgent, now: number): void {
  requireAgentName(name);
  changeRights(NO_RIGHTS, wanted, now);
  const [first] = allowUnknown ? [] : namedConnections(wanted);
  if (first !== undefined) throw unknownConnection(first);
}

/** All agents by name. */
export async function listAgentViews({ vault, clock }: Context): Promise<AgentView[]> {
  const agents = await vault.run(() => listAgents());
  return agents.map((agent) => viewAgent(agent, clock.now()));
}

/** One agent in full. Throws `not_found`. */
export async function showAgent({ vault, clock }: Context, name: string): Promise<AgentDetail> {
  return vault.run(function* () {
    const agent = yield* requireAgent(name);
    const all = [...(yield* listConnections()), ...(yield* listDerived())];
    const connections = all.map((each) => each.name).sort();
    return viewAgentInFull(agent, connections, clock.now());
  });
}

/**
 * Changes what is named and nothing else; it counts from the agent's next request on.
 *
 * Throws `not_found`, and `usage` for an agent that is revoked, changes that cannot be, or a connection that is not
 * there.
 */
export async function setAgent(
  { vault, clock }: Context,
  name: string,
  { allowUnknown = false, ...changes }: AgentWishes,
): Promise<ChangedAgent> {
  const now = clock.now();
  return vault.transaction(function* () {
    const agent = yield* requireUnrevoked(name);
    const rights = changeRights(agent, changes, now);
    if (!allowUnknown) yield* requireConnections(namedConnections(changes));
    const [before, after] = [describeRights(agent), describeRights(rights)];
    const changed = { agent: viewAgent({ ...agent, ...rights }, now), isChanged: before !== after };
    if (!changed.isChanged) return changed;
    yield* updateRights(name, rights);
    yield* vault.audit.append({
      actor: actorOf(OPERATOR),
      action: 'agent.set',
      outcome: 'ok',
      detail: { agent: name, before, after },
    });
    return changed;
  });
}

/** Cuts the agent off, whichever key it comes with: its next call is refused. Throws `not_found`. */
export async function revoke({ vault, clock }: Context, name: string): Promise<void> {
  await vault.transaction(function* () {
    if (!(yield* revokeAgent(name, clock.now()))) throw unknownAgent(name);
    yield* deleteSessions({ agent: name });
    yield* vault.audit.append({
      actor: actorOf(OPERATOR),
      action: 'agent.revoke',
      outcome: 'ok',
      detail: { agent: name },
    });
  });
}

/** A misspelt name would be an agent that finds nothing, and nobody would know why. */
function* requireConnections(names: string[]): Steps<void> {
  for (const name of names) {
    if ((yield* findConnection(name)) ?? (yield* isDerived(name))) continue;
    throw unknownConnection(name);
  }
}

function unknownConnection(name: string): BrokerError {
  return new BrokerError('usage', `there is no connection ${name} to allow`, {
    hint: 'broker list shows what is connected; to name one that is still to come, add --allow-unknown',
    connection: name,
  });
}

/** Whether it is made from the login of a user who is there. */
function* isDerived(name: string): Steps<true | undefined> {
  const derived = yield* findDerived(name);
  return derived === undefined || derived === 'no_link' ? undefined : true;
}

function taken(name: string): BrokerError {
  return new BrokerError('usage', `there is an agent ${name} already`, {
    hint:
      `change what it may do with: broker agent set ${name}\n` +
      `or give it a new key with: broker agent rotate ${name}`,
  });
}

/** For the audit trail, and to see whether anything changed. */
function describeRights({ policy, expiresAt }: Rights): string {
  const { rate, ...rest } = policy;
  return JSON.stringify({ ...rest, rate: rate && formatRate(rate), expiresAt });
}
