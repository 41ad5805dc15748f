/**
 * Options that the command line left open: from `BROKER_…` in the environment, then from the config file.
 *
 * Done here and not by commander's own `env`, because that reads the environment behind the back of `config.ts`
 * and knows no config file.
 */
import { type Command, CommanderError, type Option } from 'commander';
import { type ConfigFile, environmentName, environmentValue, readConfigFile } from '../config.ts';
import { BrokerError } from '../errors.ts';

type Value = string | number | boolean | string[];

/** Fills the options of the command and those it shares. Throws `usage` for values and settings that cannot be. */
export function fillOptions(command: Command): void {
  const lineage: Command[] = [];
  for (let each: Command | null = command; each; each = each.parent) lineage.push(each);
  for (const each of lineage) fillFrom(each, 'env', environmentValue, environmentName);
  const file = readConfigFile(command.optsWithGlobals<{ config?: string }>().config);
  refuseUnknownKeys(lineage.at(-1) as Command, file);
  for (const each of lineage)
    fillFrom(
      each,
      'config',
      (name) => file[name],
      (name) => `"${name}" in the config file`,
    );
}

/** `--callback-port` → `callback-port`. */
export function optionName(option: Option): string {
  return (option.long ?? '').replace(/^--/, '');
}

/**
 * Whether only the command line sets it: elsewhere `url` is where the daemon is, for every command, and the daemon is
 * no MCP server to be added. What is allowed to new agents is no rule for a server. And what an audit trail leaves out must
 * have been asked for.
 */
export function isOnlyTyped(command: Command, option: Option): boolean {
  if (['tools', 'audit'].includes(command.name())) return optionName(option) !== 'json';
  return command.name() === 'add' && optionName(option) === 'url';
}

/** Read from BROKER_URL by whoever calls the daemon. */
const NOT_FROM_ENVIRONMENT = new Set(['url']);

function fillFrom(
  command: Command,
  source: 'env' | 'config',
  lookUp: (name: string) => Value | undefined,
  describe: (name: string) => string,
): void {
  for (const option of command.options) {
    const name = optionName(option);
    if (isOnlyTyped(command, option) || (source === 'env' && NOT_FROM_ENVIRONMENT.has(name))) continue;
    const value = lookUp(name);
    const present = command.getOptionValueSource(option.attributeName());
    if (value === undefined || (present !== undefined && present !== 'default')) continue;
    // `BROKER_NO_X=0` says nothing: it must not switch X on.
    if (option.negate && !readFlag(value, describe(name))) continue;
    command.setOptionValueWithSource(option.attributeName(), read(option, value, describe(name)), source);
  }
}

function read(option: Option, value: Value, where: string): unknown {
  if (!option.required && !option.optional) return readFlag(value, where) !== option.negate;
  const { parseArg } = option;
  if (!parseArg) return String(value);
  try {
    const first = parseArg(String(value), undefined);
    if (!Array.isArray(first)) return first;
    // Repeatable: a list in the file, words in the environment.
    const words = Array.isArray(value) ? value : String(value).split(/\s+/).filter(Boolean);
    return words.reduce((previous: unknown, word) => parseArg(word, previous), undefined);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new BrokerError('usage', `${where} cannot be ${JSON.stringify(value)}: ${error.message}`, {
      hint: `it means the option ${option.long}; its --help tells what is possible`,
    });
  }
}

function readFlag(value: Value, where: string): boolean {
  if (typeof value === 'boolean') return value;
  if (['1', 'true', 'yes', 'on'].includes(String(value).toLowerCase())) return true;
  if (['', '0', 'false', 'no', 'off'].includes(String(value).toLowerCase())) return false;
  throw new BrokerError('usage', `${where} cannot be ${JSON.stringify(value)}`, {
    hint: 'write true or false',
  });
}

/** A misspelt key that is silently ignored is a setting somebody believes in. */
function refuseUnknownKeys(program: Command, file: ConfigFile): void {
  const known = new Set(allOptions(program).map(optionName));
  const unknown = Object.keys(file).find((key) => !known.has(key));
  if (unknown === undefined) return;
  throw new BrokerError('usage', `the config file has an unknown setting "${unknown}"`, {
    hint: 'settings are option names without the dashes, such as "log-level"',
  });
}

function allOptions(command: Command): readonly Option[] {
  return [...command.options, ...command.commands.flatMap(allOptions)];
}
