/** Parsers for option values. Each says what it wanted. */
import { readFileSync, statSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { BrokerError, systemCode } from '../errors.ts';
import { Secret } from '../secret.ts';

/** Adds each use of a repeatable option. */
export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** Scopes, repeated or space separated. */
export function collectScopes(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), ...value.split(/\s+/).filter(Boolean)];
}

/** `name=value`, repeated. */
export function collectPair(
  value: string,
  previous: Record<string, string> | undefined,
): Record<string, string> {
  const match = /^([^=\s]+)=(.*)$/s.exec(value);
  if (match) return { ...previous, [match[1] as string]: match[2] as string };
  throw new InvalidArgumentError('write it as name=value');
}

/** A TCP port. */
export function port(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= 1 && number <= 65_535) return number;
  throw new InvalidArgumentError('a port is a number from 1 to 65535');
}

/** 0 or more. */
export function wholeNumber(value: string): number {
  if (/^\d+$/.test(value)) return Number(value);
  throw new InvalidArgumentError('a whole number is wanted');
}

/** 1 or more. */
export function positiveNumber(value: string): number {
  if (/^\d+$/.test(value) && Number(value) > 0) return Number(value);
  throw new InvalidArgumentError('a whole number from 1 on is wanted');
}

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `15m`, `12h`, `14d`; a bare number is seconds. Milliseconds. */
export function durationMs(value: string): number {
  const match = /^(\d+)([smhd]?)$/.exec(value);
  if (match) return Number(match[1]) * (UNITS[match[2] || 's'] as number);
  throw new InvalidArgumentError('a duration is a number with s, m, h or d, such as 15m or 14d');
}

/** `90d` from now, or the day it ends: `2027-01-31`. Epoch ms. */
export function instant(value: string): number {
  if (/^\d+[smhd]$/.test(value)) return Date.now() + durationMs(value);
  if (isDay(value)) return Date.parse(`${value}T00:00:00Z`);
  throw new InvalidArgumentError('a duration such as 90d, or a day such as 2027-01-31');
}

/** Whether it is a day of the calendar, as `2027-01-31`. The 31st of February is another day to a calendar that helps. */
export function isDay(value: string): boolean {
  const at = /^\d{4}-\d{2}-\d{2}$/.test(value) ? Date.parse(`${value}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(value);
}

/** `0600`, `660`. */
export function fileMode(value: string): number {
  if (/^0?[0-7]{3}$/.test(value)) return Number.parseInt(value, 8);
  throw new InvalidArgumentError('a mode is three octal digits, such as 0660');
}

/** Stdin can be read once. Throws `usage` when more than one of these is `-`. */
export function readOneSecretFromStdin(files: (string | undefined)[]): void {
  if (files.filter((each) => each === '-').length < 2) return;
  throw new BrokerError('usage', 'only one secret can come from stdin', {
    hint: 'put the others into files',
  });
}

/** Throws `usage` unless the file, which is read anew each time, holds one token now. */
export function requireTokenFile(path: string, option: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  // Reading a pipe or a device might never end, or only work once.
  const reason =
    found && !found.isFile()
      ? 'is no file'
      : /\s/.test(readSecretFile(path, option).reveal())
        ? 'holds more than a token'
        : undefined;
  if (reason === undefined) return;
  throw new BrokerError('usage', `${path} ${reason}`, {
    hint: `${option} takes the path of the file in which the platform keeps one token and nothing else`,
  });
}

/** A secret from a file, or from stdin for `-`. Secrets never arrive by argv, which every user can list. */
export function readSecretFile(path: string, option: string): Secret {
  try {
    const text = readFileSync(path === '-' ? 0 : path, 'utf8').trim();
    if (text !== '') return new Secret(text);
  } catch (error) {
    throw new BrokerError('usage', `${path} cannot be read (${systemCode(error)})`, {
      hint: `${option} takes the path of a file, or - for stdin`,
      cause: error,
    });
  }
  const where = path === '-' ? 'stdin' : path;
  throw new BrokerError('usage', `${where} holds no secret`, {
    hint: `${option} wants the secret itself ${path === '-' ? 'on stdin' : 'in the file'}`,
  });
}
