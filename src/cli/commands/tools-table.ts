/** What a server offers as tables, and as JSON. */
import type { RulesView } from '../../broker/tool-rules.ts';
import type { Verdict } from '../../core/gateway-policy.ts';
import { printable } from '../../errors.ts';
import type { Judgement, ToolJudgement, ToolReport } from '../../mcp/tool-report.ts';
import { paint, table } from '../terminal.ts';
import { changesOf, differing } from './tools-diff.ts';

/** Tools, then prompts and resources where there are some, then the rules. */
export function reportLines({ rules, tools, prompts, resources }: ToolReport): string[] {
  const isPinned = rules.policy.pins !== null;
  const head = ['TOOL', 'SAYS OF ITSELF', ...(isPinned ? ['STATE'] : []), 'RULES', 'AGENTS'];
  const rows = tools.map((tool) => {
    const [name = '', ...rest] = cells(tool);
    return [name, tool.hint ?? '', ...(isPinned ? [paintState(tool.state)] : []), ...rest];
  });
  return [
    tools.length === 0 ? `${rules.connection} has no tools` : table(head, rows),
    ...section('PROMPT', prompts),
    ...section('RESOURCE', resources),
    '',
    `rules of ${rules.server}: ${describeRules(rules)}`,
  ];
}

function section(title: string, entries: readonly Judgement[]): string[] {
  return entries.length === 0 ? [] : ['', table([title, 'RULES', 'AGENTS'], entries.map(cells))];
}

/** More are counted. */
const MOST_AGENTS = 6;

/** Name, what the server's rules say, and who may use it. */
function cells({ name, server, agents }: Judgement): string[] {
  const may = Object.entries(agents).flatMap(([agent, { isAllowed }]) => (isAllowed ? [agent] : []));
  const more = may.length > MOST_AGENTS ? ` and ${may.length - MOST_AGENTS} more` : '';
  return [printable(name, 128), paintVerdict(server), may.slice(0, MOST_AGENTS).join(' ') + more];
}

const REFUSALS: Readonly<Record<string, string>> = {
  'server deny': 'denied',
  'server allow': 'not among --allow',
  pin: 'not accepted',
  'read-only': 'not read-only',
};

function paintVerdict({ isAllowed, rule }: Verdict): string {
  return isAllowed ? paint('green', 'allowed') : paint('red', REFUSALS[rule] ?? rule);
}

function paintState(state: ToolJudgement['state']): string {
  return state === 'accepted' ? state : paint('yellow', state);
}

/** The rules in one line. */
export function describeRules({ policy, pinned }: Pick<RulesView, 'policy' | 'pinned'>): string {
  const kinds = [
    ['tools', policy.tools],
    ['prompts', policy.prompts],
    ['resources', policy.resources],
  ] as const;
  const words = [
    ...kinds.flatMap(([kind, { allow, deny }]) => [
      ...(allow.length > 0 ? [`${kind} ${allow.join(', ')}`] : []),
      ...(deny.length > 0 ? [`no ${kind} ${deny.join(', ')}`] : []),
    ]),
    ...(policy.readOnly ? ['only what it calls read-only'] : []),
    ...(policy.pins === null ? [] : [`${pinned.length} accepted ${pinned.length === 1 ? 'tool' : 'tools'}`]),
  ];
  return words.length === 0 ? 'none' : words.join('; ');
}

/** Everything. */
export function reportJson({ rules, tools, prompts, resources, unknown }: ToolReport) {
  return {
    ...rulesJson(rules),
    tools: tools.map(({ hint, state, changes, definition, ...tool }) => ({
      ...judgementJson(tool),
      state,
      ...(hint === null ? {} : { hint }),
      ...(changes.length === 0 ? {} : { changes }),
      definition,
    })),
    prompts: prompts.map(judgementJson),
    resources: resources.map(judgementJson),
    unknown,
  };
}

/** The rules alone. */
export function rulesJson({ connection, server, policy, pinned }: RulesView) {
  const { tools, prompts, resources, readOnly, pins } = policy;
  return {
    connection,
    server,
    rules: {
      ...{ allow: tools.allow, deny: tools.deny },
      ...{ prompt_allow: prompts.allow, prompt_deny: prompts.deny },
      ...{ resource_allow: resources.allow, resource_deny: resources.deny },
      ...{ read_only: readOnly, pinned: pins !== null },
    },
    accepted: pinned.map(({ name, acceptedAt }) => ({
      name,
      accepted_at: new Date(acceptedAt).toISOString().replace(/\.\d{3}Z$/, 'Z'),
    })),
  };
}

/** What differs from the accepted tools. */
export function diffJson(report: ToolReport) {
  const { connection, server } = report.rules;
  const tools = differing(report).map((tool) => ({
    ...{ name: tool.name, state: tool.state },
    changes: changesOf(tool),
  }));
  return { connection, server, tools };
}

function judgementJson({ name, server, agents }: Judgement) {
  const json = ({ isAllowed, rule }: Verdict) => ({ allowed: isAllowed, rule });
  return {
    name,
    server: json(server),
    agents: Object.fromEntries(Object.entries(agents).map(([agent, verdict]) => [agent, json(verdict)])),
  };
}
