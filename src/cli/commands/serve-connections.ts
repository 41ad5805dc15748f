/** What `broker serve` says of its connections at start, and those it does not start without. */
import type { CheckView } from '../../broker/check.ts';
import { OPERATOR } from '../../broker/context.ts';
import type { Broker } from '../../broker/index.ts';
import { type CheckCode, worstOf } from '../../core/check-policy.ts';
import { parseConnectionName } from '../../core/names.ts';
import { BrokerError, quote } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { say, sayError } from '../terminal.ts';
import { findHere } from './check-findings.ts';
import { mark, whatToDo } from './check-table.ts';

/** Which connections are fine, and which need what command; one line each. */
export async function tellConnections(broker: Pick<Broker, 'list' | 'check'>, log: Log): Promise<void> {
  const names = (await broker.list(OPERATOR)).map(({ name }) => name);
  if (names.length === 0) say('nothing is connected yet; sign in with: broker login <url>');
  for (const line of connectionLines(await findHere(broker, log, names, {}))) say(line);
}

/** Aligned behind the names. */
export function connectionLines(findings: readonly CheckView[]): string[] {
  const width = Math.max(...findings.map(({ connection }) => connection.length + 1));
  return findings.map((finding) => {
    const { connection, exit_code, state } = finding;
    const told = exit_code === 0 ? state : whatToDo(finding);
    return `  ${mark(finding, process.stderr)} ${`${connection}:`.padEnd(width)} ${told}`;
  });
}

/** Throws `usage` for what is no name: a pattern might mean none. */
export function requireNames(names: readonly string[]): void {
  const wrong = names.find((name) => !parseConnectionName(name));
  if (wrong === undefined) return;
  throw new BrokerError('usage', `${quote(wrong)} is no connection name`, {
    hint: '--require takes the name of one connection, and no pattern; repeat it for more',
  });
}

/**
 * Calls the servers of all of them, and says which do not work.
 *
 * @returns 0, or the exit code of the worst: the daemon must not start
 */
export async function probeRequired(
  broker: Pick<Broker, 'check'>,
  log: Log,
  names: readonly string[],
): Promise<CheckCode> {
  const findings = await findHere(broker, log, [...new Set(names)], { probe: true });
  const bad = findings.filter(({ exit_code }) => exit_code > 1);
  for (const { connection, message, next_step: hint } of bad)
    sayError({ message: `${connection} is required, and does not work: ${message}`, hint });
  return worstOf(bad.map(({ exit_code }) => exit_code));
}
