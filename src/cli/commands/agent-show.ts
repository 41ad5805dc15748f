import { Command } from 'commander';
import type { AgentDetail, AgentView, PreviousKeyView } from '../../broker/agent-view.ts';
import { DEFAULT_LIMITS, formatDuration, formatSize } from '../../core/call-limits.ts';
import { asOperator, openSession } from '../session.ts';
import { paint, relative, result, resultJson, say, table } from '../terminal.ts';

interface ShowOptions {
  json?: boolean;
}

/** `broker agent list`: all agents. */
export function listCommand(): Command {
  return new Command('list')
    .description('all agents; never their keys')
    .addHelpText('after', '\nExamples:\n  broker agent list')
    .option('--json', 'as JSON')
    .action(async ({ json }: ShowOptions, command: Command) => {
      const agents = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.agents.list(),
      );
      if (json) return resultJson(agents);
      if (agents.length === 0)
        return say('there is no agent yet; make one with: broker agent add <name> --allow <connection>');
      result(
        table(
          ['NAME', 'STATUS', 'KEY', 'OLD KEY', 'MAY USE', 'MODES', 'ENDS', 'LAST USED'],
          agents.map((agent) => row(agent, Date.now())),
        ),
      );
    });
}

/** `broker agent show`: one agent in full. */
export function showCommand(): Command {
  return new Command('show')
    .description('one agent in full, and what it can see now; never its key')
    .addHelpText('after', '\nExamples:\n  broker agent show crm')
    .argument('<agent>')
    .option('--json', 'as JSON')
    .action(async (name: string, { json }: ShowOptions, command: Command) => {
      const agent = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.agents.show(name),
      );
      if (json) return resultJson(agent);
      for (const [label, value] of lines(agent, Date.now()))
        if (value !== undefined) result(`${label.padEnd(16)}${value}`);
    });
}

function row(agent: AgentView, now: number): string[] {
  return [
    agent.name,
    paintStatus(agent.status),
    `${agent.key_prefix}…`,
    agent.previous_key === undefined ? '' : oldKey(agent.previous_key, now),
    agent.allow.join(' '),
    agent.modes.join(','),
    agent.expires_at === undefined ? 'never' : relative(agent.expires_at, now),
    agent.last_used_at === undefined ? 'never' : relative(agent.last_used_at, now),
  ];
}

function lines(agent: AgentDetail, now: number): [string, string | undefined][] {
  const when = (instant: string | undefined) => instant && `${instant} (${relative(instant, now)})`;
  return [
    ['name', agent.name],
    ['status', paintStatus(agent.status)],
    ['key', `${agent.key_prefix}…`],
    ['old key', agent.previous_key && oldKey(agent.previous_key, now)],
    ['may use', agent.allow.join(' ')],
    ['sees now', agent.connections.join(' ') || 'nothing'],
    [
      'matches nothing',
      agent.unmatched.length === 0 ? undefined : paint('yellow', agent.unmatched.join(' ')),
    ],
    ['modes', agent.modes.join(', ')],
    ['tools', agent.tool_allow?.join(' ') ?? 'all that are not denied'],
    ['denied tools', agent.tool_deny?.join(' ')],
    ['prompts', agent.prompt_allow?.join(' ')],
    ['denied prompts', agent.prompt_deny?.join(' ')],
    ['resources', agent.resource_allow?.join(' ')],
    ['denied URIs', agent.resource_deny?.join(' ')],
    ['rate', agent.rate ?? 'no limit'],
    ['calls at a time', `${agent.concurrency ?? standard(DEFAULT_LIMITS.concurrency)}`],
    ['largest request', agent.max_body ?? standard(formatSize(DEFAULT_LIMITS.bodyBytes))],
    ['idle timeout', agent.idle_timeout ?? standard(formatDuration(DEFAULT_LIMITS.idleMs))],
    ['call timeout', agent.call_timeout ?? standard(formatDuration(DEFAULT_LIMITS.totalMs))],
    ['admin', agent.admin ? 'yes' : 'no'],
    ['ends', when(agent.expires_at) ?? 'never'],
    ['last used', when(agent.last_used_at) ?? 'never'],
    ['created', agent.created_at],
  ];
}

/** What counts because nothing else was said. */
function standard(value: string | number): string {
  return `${value} (default)`;
}

/** `mtb_abcdef…, used 3 min ago, ends in 20 h`. */
function oldKey({ key_prefix, last_used_at, ends_at }: PreviousKeyView, now: number): string {
  const use = last_used_at === undefined ? 'not used since' : `used ${relative(last_used_at, now)}`;
  return `${key_prefix}…, ${use}, ends ${relative(ends_at, now)}`;
}

function paintStatus(status: AgentView['status']): string {
  return paint(status === 'active' ? 'green' : 'red', status);
}
