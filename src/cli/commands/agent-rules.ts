/** Options that say what an agent may use through the gateway, and how much of it. */
import { type Command, Option } from 'commander';
import type { LimitChanges } from '../../core/agent-wishes.ts';
import { parseSize } from '../../core/call-limits.ts';
import { durationMs, wholeNumber } from '../arguments.ts';

/** False: given as `--no-…`, or as `default`. */
export interface RuleOptions {
  toolAllow?: string[] | boolean;
  toolDeny?: string[] | boolean;
  promptAllow?: string[] | boolean;
  promptDeny?: string[] | boolean;
  resourceAllow?: string[] | boolean;
  resourceDeny?: string[] | boolean;
  concurrency?: number | boolean;
  maxBody?: number | boolean;
  idleTimeout?: number | boolean;
  callTimeout?: number | boolean;
}

/** Flags, what they say, and what `--no-…` says. */
const RULES = [
  [
    '--tool-allow <tool>',
    "tool or pattern it may call through the gateway, such as 'read_*' or 'coda:read_*', and no other (repeatable)",
    'every tool that is not denied',
  ],
  [
    '--tool-deny <tool>',
    'tool or pattern it may not call, whatever is allowed (repeatable)',
    'no tool is denied',
  ],
  [
    '--prompt-allow <prompt>',
    'prompt or pattern it may get there, and no other (repeatable)',
    'as its tools let it',
  ],
  [
    '--prompt-deny <prompt>',
    'prompt or pattern it may not get, whatever is allowed (repeatable)',
    'no prompt is denied',
  ],
  [
    '--resource-allow <uri>',
    "resource or pattern it may read there, such as 'file:///public/*', and no other (repeatable)",
    'as its tools let it',
  ],
  [
    '--resource-deny <uri>',
    'resource or pattern it may not read, whatever is allowed (repeatable)',
    'no resource is denied',
  ],
] as const;

const LIMITS = [
  ['--concurrency <number>', 'calls and streams it may have open at a time (default: 64)', wholeNumber],
  ['--max-body <size>', 'size of one request, such as 512KB (default: 4MB)', parseSize],
  [
    '--idle-timeout <time>',
    'time without a byte of an answer until a call is given up (default: 5m)',
    durationMs,
  ],
  ['--call-timeout <time>', 'time for a call and its whole answer (default: 1h)', durationMs],
] as const;

/** Adds the options; with `canUndo` also those that take back what was said before. */
export function addRuleOptions(command: Command, { canUndo = false } = {}): Command {
  for (const [flags, description, undone] of RULES) {
    command.addOption(new Option(flags, description).argParser(collectPatterns));
    if (canUndo) command.addOption(new Option(noOf(flags), undone));
  }
  for (const [flags, description, parse] of LIMITS) {
    command.addOption(new Option(flags, description).argParser(orDefault(parse)));
    if (canUndo) command.addOption(new Option(noOf(flags), 'the default again'));
  }
  return command;
}

/** What the options ask for. */
export function readRules(options: RuleOptions) {
  const limits: LimitChanges = {
    concurrency: readWish(options.concurrency, null),
    bodyBytes: readWish(options.maxBody, null),
    idleMs: readWish(options.idleTimeout, null),
    totalMs: readWish(options.callTimeout, null),
  };
  return {
    toolAllow: readWish(options.toolAllow, []),
    toolDeny: readWish(options.toolDeny, []),
    promptAllow: readWish(options.promptAllow, []),
    promptDeny: readWish(options.promptDeny, []),
    resourceAllow: readWish(options.resourceAllow, []),
    resourceDeny: readWish(options.resourceDeny, []),
    limits,
  };
}

/** What was wished; `none` for `--no-…`. */
export function readWish<T extends object | number, N>(
  value: T | boolean | undefined,
  none: N,
): T | N | undefined {
  if (value === false) return none;
  return value === true ? undefined : value;
}

/** Adds each use; `--no-…` before it is forgotten. */
export function collectPatterns(value: string, previous: string[] | boolean | undefined): string[] {
  return [...(Array.isArray(previous) ? previous : []), value];
}

/** False for the word `default`, as for `--no-…`: commander makes a text of null. */
function orDefault(parse: (value: string) => number): (value: string) => number | false {
  return (value) => (value === 'default' ? false : parse(value));
}

function noOf(flags: string): string {
  return `--no-${flags.slice(2).split(' ')[0]}`;
}
