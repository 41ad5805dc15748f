/** Whether the command line would take some words, without running them. */
import type { Command, Option } from 'commander';
import { buildProgram } from '../../src/cli/main.ts';

const program = buildProgram();

/** Names of the commands there are. */
export const COMMANDS = program.commands.map((each) => each.name());

/** What is wrong with `words`, the arguments of `broker`. Undefined: nothing. */
export function faultOf(words: string[]): string | undefined {
  let command: Command = program;
  const rest = [...words];
  for (;;) {
    const next = command.commands.find((each) => each.name() === rest[0]);
    if (!next) break;
    command = next;
    rest.shift();
  }
  if (command === program && !rest[0]?.startsWith('-')) return `no such command: ${words.join(' ')}`;
  return faultOfOptions(command, rest);
}

function faultOfOptions(command: Command, words: string[]): string | undefined {
  const options: Option[] = [];
  for (let each: Command | null = command; each; each = each.parent) options.push(...each.options);
  const rest = [...words];
  let operands = 0;
  for (let word = rest.shift(); word !== undefined && word !== '--'; word = rest.shift()) {
    const [name, value] = word.split(/=(.*)/s);
    const option = options.find(({ long, short }) => name === long || name === short);
    if (!word.startsWith('-')) operands += 1;
    else if (!option && name !== '--help') return `no such option of ${command.name()}: ${name}`;
    else if (option?.required && value === undefined && rest.shift() === undefined)
      return `${name} wants a value`;
  }
  const needed = command.registeredArguments.filter((each) => each.required).length;
  return operands < needed ? `${command.name()} wants ${needed} arguments` : undefined;
}
