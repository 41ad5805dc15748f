/**
 * The manual page, made from the tree of commands, in mdoc: what every system's `man` reads.
 *
 * Nothing is written twice: options, defaults and examples are those that `--help` shows.
 */
import type { Command, Option } from 'commander';
import { VARIABLES } from '../variables.ts';

/** As mdoc wants it: `November 21, 2026`. */
const DATE = new Intl.DateTimeFormat('en-US', { dateStyle: 'long', timeZone: 'UTC' });

/** The whole page. `date` is shown at its foot. */
export function manPage(program: Command, date: Date): string {
  const lines = [
    `.Dd ${DATE.format(date)}`,
    '.Dt BROKER 1',
    '.Os',
    '.Sh NAME',
    '.Nm broker',
    `.Nd ${program.description().replace(/\.$/, '')}`,
    '.Sh SYNOPSIS',
    '.Nm',
    '.Op Ar options',
    '.Ar command',
    '.Op Ar arguments',
    '.Sh DESCRIPTION',
    ...paragraph(
      'An operator signs in once; from then on agents get fresh access tokens from a daemon on localhost, or reach the server through it without holding one.',
    ),
    '.Pp',
    'These options go with every command:',
    ...optionList(program.options),
    '.Sh COMMANDS',
    ...commandsBelow(program).flatMap(section),
    '.Sh ENVIRONMENT',
    'Every option can also be set as',
    '.Ev BROKER_<OPTION> ,',
    'in capitals and with underscores, or in the config file.',
    '.Bl -tag -width Ds',
    ...Object.entries(VARIABLES).flatMap(([name, meaning]) => [`.It Ev ${name}`, ...paragraph(meaning)]),
    '.El',
    '.Sh EXIT STATUS',
    ...examplesOf(program).notes.slice(1),
    '.Sh EXAMPLES',
    ...examplesOf(program).examples.slice(2),
  ];
  return `${lines.join('\n')}\n`;
}

/** Commands that do something, with those below them. Help and what only scripts call are left out. */
function commandsBelow(command: Command): Command[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.flatMap((each) => {
    if (each.name() === 'help') return [];
    return each.commands.length > 0 ? commandsBelow(each) : [each];
  });
}

function section(command: Command): string[] {
  const { examples, notes } = examplesOf(command);
  return [
    `.Ss broker ${pathOf(command)} ${roff(command.usage())}`.trimEnd(),
    ...paragraph(sentence(command.description())),
    ...command.registeredArguments
      .filter(({ description }) => description)
      .flatMap((argument) => ['.Pp', `.Ar ${roff(argument.name())} :`, ...paragraph(argument.description)]),
    ...optionList(command.options),
    ...notes,
    ...examples,
  ];
}

function pathOf(command: Command): string {
  const above = command.parent?.parent ? `${pathOf(command.parent)} ` : '';
  return above + command.name();
}

function optionList(options: readonly Option[]): string[] {
  const visible = options.filter(({ hidden }) => !hidden);
  if (visible.length === 0) return [];
  return ['.Bl -tag -width Ds', ...visible.flatMap(optionItem), '.El'];
}

function optionItem({ flags, description, argChoices, defaultValue }: Option): string[] {
  const choices = argChoices ? `; one of ${argChoices.join(', ')}` : '';
  const standard = defaultValue === undefined || defaultValue === true ? '' : ` (default: ${defaultValue})`;
  return [`.It Cm ${roff(flags)}`, ...paragraph(description + choices + standard)];
}

/** What `--help` shows behind the options: examples as they stand there, the rest as text. */
function examplesOf(command: Command): { examples: string[]; notes: string[] } {
  const text = helpAfter(command);
  const at = text.search(/^Examples?\b/m);
  const [, examples = '', rest = ''] =
    /^Examples?[^\n]*\n((?: .*\n?)*)([\s\S]*)/.exec(at < 0 ? '' : text.slice(at)) ?? [];
  const words = `${at < 0 ? text : text.slice(0, at)}\n${rest}`.trim();
  return {
    examples:
      examples.trim() === ''
        ? []
        : ['.Pp', 'Examples:', '.Bd -literal -offset indent', ...literal(examples), '.Ed'],
    notes: words === '' ? [] : words.split(/\n{2,}/).flatMap((each) => ['.Pp', ...paragraph(each)]),
  };
}

/** Commander keeps the added text in a listener of its own, and shows it only with everything else. */
function helpAfter(command: Command): string {
  const before = command.configureOutput();
  let text = '';
  const writeOut = (part: string) => {
    text += part;
  };
  command.configureOutput({ ...before, writeOut, getOutHasColors: () => false });
  command.outputHelp();
  command.configureOutput(before);
  return text.slice(command.helpInformation().length);
}

const literal = (text: string): string[] =>
  text
    .replace(/\s+$/, '')
    .split('\n')
    .map((line) => roff(line.replace(/^ {2}/, '')));

/** Source lines: each sentence begins one, and none is long. */
function paragraph(text: string): string[] {
  return text.split(/(?<=[.!?])\s+(?=[A-Z])/).flatMap((sentence) => wrap(sentence).map(roff));
}

/** Source lines longer than this are frowned upon. */
const WIDTH = 72;

function wrap(text: string): string[] {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1) ?? '';
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + word.length < WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** With a capital at its start and a full stop at its end. */
function sentence(text: string): string {
  const whole = /[.!?]$/.test(text) ? text : `${text}.`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
}

/** Text that roff reads as text: nothing at the start of a line is a request, and a dash is the one people type. */
function roff(text: string): string {
  const plain = text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
  return /^[.']/.test(plain) ? `\\&${plain}` : plain;
}
