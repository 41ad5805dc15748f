/** Compares the words of a command line with the tree of commands there is, without running anything. */
import type { Argument, Command, Option } from 'commander';
import { buildProgram } from '../../../src/cli/main.ts';
import { isPlaceholder } from './words.ts';

/** What came of it. */
export interface Judgement {
  /** What there is not: a command, an option, room for so many arguments. */
  problem?: string;
  /** Nothing is left to the reader: it can be run as it stands. */
  isComplete: boolean;
}

export interface JudgeOptions {
  /** Prose may follow the command, as in hints: further words are no arguments. Default false. */
  isProse?: boolean;
}

const program = buildProgram();

/** Whether `broker <words>` names commands and options that exist, with as many arguments as it takes. */
export function judge(words: string[], { isProse = false }: JudgeOptions = {}): Judgement {
  let command = program;
  let isComplete = true;
  const operands: string[] = [];
  const incomplete = { isComplete: false };
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (word === '--') {
      operands.push(...words.slice(at + 1));
      break;
    }
    if (/^-\D/.test(word)) {
      const [name = '', value] = word.split('=', 2);
      for (const each of name.split('|')) {
        const option = findOption(command, each);
        if (option === undefined) return { ...incomplete, problem: `no option ${each} of ${path(command)}` };
        if (option === 'help' || !option.required || value !== undefined) continue;
        at += 1;
        if (words[at] === undefined || isPlaceholder(words[at] ?? '')) isComplete = false;
      }
      if (name.includes('|')) isComplete = false;
    } else if (command.commands.length > 0) {
      if (isPlaceholder(word)) return incomplete;
      for (const name of word.split('|')) {
        if (!command.commands.some((each) => each.name() === name))
          return { ...incomplete, problem: `no command ${[path(command), name].join(' ')}` };
      }
      if (word.includes('|')) isComplete = false;
      command = command.commands.find((each) => each.name() === word.split('|')[0]) ?? command;
    } else {
      operands.push(word);
      if (isPlaceholder(word) || word.includes('|')) isComplete = false;
    }
  }
  const wanted = command.registeredArguments;
  const most = wanted.some(({ variadic }) => variadic) ? Number.POSITIVE_INFINITY : wanted.length;
  if (!isProse && operands.length > most)
    return { ...incomplete, problem: `${path(command)} takes no ${operands.slice(most).join(' ')}` };
  const isShort = operands.length < wanted.filter(({ required }: Argument) => required).length;
  return { isComplete: isComplete && !isShort && (command.commands.length === 0 || words.length > 0) };
}

/** An option of the command or of those above it. */
function findOption(command: Command, name: string): Option | 'help' | undefined {
  if (name === '--help' || name === '-h') return 'help';
  for (let each: Command | null = command; each; each = each.parent) {
    const option = each.options.find(({ long, short }) => long === name || short === name);
    if (option) return option;
  }
  return undefined;
}

function path(command: Command): string {
  return command.parent ? `${path(command.parent)} ${command.name()}` : command.name();
}
