/** What agents may use of a server: looking at the rules, changing them, and accepting its tools as they are. */
import { type Agent, isLive, maySee, mayUse } from '../core/access-policy.ts';
import { NO_RULES, type ServerPolicy, type UseRules } from '../core/gateway-policy.ts';
import { parseConnectionName } from '../core/names.ts';
import { changeServerPolicy, type ServerChanges } from '../core/server-wishes.ts';
import { type UnknownName, unknownNames } from '../core/tool-names.ts';
import { BrokerError, quote } from '../errors.ts';
import { listAgents } from '../vault/agents.ts';
import { listConnections } from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { listPinnedTools, type PinnedTool, savePinnedTools } from '../vault/pinned-tools.ts';
import { findServer, type Server, saveServerPolicy } from '../vault/servers.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { listDerived } from './identity.ts';

/** Everything that decides what agents may use at one connection. */
export interface RulesView {
  connection: string;
  server: string;
  policy: ServerPolicy;
  /** The accepted tools in full, by name. Empty unless tools are pinned. */
  pinned: AcceptedTool[];
  /** Whether the server has other connections, which may have other tools. */
  isShared: boolean;
  /** Agents that may use the connection through the gateway, by name. */
  agents: AgentRules[];
}

/** A tool that somebody has accepted. */
export type AcceptedTool = PinnedTool;

export interface AgentRules {
  name: string;
  rules: UseRules;
  /** Whether the gateway lets it use other servers too. */
  hasOthers: boolean;
}

/** A tool that is accepted as it is. */
export type NewPin = Omit<PinnedTool, 'acceptedAt'>;

/** Changes of a server's rules; pins with the definitions they stand for, null: no pins any more. */
export type RuleChanges = Omit<ServerChanges, 'pins'> & { pins?: readonly NewPin[] | null | undefined };

/**
 * The rules at a connection. `words` is its name, or a server's that has one connection only.
 *
 * Throws `usage` for what is no name, and where several connections could be meant; `not_found`.
 */
export function toolRules({ vault, clock }: Context, words: string): Promise<RulesView> {
  return vault.run(() => readRules(words, clock.now()));
}

/** The same, for who has the vault only. */
export function* readRules(words: string, now: number): Steps<RulesView> {
  const all = [...(yield* listConnections()), ...(yield* listDerived())];
  const { name: connection, server: serverName } = chosen(words, all);
  const server = yield* requireServer(serverName);
  const others = all.filter((each) => each.server !== server.name).map(({ name }) => name);
  const agents = (yield* listAgents()).filter((agent) => mayCome(agent, connection, now));
  return {
    ...{ connection, server: server.name, policy: server.policy },
    pinned: server.policy.pins === null ? [] : yield* listPinnedTools(server.name),
    isShared: all.filter((each) => each.server === server.name).length > 1,
    agents: agents.map(
      ({ name, policy: { tools, prompts = NO_RULES, resources = NO_RULES, ...policy } }) => ({
        ...{ name, rules: { tools, prompts, resources } },
        hasOthers: others.some((other) => maySee({ tools, ...policy }, other)),
      }),
    ),
  };
}

/**
 * Changes what is named and nothing else; it counts from the next request of any agent on. False: it was so already.
 *
 * Throws `usage` for changes that cannot be, `not_found`.
 */
export async function setToolRules(
  { vault, clock }: Context,
  serverName: string,
  { pins, ...changes }: RuleChanges,
): Promise<boolean> {
  const now = clock.now();
  return vault.transaction(function* () {
    const { policy: before } = yield* requireServer(serverName);
    const after = changeServerPolicy(serverName, before, { ...changes, pins: pins && digestsOf(pins) });
    // Members in the order of the code, so that equal rules are equal text.
    const [was, is] = [JSON.stringify(sorted(before)), JSON.stringify(sorted(after))];
    if (was === is) return false;
    yield* saveServerPolicy(serverName, after);
    if (pins !== undefined) yield* savePinnedTools(serverName, pins ?? [], now);
    yield* vault.audit.append({
      actor: actorOf(OPERATOR),
      action: 'tools.set',
      outcome: 'ok',
      detail: { server: serverName, before: was, after: is },
    });
    return true;
  });
}

/** Rules of the server and of agents that name tools or prompts it does not have. */
export function unknownIn(
  { connection, policy, agents }: RulesView,
  tools: readonly string[],
  prompts: readonly string[] | undefined,
): UnknownName[] {
  const sources = [
    { agent: null, rules: policy as UseRules, hasOthers: false },
    ...agents.map(({ name, rules, hasOthers }) => ({ agent: name, rules, hasOthers })),
  ];
  return sources.flatMap(({ rules, ...source }) => [
    ...unknownNames({ ...source, rules: rules.tools }, connection, tools),
    ...(prompts ? unknownNames({ ...source, rules: rules.prompts }, connection, prompts) : []),
  ]);
}

function mayCome(agent: Agent, connection: string, now: number): boolean {
  return isLive(agent, now) && maySee(agent.policy, connection) && mayUse(agent.policy, 'gateway');
}

/** The connection that is meant. */
function chosen<T extends { name: string; server: string }>(words: string, all: readonly T[]): T {
  if (!parseConnectionName(words))
    throw new BrokerError('usage', `${quote(words)} is not the name of a connection or server`, {
      hint: 'broker list shows what is connected',
    });
  const named = all.find(({ name }) => name === words);
  const ofServer = all.filter(({ server }) => server === words);
  const [only, ...more] = named ? [named] : ofServer;
  if (only && more.length === 0) return only;
  if (only) {
    const names = ofServer.map(({ name }) => name).sort();
    throw new BrokerError(
      'usage',
      `${words} has ${names.length} connections: ${names.slice(0, 10).join(', ')}`,
      {
        hint: `name the one whose tools you mean, such as: broker tools ${names[0]}`,
      },
    );
  }
  throw new BrokerError('not_found', `there is no connection or server ${words}`, {
    hint: 'broker list shows what is connected; broker login <url> or broker add connects more',
    connection: words,
  });
}

function* requireServer(name: string): Steps<Server> {
  const server = yield* findServer(name);
  if (server) return server;
  throw new BrokerError('not_found', `there is no server ${name}`, {
    hint: 'broker list shows what is connected',
  });
}

function digestsOf(pins: readonly NewPin[]): Record<string, string> {
  // A tool may be called `__proto__`.
  return Object.fromEntries(pins.map(({ name, digest }) => [name, digest]));
}

function sorted({ tools, prompts, resources, readOnly, pins }: ServerPolicy): ServerPolicy {
  const ordered = pins && Object.fromEntries(Object.entries(pins).sort(([a], [b]) => (a < b ? -1 : 1)));
  const rules = ({ allow, deny }: ServerPolicy['tools']) => ({ allow, deny });
  return {
    ...{ tools: rules(tools), prompts: rules(prompts), resources: rules(resources) },
    ...{ readOnly, pins: ordered },
  };
}
