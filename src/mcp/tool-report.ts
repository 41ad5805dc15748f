/** What a server offers, and for each thing how it is judged: by the server's rules, and for each agent. */
import { OPERATOR } from '../broker/context.ts';
import type { Broker } from '../broker/index.ts';
import { type AgentRules, type NewPin, type RulesView, unknownIn } from '../broker/tool-rules.ts';
import { judge, type KnownTool, NO_RULES, type UseRules, type Verdict } from '../core/gateway-policy.ts';
import type { Wanted } from '../core/mcp-message.ts';
import { changedFields, type FieldChange } from '../core/tool-diff.ts';
import type { UnknownName } from '../core/tool-names.ts';
import { listOffer, type Offer, type ToolDefinition } from './list-tools.ts';
import { knownTool } from './tool-digest.ts';
import type { Upstream } from './upstream.ts';

/** How a tool stands to those that were accepted. `unpinned`: nothing is pinned, so it does not matter. */
export type PinState = 'unpinned' | 'accepted' | 'new' | 'changed' | 'gone';

/** A thing and who may use it. */
export interface Judgement {
  name: string;
  /** By the server's rules alone. */
  server: Verdict;
  /** By name of the agent, both its rules and the server's. */
  agents: Readonly<Record<string, Verdict>>;
}

export interface ToolJudgement extends Judgement {
  state: PinState;
  /** What the server says of it: it changes nothing, or it destroys. Null: neither. */
  hint: 'read-only' | 'destructive' | null;
  /** What differs from what was accepted, for one that has changed. */
  changes: FieldChange[];
  /** As the server gives it; of one that is gone, as it was accepted. */
  definition: Readonly<Record<string, unknown>>;
}

export interface ToolReport {
  rules: RulesView;
  /** In the order of the server, then those that are gone. */
  tools: ToolJudgement[];
  prompts: Judgement[];
  resources: Judgement[];
  /** Rules that name what the server does not have. */
  unknown: UnknownName[];
}

/** Asks the server behind `words` and judges what it has. Throws what `Broker.gateway.rules` and `listOffer` throw. */
export async function readOffer(
  parts: { broker: Broker; upstream: Upstream },
  words: string,
): Promise<{ rules: RulesView; offer: Offer }> {
  const rules = await parts.broker.gateway.rules(words);
  const access = await parts.broker.gateway.open(OPERATOR, rules.connection);
  return { rules, offer: await listOffer(parts, OPERATOR, access) };
}

/** The tools as they would be accepted now. Of a server with several connections, what only others have stays. */
export function pinsOf({ pinned, isShared }: RulesView, { tools }: Offer): NewPin[] {
  const now = new Map(
    tools.map((definition) => [definition.name, { digest: knownTool(definition).digest, definition }]),
  );
  const kept = isShared ? pinned.filter(({ name }) => !now.has(name)) : [];
  return [
    ...[...now].map(([name, pin]) => ({ name, ...pin })),
    ...kept.map(({ name, digest, definition }) => ({ name, digest, definition })),
  ];
}

/** Judges everything. */
export function reportOn(rules: RulesView, offer: Offer): ToolReport {
  const named = (kind: Wanted['kind']) => (name: string) => ({ name, ...verdicts(rules, { kind, name }) });
  return {
    rules,
    tools: [...offer.tools.map((tool) => judgeTool(rules, tool)), ...goneOf(rules, offer)],
    prompts: offer.prompts.map(named('prompt')),
    resources: offer.resources.map(named('resource')),
    unknown: unknownIn(
      rules,
      offer.tools.map(({ name }) => name),
      offer.prompts,
    ),
  };
}

function judgeTool(rules: RulesView, definition: ToolDefinition): ToolJudgement {
  const { name } = definition;
  const known = knownTool(definition);
  const pin = rules.pinned.find((each) => each.name === name);
  const state =
    rules.policy.pins === null
      ? 'unpinned'
      : !pin
        ? 'new'
        : pin.digest === known.digest
          ? 'accepted'
          : 'changed';
  return {
    ...{ name, state, hint: hintOf(definition) },
    changes: state === 'changed' && pin ? changedFields(pin.definition, definition) : [],
    ...verdicts(rules, { kind: 'tool', name }, known),
    definition,
  };
}

/** Accepted tools that are no longer there; another connection of the server may still have them. */
function goneOf(rules: RulesView, { tools }: Offer): ToolJudgement[] {
  if (rules.isShared) return [];
  return rules.pinned
    .filter(({ name }) => !tools.some((tool) => tool.name === name))
    .map(({ name, definition }) => ({
      ...{ name, state: 'gone' as const, hint: hintOf(definition), changes: [] },
      ...verdicts(rules, { kind: 'tool', name }),
      definition,
    }));
}

const NOTHING: UseRules = { tools: NO_RULES, prompts: NO_RULES, resources: NO_RULES };

function verdicts(
  { connection, policy: server, agents }: RulesView,
  wanted: Wanted,
  known?: KnownTool,
): Pick<Judgement, 'server' | 'agents'> {
  const of = (agentName: string, agent: UseRules) =>
    judge({ connection, agentName, agent, server }, wanted, known);
  return {
    server: of('', NOTHING),
    agents: Object.fromEntries(agents.map(({ name, rules }: AgentRules) => [name, of(name, rules)])),
  };
}

function hintOf({ annotations }: Readonly<Record<string, unknown>>): ToolJudgement['hint'] {
  const { readOnlyHint, destructiveHint } = Object(annotations) as Record<string, unknown>;
  if (readOnlyHint === true) return 'read-only';
  return destructiveHint === true ? 'destructive' : null;
}
