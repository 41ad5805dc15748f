/** What `broker check` shows people: a table on a terminal, and a line for each that needs attention elsewhere. */
import type { CheckView } from '../../broker/check.ts';
import { printable } from '../../errors.ts';
import { paint, relative, table } from '../terminal.ts';
import { paintState } from './list.ts';

const HEADER = ['', 'NAME', 'STATE', 'TOKEN ENDS', 'LAST REFRESH', 'WHAT TO DO'];

/** Longest finding shown. */
const MAX_TOLD = 300;

/** All connections, the fine ones too. */
export function checkTable(findings: readonly CheckView[], now: number): string {
  return table(
    HEADER.map((title) => title || ' '),
    findings.map((finding) => [
      mark(finding),
      finding.connection,
      paintState(finding.state),
      finding.expires_at === undefined ? '' : relative(finding.expires_at, now),
      finding.last_refreshed_at === undefined ? '' : relative(finding.last_refreshed_at, now),
      finding.exit_code === 0 ? '' : whatToDo(finding),
    ]),
  );
}

/** One line for one that needs attention. */
export function checkLine(finding: CheckView): string {
  const word = { 0: 'fine', 1: 'soon', 75: 'down', 2: 'act ', 3: 'fail' }[finding.exit_code];
  return `${colour(finding, word)}  ${finding.connection}: ${whatToDo(finding)}`;
}

/** What was found, and the command behind an arrow. */
export function whatToDo({ message, next_step }: Pick<CheckView, 'message' | 'next_step'>): string {
  const command = next_step?.split('\n')[0];
  return `${printable(message, MAX_TOLD)}${command === undefined ? '' : ` → ${printable(command, MAX_TOLD)}`}`;
}

/** Fine, soon or bad, as one sign. */
export function mark(finding: Pick<CheckView, 'exit_code'>, stream?: NodeJS.WriteStream): string {
  const { exit_code } = finding;
  return colour(finding, exit_code === 0 ? '✔' : exit_code === 1 ? '!' : '✘', stream);
}

/** Green, yellow or red, by how much it hurts. */
function colour(
  { exit_code }: Pick<CheckView, 'exit_code'>,
  text: string,
  stream?: NodeJS.WriteStream,
): string {
  return paint(exit_code === 0 ? 'green' : exit_code === 1 ? 'yellow' : 'red', text, stream);
}
