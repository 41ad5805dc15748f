/**
 * What could stand next on a command line: for the completion scripts of the shells, which know nothing themselves.
 *
 * The words decide: a placeholder such as `<connection>` or `<url|connection|preset>` says what is looked up, so an
 * option that is added to a command is completed without a word here.
 */
import type { Command, Option } from 'commander';

/** One possible word, and what it means. */
export interface Candidate {
  word: string;
  /** Empty: nothing to say of it. */
  meaning: string;
}

/** What the shell is to offer: these words, and files or folders of its own where asked. */
export interface Completion {
  candidates: Candidate[];
  paths?: 'files' | 'directories';
}

/** Names that only the vault, or a list elsewhere, knows. By placeholder: `connection`, `agent`, `server`, … */
export type LookUp = (placeholder: string) => Promise<Candidate[]>;

const PATHS: Record<string, 'files' | 'directories'> = {
  file: 'files',
  program: 'files',
  directory: 'directories',
};

/**
 * What could come in the place of the last word.
 *
 * @param words everything after the name of the program, up to the cursor; the last one may be empty or begun
 */
export async function complete(program: Command, words: string[], lookUp: LookUp): Promise<Completion> {
  const current = words.at(-1) ?? '';
  const { command, positionals, pending, isVerbatim } = readWords(program, words.slice(0, -1));
  const found = await offers();
  const candidates = found.candidates.filter(({ word }) => word.startsWith(current));
  return { ...found, candidates };

  async function offers(): Promise<Completion> {
    // Behind `--` stands another program and what it takes.
    if (isVerbatim) return { candidates: [], paths: 'files' };
    if (pending) return valuesOf(pending, lookUp);
    const [, name, joint] = /^(--[^=]+)(=)/.exec(current) ?? [];
    const option = name === undefined ? undefined : findOption(command, name);
    if (option) {
      const { candidates, paths } = await valuesOf(option, lookUp);
      const whole = candidates.map((each) => ({ ...each, word: `${name}${joint}${each.word}` }));
      return { candidates: whole, ...(paths && { paths }) };
    }
    if (current.startsWith('-')) return { candidates: optionsOf(command) };
    if (command.commands.length > 0) return { candidates: commandsOf(command) };
    return argumentOf(command, positionals, lookUp);
  }
}

interface Read {
  command: Command;
  /** Words that are neither commands nor options nor values of them. */
  positionals: number;
  /** The option whose value comes next. */
  pending: Option | undefined;
  /** `--` was seen. */
  isVerbatim: boolean;
}

function readWords(program: Command, words: string[]): Read {
  const read: Read = { command: program, positionals: 0, pending: undefined, isVerbatim: false };
  for (const word of words) {
    const child = read.command.commands.find((each) => each.name() === word);
    if (read.isVerbatim) continue;
    if (read.pending) read.pending = undefined;
    else if (word === '--') read.isVerbatim = true;
    else if (word.startsWith('-') && word !== '-') {
      const option = word.includes('=') ? undefined : findOption(read.command, word);
      read.pending = option?.required ? option : undefined;
    } else if (child) read.command = child;
    else read.positionals += 1;
  }
  return read;
}

/** Options of the command and those of all that stand above it. */
function lineage(command: Command): Option[] {
  return [...command.options, ...(command.parent ? lineage(command.parent) : [])];
}

function findOption(command: Command, flag: string): Option | undefined {
  return lineage(command).find(({ long, short }) => flag === long || flag === short);
}

function optionsOf(command: Command): Candidate[] {
  const visible = lineage(command).filter(({ hidden, long }) => !hidden && long);
  const all = visible.map(({ long, description }) => ({ word: long as string, meaning: description }));
  return [...all, { word: '--help', meaning: 'what the command does' }];
}

function commandsOf(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((each) => ({ word: each.name(), meaning: each.description() }));
}

async function argumentOf(command: Command, index: number, lookUp: LookUp): Promise<Completion> {
  const { registeredArguments } = command;
  const last = registeredArguments.at(-1);
  const argument = registeredArguments[index] ?? (last?.variadic ? last : undefined);
  if (!argument) return { candidates: [] };
  if (argument.argChoices) return { candidates: argument.argChoices.map((word) => ({ word, meaning: '' })) };
  return named(argument.name(), lookUp);
}

async function valuesOf({ argChoices, flags }: Option, lookUp: LookUp): Promise<Completion> {
  if (argChoices) return { candidates: argChoices.map((word) => ({ word, meaning: '' })) };
  return named(/[<[]([^>\]]+)[>\]]/.exec(flags)?.[1] ?? '', lookUp);
}

/** By a placeholder, such as `file`, `connections` or `url|connection|preset`. */
async function named(placeholder: string, lookUp: LookUp): Promise<Completion> {
  const kinds = placeholder.replaceAll('...', '').split('|');
  const paths = kinds.map((kind) => PATHS[kind]).find((each) => each !== undefined);
  const found = await Promise.all(kinds.map((kind) => lookUp(kind.replace(/s$/, ''))));
  return { candidates: found.flat(), ...(paths && { paths }) };
}
