import { Command } from 'commander';
import { durationMs } from '../arguments.ts';
import { asOperator, openSession } from '../session.ts';
import { relative, result, resultJson, say, succeed } from '../terminal.ts';
import { addCommand } from './agent-add.ts';
import { setCommand } from './agent-set.ts';
import { listCommand, showCommand } from './agent-show.ts';

interface RotateOptions {
  overlap?: number;
  json?: boolean;
}

/** `broker agent`: who may ask for what. */
export function agentCommand(): Command {
  return new Command('agent')
    .description('who may ask for what')
    .addHelpText('after', '\nExamples:\n  broker agent add crm --allow coda\n  broker agent list')
    .addCommand(addCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(setCommand())
    .addCommand(rotateCommand())
    .addCommand(revokeCommand());
}

function rotateCommand(): Command {
  return new Command('rotate')
    .description('make a new key for an agent; it is printed once, and the old one works a while longer')
    .addHelpText(
      'after',
      '\nExamples:\n  broker agent rotate crm\n  broker agent rotate crm --overlap 0          the old key leaked: end it at once',
    )
    .argument('<agent>')
    .option(
      '--overlap <duration>',
      'how long the old key still works, at most 30d; 0 ends it at once (default: 24h)',
      durationMs,
    )
    .option('--json', 'as JSON, with the key')
    .action(async (name: string, { overlap, json }: RotateOptions, command: Command) => {
      const { agent, key, endedKeyPrefix } = await asOperator(
        openSession(command),
        { create: false },
        (broker) => broker.agents.rotate(name, overlap),
      );
      if (json) return resultJson({ ...agent, key: key.reveal() });
      succeed(`agent ${name} has a new key, shown only now:`);
      result(key.reveal());
      const old = agent.previous_key;
      if (old === undefined) return say('  the old key opens nothing any more');
      say(
        `  the old key ${old.key_prefix}… works until ${old.ends_at}, ${relative(old.ends_at, Date.now())}`,
      );
      if (endedKeyPrefix !== undefined) say(`  the one before it, ${endedKeyPrefix}…, has ended now`);
      say('  broker agent list shows whether somebody still uses it');
    });
}

function revokeCommand(): Command {
  return new Command('revoke')
    .description('cut an agent off, from its next call on, whichever key it has')
    .addHelpText('after', '\nExamples:\n  broker agent revoke crm')
    .argument('<agent>')
    .action(async (name: string, _options: unknown, command: Command) => {
      await asOperator(openSession(command), { create: false }, (broker) => broker.agents.revoke(name));
      succeed(`agent ${name} is cut off`);
    });
}
