/** How much of the gateway one agent may take up. */
import { BrokerError, quote } from '../errors.ts';

export interface CallLimits {
  /** Requests and streams open at a time. */
  concurrency: number;
  /** Bytes of one request. */
  bodyBytes: number;
  /** Time without a byte of an answer after which a call is given up. Does not count for streams without a question. */
  idleMs: number;
  /** Time for a call and its whole answer. */
  totalMs: number;
}

const [KB, MB] = [1024, 1024 * 1024];
const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];

export const DEFAULT_LIMITS: CallLimits = {
  concurrency: 64,
  bodyBytes: 4 * MB,
  idleMs: 5 * MINUTE,
  totalMs: HOUR,
};

/** The limits of an agent: what was set for it, else the default. */
export function limitsOf(set: Partial<CallLimits> | undefined): CallLimits {
  return { ...DEFAULT_LIMITS, ...set };
}

interface Range {
  option: string;
  least: number;
  most: number;
  /** As one would write it. */
  format: (value: number) => string;
}

/** Less is an agent that can do nothing; more is a mistake, or a danger to the daemon, which reads requests whole. */
const RANGES: Readonly<Record<keyof CallLimits, Range>> = {
  concurrency: { option: '--concurrency', least: 1, most: 10_000, format: String },
  bodyBytes: { option: '--max-body', least: KB, most: 64 * MB, format: formatSize },
  idleMs: { option: '--idle-timeout', least: SECOND, most: DAY, format: formatDuration },
  totalMs: { option: '--call-timeout', least: SECOND, most: 7 * DAY, format: formatDuration },
};

/** Throws `usage` for limits that cannot be meant. */
export function requireSensible(limits: Partial<CallLimits>): void {
  for (const [name, { option, least, most, format }] of Object.entries(RANGES)) {
    const value = limits[name as keyof CallLimits];
    if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most)) continue;
    throw new BrokerError('usage', `${option} ${format(value)} is no limit an agent can have`, {
      hint: `${option} takes from ${format(least)} to ${format(most)}, or default`,
    });
  }
}

const SIZES: Readonly<Record<string, number>> = { b: 1, kb: KB, mb: MB };

/** `4MB`, `512KB`; a bare number is bytes. Bytes. Throws `usage`. */
export function parseSize(text: string): number {
  const [, number, unit = ''] = /^(\d+)\s?([km]?b?)$/i.exec(text) ?? [];
  const factor = SIZES[/b$/i.test(unit) ? unit.toLowerCase() : `${unit.toLowerCase()}b`];
  if (number !== undefined && factor !== undefined) return Number(number) * factor;
  throw new BrokerError('usage', `${quote(text)} is not a size`, {
    hint: 'a size is a number with KB or MB, such as 512KB or 4MB',
  });
}

/** As `parseSize` reads it. */
export function formatSize(bytes: number): string {
  if (bytes >= MB && bytes % MB === 0) return `${bytes / MB}MB`;
  return bytes >= KB && bytes % KB === 0 ? `${bytes / KB}KB` : `${bytes}B`;
}

/** `90s`, `5m`, `1h`, `2d`: the largest unit that says it exactly. */
export function formatDuration(ms: number): string {
  const units = [
    [DAY, 'd'],
    [HOUR, 'h'],
    [MINUTE, 'm'],
  ] as const;
  const [factor, unit] = units.find(([each]) => ms >= each && ms % each === 0) ?? [SECOND, 's'];
  return `${ms / factor}${unit}`;
}
