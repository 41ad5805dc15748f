/**
 * All talk to people.
 *
 * stdout is the result of a command and nothing else, so that it can be piped; everything said to a person goes
 * to stderr. Colour only where a person looks, and never when NO_COLOR or --no-color says no.
 */
import { stripVTControlCharacters, styleText } from 'node:util';
import { duration } from '../core/duration.ts';
import { endStatus } from './status-line.ts';

type Style = Parameters<typeof styleText>[0];

let isColourOff = false;

/** `--no-color`. */
export function switchColourOff(): void {
  isColourOff = true;
}

/** The result, one line. */
export function result(line: string): void {
  endStatus();
  process.stdout.write(`${line}\n`);
}

/** The result as JSON: one object a line for events, indented for a single answer. */
export function resultJson(value: unknown, { indent = true } = {}): void {
  endStatus();
  process.stdout.write(`${JSON.stringify(value, null, indent ? 2 : undefined)}\n`);
}

/** Says something. */
export function say(line = ''): void {
  endStatus();
  process.stderr.write(`${line}\n`);
}

/** Says something that matters. */
export function warn(line: string): void {
  say(`${paint('yellow', 'warning:', process.stderr)} ${line}`);
}

/** Says that it worked. */
export function succeed(line: string): void {
  say(`${paint('green', '✔', process.stderr)} ${line}`);
}

/** Says what failed and, on lines of its own, what to do next. */
export function sayError(error: { message: string; hint?: string | undefined }): void {
  say(`${paint('red', 'error:', process.stderr)} ${error.message}`);
  for (const line of error.hint?.split('\n') ?? []) say(`  ${paint('dim', '→', process.stderr)} ${line}`);
}

/** Text in colour, where the stream shows colour. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return isColourOff ? text : styleText(style, text, { stream });
}

/** Whether the stream shows colour. */
export function isColoured(stream: NodeJS.WriteStream): boolean {
  return paint('red', 'x', stream) !== 'x';
}

/** Rows as columns. Empty cells are shown as a dash. Colours may be in the cells: they do not count. */
export function table(header: string[], rows: string[][]): string {
  const cells = [header, ...rows].map((row) => row.map((cell) => (cell === '' ? '-' : cell)));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => width(row[column] ?? ''))));
  return cells
    .map((row) =>
      row
        .map((cell, column) => pad(cell, widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function pad(cell: string, to: number): string {
  return cell + ' '.repeat(Math.max(0, to - width(cell)));
}

function width(cell: string): number {
  return stripVTControlCharacters(cell).length;
}

/** `in 3 h`, `2 days ago`. */
export function relative(instant: string, now: number): string {
  const ms = Date.parse(instant) - now;
  const words = duration(Math.abs(ms));
  return ms >= 0 ? `in ${words}` : `${words} ago`;
}
