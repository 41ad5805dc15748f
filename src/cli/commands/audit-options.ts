/** Parsers for the options of `broker audit`. Each says what it wanted. */
import { type Command, InvalidArgumentError } from 'commander';
import { BrokerError } from '../../errors.ts';
import { durationMs, isDay } from '../arguments.ts';

const DAY_MS = 86_400_000;

/** What a year's review needs, and a month more. */
export const DEFAULT_KEEP_MS = 400 * DAY_MS;

const RFC_3339 = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

/** `24h` ago, the beginning of a day (UTC), or RFC 3339. Epoch ms. */
export function pastInstant(value: string): number {
  if (/^\d+[smhd]$/.test(value)) return Date.now() - durationMs(value);
  if (isDay(value)) return Date.parse(`${value}T00:00:00Z`);
  const at = isDay(RFC_3339.exec(value)?.[1] ?? '') ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw new InvalidArgumentError(
    'how long ago, such as 24h, a day (UTC) such as 2026-11-01, or an instant such as 2026-11-01T08:30:00Z',
  );
}

/** 1 or more, or `all`: infinity. */
export function entryLimit(value: string): number {
  if (value === 'all') return Number.POSITIVE_INFINITY;
  if (/^[1-9]\d*$/.test(value)) return Number(value);
  throw new InvalidArgumentError('a number from 1 on, or all');
}

/** `90d`. The unit is wanted: who leaves it out means days, and would get seconds. Milliseconds. */
export function age(value: string): number {
  if (/^[1-9]\d*[smhd]$/.test(value)) return durationMs(value);
  throw new InvalidArgumentError('a number with its unit, such as 90d');
}

/** The same, or `forever`: infinity. */
export function keptFor(value: string): number {
  if (value === 'forever') return Number.POSITIVE_INFINITY;
  if (/^[1-9]\d*[smhd]$/.test(value)) return durationMs(value);
  throw new InvalidArgumentError('a number with its unit, such as 400d, or forever');
}

/** `1234:0123456789abcdef`, as `broker audit verify` prints it. */
export function note(value: string): { sequence: number; digest: string } {
  const [, sequence, digest] = /^(\d{1,15}):([0-9a-f]{16})$/.exec(value) ?? [];
  if (sequence !== undefined && digest !== undefined) return { sequence: Number(sequence), digest };
  throw new InvalidArgumentError('what an earlier broker audit verify printed to be noted');
}

/** Throws `usage` for what narrows the list, given to a command that is about all of it. */
export function refuseFilters(command: Command): void {
  const given = command.parent?.options.find(
    (option) =>
      option.long !== '--json' && command.parent?.getOptionValue(option.attributeName()) !== undefined,
  );
  if (!given) return;
  throw new BrokerError(
    'usage',
    `${given.long} narrows a listing, and broker audit ${command.name()} lists nothing`,
    {
      hint: `leave it out: ${command.name()} is about the whole trail`,
    },
  );
}
