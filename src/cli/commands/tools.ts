import { Command } from 'commander';
import type { Broker } from '../../broker/index.ts';
import type { RulesView } from '../../broker/tool-rules.ts';
import { systemClock } from '../../clock.ts';
import { type UnknownName, unknownNames } from '../../core/tool-names.ts';
import { BrokerError, quote } from '../../errors.ts';
import { createLog, type Log } from '../../log.ts';
import type { Offer } from '../../mcp/list-tools.ts';
import type { ToolReport } from '../../mcp/tool-report.ts';
import type { Upstream } from '../../mcp/upstream.ts';
import { asOperator, openSession } from '../session.ts';
import { result, say, succeed, warn } from '../terminal.ts';
import { countOf, differing, diffLines, visibleJson } from './tools-diff.ts';
import { addRuleOptions, type RuleOptions, readChanges } from './tools-options.ts';
import { describeRules, diffJson, reportJson, reportLines, rulesJson } from './tools-table.ts';

interface ToolsOptions extends RuleOptions {
  diff?: boolean;
  allowUnknown?: boolean;
  json?: boolean;
}

/** `broker tools`: what a server offers, who may use it, and the rules about that. */
export function toolsCommand(): Command {
  const command = new Command('tools')
    .description('the tools of a server and which agents may call them; rules for all agents')
    .argument('<server|connection>', 'whose tools; of a server with several connections name one');
  return addRuleOptions(command)
    .option('--diff', 'what is new, changed or gone since the tools were accepted')
    .option('--json', 'as JSON, with the whole definitions')
    .addHelpText('after', EXAMPLES)
    .action(async (words: string, options: ToolsOptions, command: Command) => {
      const session = openSession(command);
      await asOperator(session, { create: false }, async (broker) => {
        const asked = { broker, ask: askerOf(broker, session.log), words, options };
        await (options.diff ? showDiff(asked) : showOrChange(asked));
      });
    });
}

const EXAMPLES = `
Rules of a server bind every agent, beside the agent's own (broker agent set); a denial always wins.

Exit codes: 0 fine; 1 a rule names a tool or prompt the server does not have, or with --diff: something differs;
2 with --diff: nothing was accepted yet; 64 a name to be stored that the server does not have.

Examples:
  broker tools coda                      what there is, and who may call it
  broker tools coda --deny 'delete_*'    no agent may delete
  broker tools coda --pin                accept the tools as they are now
  broker tools coda --diff               what has changed since`;

/** What the command was asked, and the way to ask the server. */
interface Asked {
  broker: Broker;
  ask: (words: string) => Promise<{ rules: RulesView; offer: Offer }>;
  words: string;
  options: ToolsOptions;
}

async function showOrChange(asked: Asked): Promise<void> {
  const { broker, words, options } = asked;
  const changes = readChanges(options);
  if (!changes) return show(await report(asked), options);
  // What needs no word of the server can be changed while it is down, too.
  const isChecked = !options.allowUnknown && unknownAmong(words, changes, [], []).length > 0;
  const { pinsOf, reportOn } = await import('../../mcp/tool-report.ts');
  const { rules, offer } =
    options.pin || isChecked
      ? await askFor(asked)
      : { rules: await broker.gateway.rules(words), offer: undefined };
  if (offer && isChecked) requireKnown(rules, offer, changes);
  const pins = options.pin && offer ? pinsOf(rules, offer) : options.pin === false ? null : undefined;
  const isChanged = await broker.gateway.setRules(rules.server, { ...changes, pins });
  const after = await broker.gateway.rules(rules.connection);
  if (options.json) return resultVisible(offer ? reportJson(reportOn(after, offer)) : rulesJson(after));
  if (offer && rules.policy.pins !== null && options.pin) tellAccepted(reportOn(rules, offer));
  succeed(`${rules.server}: ${describeRules(after)}${isChanged ? '' : ' (as before)'}`);
}

function show(found: ToolReport, { json }: ToolsOptions): void {
  const { connection } = found.rules;
  if (json) resultVisible(reportJson(found));
  else for (const line of reportLines(found)) result(line);
  for (const each of found.unknown) warn(describeUnknown(connection, each));
  const waiting = differing(found).filter(({ state }) => state !== 'gone').length;
  const tools = waiting === 1 ? 'tool waits' : 'tools wait';
  if (waiting > 0) say(`${waiting} ${tools} to be accepted; see: broker tools ${connection} --diff`);
  if (found.unknown.length > 0) process.exitCode = 1;
}

async function showDiff(asked: Asked): Promise<void> {
  const { broker, words, options } = asked;
  if (readChanges(options)) {
    throw new BrokerError('usage', '--diff only looks, so nothing can be changed with it', {
      hint: 'look first; then accept the tools with --pin',
    });
  }
  const { connection, policy } = await broker.gateway.rules(words);
  if (policy.pins === null) {
    throw new BrokerError(
      'not_found',
      `no tools of ${connection} were accepted, so there is nothing to compare with`,
      {
        hint: `accept them as they are now: broker tools ${connection} --pin`,
      },
    );
  }
  const found = await report(asked);
  if (options.json) resultVisible(diffJson(found));
  else for (const line of diffLines(found)) result(line);
  if (differing(found).length === 0)
    return options.json ? undefined : succeed('all tools are as they were accepted');
  if (!options.json) say(`to accept them as they are now: broker tools ${connection} --pin`);
  process.exitCode = 1;
}

/** Who accepts should see what, in the very words that count now. */
function tellAccepted(found: ToolReport): void {
  for (const line of diffLines(found)) say(line);
  if (differing(found).length > 0) say(`accepted: ${countOf(found)}`);
}

async function report({ ask, words }: Asked): Promise<ToolReport> {
  const { reportOn } = await import('../../mcp/tool-report.ts');
  const { rules, offer } = await ask(words);
  return reportOn(rules, offer);
}

/** Asks whatever kind of server it is. A program is started for it, and is gone when the answer is there. */
function askerOf(broker: Broker, log: Log): Asked['ask'] {
  return async (words) => {
    const { createUpstreams } = await import('../../mcp/upstreams.ts');
    const { readOffer } = await import('../../mcp/tool-report.ts');
    // Programs write to stderr that they are fine; who looks at tools wants to know only when they are not.
    const heard = log.isLevelEnabled('info') ? log : createLog('silent');
    const { upstream, close } = createUpstreams({ broker, clock: systemClock, log: heard });
    let isProgram = false;
    const noticed: Upstream = (access, request) => {
      isProgram = access.transport === 'stdio';
      return upstream(access, request);
    };
    try {
      return await readOffer({ broker, upstream: noticed }, words);
    } catch (error) {
      throw isProgram && heard !== log ? withLogHint(error, words) : error;
    } finally {
      await close();
    }
  };
}

function withLogHint(error: unknown, words: string): unknown {
  if (!(error instanceof BrokerError) || error.code !== 'upstream_unavailable') return error;
  return new BrokerError(error.code, error.message, {
    hint: `to see what the program writes: broker tools ${words} --log-level info`,
    connection: error.connection,
    cause: error,
  });
}

/** The same, with a word for whoever is in a hurry. */
async function askFor({ ask, words, options: { pin } }: Asked) {
  try {
    return await ask(words);
  } catch (error) {
    if (!(error instanceof BrokerError) || pin || error.code !== 'upstream_unavailable') throw error;
    throw new BrokerError(error.code, `${error.message}: nothing was changed`, {
      hint: `${error.hint}\nto change the rules without asking the server, add --allow-unknown`,
    });
  }
}

/** A misspelt name would be a rule without effect, and nobody would know. Throws `usage`. */
function requireKnown({ connection }: RulesView, { tools, prompts }: Offer, changes: Changes): void {
  const names = tools.map(({ name }) => name);
  const [first] = unknownAmong(connection, changes, names, prompts);
  if (!first) return;
  throw new BrokerError('usage', `${connection} has nothing called ${quote(first.pattern)}`, {
    hint: `${nearest(first)}to name one that is still to come, add --allow-unknown`,
  });
}

function unknownAmong(
  connection: string,
  { allow = [], deny = [], promptAllow = [], promptDeny = [] }: Changes,
  tools: readonly string[],
  prompts: readonly string[],
): UnknownName[] {
  const source = { agent: null, hasOthers: false };
  return [
    ...unknownNames({ ...source, rules: { allow, deny } }, connection, tools),
    ...unknownNames({ ...source, rules: { allow: promptAllow, deny: promptDeny } }, connection, prompts),
  ];
}

type Changes = NonNullable<ReturnType<typeof readChanges>>;

function resultVisible(value: unknown): void {
  result(visibleJson(value));
}

function describeUnknown(connection: string, unknown: UnknownName): string {
  const { agent, list, pattern } = unknown;
  const whose = agent === null ? 'the server' : `agent ${agent}`;
  const known = unknown.nearest.length > 0 ? `; it has ${unknown.nearest.map(quote).join(', ')}` : '';
  const what = `what ${whose} ${list === 'allow' ? 'allows' : 'denies'} is not there`;
  return `${what}: ${connection} has no ${quote(pattern)}${known}`;
}

function nearest({ nearest: names }: UnknownName): string {
  return names.length === 0 ? '' : `did you mean ${names.map(quote).join(' or ')}?\n`;
}
