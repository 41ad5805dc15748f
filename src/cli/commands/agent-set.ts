import { Command, Option } from 'commander';
import type { AgentWishes } from '../../broker/agents.ts';
import { environmentValue } from '../../config.ts';
import type { AccessMode } from '../../core/access-policy.ts';
import type { RateLimit } from '../../core/rate-limit.ts';
import { BrokerError } from '../../errors.ts';
import { collect } from '../arguments.ts';
import { asOperator, openSession } from '../session.ts';
import { resultJson, succeed } from '../terminal.ts';
import {
  allowUnknownOption,
  describeRights,
  expiresOption,
  modeOption,
  rateOption,
} from './agent-options.ts';
import { addRuleOptions, type RuleOptions, readRules, readWish } from './agent-rules.ts';

/** False: given as `--no-…`. */
interface SetOptions extends RuleOptions {
  allow?: string[];
  addAllow?: string[];
  removeAllow?: string[];
  mode?: AccessMode[];
  rate?: RateLimit | boolean;
  expires?: number | boolean;
  admin?: boolean;
  allowUnknown?: boolean;
  json?: boolean;
}

/** `broker agent set`: another policy for an agent that is there. */
export function setCommand(): Command {
  const command = new Command('set')
    .description('change what an agent may do, from its next call on; what is not named stays')
    .argument('<agent>')
    .option('--allow <connection>', 'what it may use, in place of all it may use now (repeatable)', collect)
    .option('--add-allow <connection>', 'what it may use besides (repeatable)', collect)
    .option('--remove-allow <connection>', 'what it may use no longer (repeatable)', collect)
    .addOption(modeOption());
  return addRuleOptions(command, { canUndo: true })
    .addOption(rateOption())
    .addOption(new Option('--no-rate', 'as often as it likes'))
    .addOption(expiresOption())
    .addOption(new Option('--no-expires', 'it never ends'))
    .option('--admin', 'may use admin routes')
    .option('--no-admin', 'may not use admin routes')
    .addOption(allowUnknownOption())
    .option('--json', 'the agent as it is then, as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, options: SetOptions, command: Command) => {
      const wishes = readWishes(named(options, command));
      const { agent, isChanged } = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.agents.set(name, wishes),
      );
      if (options.json) return resultJson(agent);
      succeed(`agent ${name} ${describeRights(agent)}${isChanged ? '' : ' (as before)'}`);
    });
}

const EXAMPLES = `
Settings of the config file are for new agents, and do not count here.

Examples:
  broker agent set docs-bot --add-allow notion
  broker agent set docs-bot --rate 60/m --no-expires`;

/** What was really said. */
function named(options: SetOptions, command: Command): SetOptions {
  const isNamed = ([option, value]: [string, unknown]) => {
    const source = command.getOptionValueSource(option);
    // A default for new agents must not change one at every other `set`.
    if (source === 'config') return false;
    // `BROKER_NO_ADMIN=0` turns up as admin, and is no wish to make one.
    return (
      source !== 'env' || option !== 'admin' || value === false || environmentValue('admin') !== undefined
    );
  };
  return Object.fromEntries(Object.entries(options).filter(isNamed));
}

function readWishes({ json: _, mode, allowUnknown, ...options }: SetOptions): AgentWishes {
  if (mode === undefined && Object.keys(options).length === 0) {
    throw new BrokerError('usage', 'nothing is named that should change', {
      hint: 'broker agent set --help lists what can be changed',
    });
  }
  const { allow, addAllow, removeAllow, admin, rate, expires, ...rules } = options;
  return {
    ...{ allow, addAllow, removeAllow, modes: mode, admin, allowUnknown },
    ...readRules(rules),
    rate: readWish(rate, null),
    expiresAt: readWish(expires, null),
  };
}
