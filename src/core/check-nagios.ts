/**
 * `broker check --nagios`: one line and an exit code by the Monitoring Plugins Development Guidelines, for Nagios,
 * Icinga and all that run their plugins.
 */
import { printable } from '../errors.ts';
import { type CheckCode, isWorse, worstOf } from './check-policy.ts';
import type { CheckedConnection } from './checked-connection.ts';

export interface NagiosAnswer {
  line: string;
  /** 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. */
  exitCode: 0 | 1 | 2 | 3;
}

const STATUSES = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const;

/** For monitoring, a provider that is down is as bad as a login that has ended: agents get no token. */
const EXIT_CODES: Record<CheckCode, NagiosAnswer['exitCode']> = { 0: 0, 1: 1, 75: 2, 2: 2, 3: 3 };

/** Longest part said of one connection. Monitoring cuts lines off after some KB. */
const MAX_PART = 120;

/** The worst first, names and causes before anything else. */
export function nagiosAnswer(findings: readonly CheckedConnection[], now: number): NagiosAnswer {
  const exitCode = EXIT_CODES[worstOf(findings.map(({ exit_code }) => exit_code))];
  const bad = findings
    .filter(({ exit_code }) => exit_code !== 0)
    .toSorted((one, other) =>
      isWorse(one.exit_code, other.exit_code) ? -1 : isWorse(other.exit_code, one.exit_code) ? 1 : 0,
    );
  const fine = findings.length - bad.length;
  const told = [...bad.map(describe), ...(fine > 0 || bad.length === 0 ? [countOf(fine)] : [])];
  return {
    line: `BROKER ${STATUSES[exitCode]} - ${told.join('; ')} | ${performance(findings, now)}`,
    exitCode,
  };
}

/** When nobody could look: UNKNOWN, with the reason. */
export function nagiosFailure(reason: string): NagiosAnswer {
  return { line: `BROKER UNKNOWN - ${plain(reason)}`, exitCode: 3 };
}

function countOf(fine: number): string {
  return `${fine} ${fine === 1 ? 'connection' : 'connections'} fine`;
}

function describe({ connection, message, next_step }: CheckedConnection): string {
  const remedy = next_step === undefined ? '' : ` (${plain(next_step.split('\n')[0] ?? '')})`;
  return `${plain(connection)}: ${plain(message)}${remedy}`;
}

/** The rest of a line behind `|` is numbers to Nagios, and `;` parts what is said of two connections. */
function plain(text: string): string {
  return printable(text.replaceAll('|', '/').replaceAll(';', ','), MAX_PART);
}

/** `'label'=value[unit];warn;crit;min`. Names of connections hold nothing that would have to be escaped. */
function performance(findings: readonly CheckedConnection[], now: number): string {
  const count = (label: string, ...codes: CheckCode[]) =>
    `${label}=${findings.filter(({ exit_code }) => codes.includes(exit_code)).length};;;0`;
  const lives = findings.flatMap(({ connection, expires_at }) => {
    const left = expires_at === undefined ? undefined : Math.round((Date.parse(expires_at) - now) / 1000);
    return left === undefined ? [] : [`'${connection.replaceAll(/[^\w.@+-]/g, '_')} token'=${left}s`];
  });
  return [count('fine', 0), count('soon', 1), count('down', 75), count('act', 2), ...lives].join(' ');
}
