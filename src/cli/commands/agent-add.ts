import { existsSync } from 'node:fs';
import { Command } from 'commander';
import type { AccessMode } from '../../core/access-policy.ts';
import type { RateLimit } from '../../core/rate-limit.ts';
import { collect } from '../arguments.ts';
import { asOperator, openSession } from '../session.ts';
import { result, resultJson, say, succeed } from '../terminal.ts';
import {
  allowUnknownOption,
  describeRights,
  expiresOption,
  MODES,
  modeOption,
  rateOption,
} from './agent-options.ts';
import { addRuleOptions, type RuleOptions, readRules } from './agent-rules.ts';

interface AddOptions extends RuleOptions {
  allow?: string[];
  mode?: AccessMode[];
  rate?: RateLimit;
  expires?: number;
  admin?: boolean;
  allowUnknown?: boolean;
  json?: boolean;
}

/** `broker agent add`: a new agent and its key. */
export function addCommand(): Command {
  const command = new Command('add')
    .description('make a key for an agent; it is printed once')
    .argument('<name>')
    .option(
      '--allow <connection>',
      "connection or pattern it may use, such as coda or 'notion@*' (repeatable)",
      collect,
    )
    .addOption(modeOption());
  return addRuleOptions(command)
    .addOption(rateOption())
    .addOption(expiresOption())
    .option('--admin', 'may use admin routes')
    .addOption(allowUnknownOption())
    .option('--json', 'as JSON, with the key')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, options: AddOptions, command: Command) => {
      const session = openSession(command);
      const wanted = {
        name,
        allow: options.allow ?? [],
        modes: options.mode ?? MODES,
        ...readRules(options),
        rate: options.rate,
        admin: options.admin ?? false,
        expiresAt: options.expires ?? null,
        allowUnknown: options.allowUnknown,
      };
      if (!existsSync(session.settings.database)) {
        const { requireFirstAgent } = await import('../../broker/agents.ts');
        requireFirstAgent(wanted, Date.now());
      }
      const { agent, key } = await asOperator(session, { create: true }, (broker) =>
        broker.agents.add(wanted),
      );
      if (options.json) return resultJson({ ...agent, key: key.reveal() });
      succeed(`agent ${name} ${describeRights(agent)}; its key, shown only now:`);
      result(key.reveal());
      say('  give it to the agent as BROKER_AGENT_KEY, or in a file named by BROKER_AGENT_KEY_FILE');
    });
}

const EXAMPLES = `
Examples:
  broker agent add docs-bot --allow coda
  broker agent add crm --allow 'notion@*' --rate 600/m --expires 90d
  broker agent add reader --allow coda --mode gateway --tool-allow 'read_*'`;
