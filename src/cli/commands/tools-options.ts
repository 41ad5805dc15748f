/** Options that change what agents may use of a server, for `broker tools`. */
import { type Command, Option } from 'commander';
import type { ServerChanges } from '../../core/server-wishes.ts';
import { collectPatterns } from './agent-rules.ts';

/** What was said. False: given as `--no-…`. */
export interface RuleOptions {
  allow?: string[] | false;
  deny?: string[] | false;
  promptAllow?: string[] | false;
  promptDeny?: string[] | false;
  resourceAllow?: string[] | false;
  resourceDeny?: string[] | false;
  readOnly?: boolean;
  /** True: the tools are accepted as they are now. */
  pin?: boolean;
}

const LISTS = [
  ['allow', '<tool>', 'tool or pattern that agents may call, and no other', 'every tool that is not denied'],
  ['deny', '<tool>', 'tool or pattern that no agent may call, whatever is allowed', 'no tool is denied'],
  ['prompt-allow', '<prompt>', 'the same for prompts', 'every prompt that is not denied'],
  ['prompt-deny', '<prompt>', 'the same', 'no prompt is denied'],
  [
    'resource-allow',
    '<uri>',
    'the same for resources; * stands for anything',
    'every resource that is not denied',
  ],
  ['resource-deny', '<uri>', 'the same', 'no resource is denied'],
] as const;

/** Adds them. */
export function addRuleOptions(command: Command): Command {
  for (const [name, value, meaning, cleared] of LISTS) {
    const replaces = `${meaning}; replaces that list (repeatable)`;
    command.addOption(new Option(`--${name} ${value}`, replaces).argParser(collectPatterns));
    command.addOption(new Option(`--no-${name}`, cleared));
  }
  return command
    .option(
      '--read-only',
      'only tools that the server marks as read-only: a hint, for a server can be wrong about its own tools',
    )
    .option('--no-read-only', 'tools that change something too')
    .option(
      '--pin',
      'accept the tools as they are now; from then on, new and changed ones are refused until --pin',
    )
    .option('--no-pin', 'tools may change as they like')
    .option('--allow-unknown', 'also name tools and prompts the server does not have yet');
}

/** The lists and the mark, without the pins. Undefined: nothing is named that should change. */
export function readChanges(options: RuleOptions): Omit<ServerChanges, 'pins'> | undefined {
  const list = (value: string[] | false | undefined) => (value === false ? [] : value);
  const changes = {
    allow: list(options.allow),
    deny: list(options.deny),
    promptAllow: list(options.promptAllow),
    promptDeny: list(options.promptDeny),
    resourceAllow: list(options.resourceAllow),
    resourceDeny: list(options.resourceDeny),
    readOnly: options.readOnly,
  };
  const isNamed = options.pin !== undefined || Object.values(changes).some((value) => value !== undefined);
  return isNamed ? changes : undefined;
}
