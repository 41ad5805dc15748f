import { Command, InvalidArgumentError, Option } from 'commander';
import type { AgentView } from '../../broker/agents.ts';
import type { AccessMode } from '../../core/access-policy.ts';
import { collect, durationMs } from '../arguments.ts';
import { asOperator, openSession } from '../session.ts';
import { paint, relative, result, resultJson, say, succeed, table } from '../terminal.ts';

interface AddOptions {
  allow?: string[];
  mode?: AccessMode[];
  admin?: boolean;
  expires?: number;
  json?: boolean;
}

const MODES: AccessMode[] = ['token', 'gateway'];

/** `broker agent`: who may ask for tokens. */
export function agentCommand(): Command {
  return new Command('agent')
    .description('who may ask for tokens')
    .addCommand(addCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand());
}

function addCommand(): Command {
  return new Command('add')
    .description('make a key for an agent; it is printed once')
    .argument('<name>')
    .option(
      '--allow <connection>',
      "connection or pattern it may use, such as coda or 'notion@*' (repeatable)",
      collect,
    )
    .addOption(
      new Option('--mode <modes>', 'token, gateway or both, separated by a comma').argParser(readModes),
    )
    .option('--expires <duration>', 'when the key ends, such as 90d (default: never)', durationMs)
    .option('--admin', 'may use admin routes')
    .option('--json', 'as JSON, with the key')
    .addHelpText(
      'after',
      "\nExamples:\n  broker agent add docs-bot --allow coda\n  broker agent add crm --allow 'notion@*' --expires 90d",
    )
    .action(async (name: string, options: AddOptions, command: Command) => {
      const { agent, key } = await asOperator(openSession(command), { create: true }, (broker) =>
        broker.agents.add({
          name,
          allow: options.allow ?? [],
          modes: options.mode ?? MODES,
          admin: options.admin ?? false,
          expiresAt: options.expires === undefined ? null : Date.now() + options.expires,
        }),
      );
      if (options.json) return resultJson({ ...agent, key: key.reveal() });
      succeed(`agent ${name} may use ${agent.allow.join(', ')}; its key, shown only now:`);
      result(key.reveal());
      say('  give it to the agent as BROKER_AGENT_KEY, or in a file named by BROKER_AGENT_KEY_FILE');
    });
}

function listCommand(): Command {
  return new Command('list')
    .description('all agents; never their keys')
    .option('--json', 'as JSON')
    .action(async ({ json }: { json?: boolean }, command: Command) => {
      const agents = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.agents.list(),
      );
      if (json) return resultJson(agents);
      if (agents.length === 0)
        return say('there is no agent yet; make one with: broker agent add <name> --allow <connection>');
      result(table(['NAME', 'STATUS', 'KEY', 'MAY USE', 'MODES', 'LAST USED'], agents.map(row)));
    });
}

function revokeCommand(): Command {
  return new Command('revoke')
    .description('cut an agent off, from its next call on')
    .argument('<name>')
    .action(async (name: string, _options: unknown, command: Command) => {
      await asOperator(openSession(command), { create: false }, (broker) => broker.agents.revoke(name));
      succeed(`agent ${name} is cut off`);
    });
}

function readModes(value: string): AccessMode[] {
  const wanted = value.split(',').map((each) => each.trim());
  const known = MODES.filter((mode) => wanted.includes(mode));
  if (known.length === wanted.length) return known;
  throw new InvalidArgumentError('a mode is token, gateway, or both separated by a comma');
}

function row(agent: AgentView): string[] {
  return [
    agent.name,
    paint(agent.status === 'active' ? 'green' : 'red', agent.status),
    `${agent.key_prefix}…`,
    agent.allow.join(' '),
    agent.modes.join(','),
    agent.last_used_at === undefined ? 'never' : relative(agent.last_used_at, Date.now()),
  ];
}
