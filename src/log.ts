import { createRequire } from 'node:module';
import { type DestinationStream, type Logger, pino } from 'pino';
import { redacted, withoutCredentials } from './redact.ts';
import { requestIds } from './request-context.ts';

/** Without loggers of its own: their fields would pass the redaction by. */
export type Log = Pick<Logger, 'error' | 'warn' | 'info' | 'debug' | 'isLevelEnabled'>;

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ['json', 'pretty', 'auto'] as const;
/** `auto`: pretty where a person looks, that is when stderr is a terminal; else JSON. */
export type LogFormat = (typeof LOG_FORMATS)[number];

export interface LogOptions {
  /** Default `json`. */
  format?: LogFormat;
  /** Whether pretty lines have colours. Default false. */
  hasColour?: boolean;
  /** Where the lines go. Default stderr. */
  destination?: DestinationStream;
}

/** Lines on stderr; stdout belongs to results. Each says for which request it was written, if it was for one. */
export function createLog(
  level: LogLevel,
  {
    format = 'json',
    hasColour = false,
    destination = pino.destination({ fd: 2, sync: true }),
  }: LogOptions = {},
): Log {
  const isPretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY === true);
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      mixin: requestIds,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => redacted(fields) as Record<string, unknown>,
      },
      // What `redacted` has made of it.
      serializers: { err: (described: unknown) => described },
      hooks: { logMethod: cleanWords },
    },
    isPretty ? prettier(destination, hasColour) : destination,
  );
}

/** Words of a line are no field, so the formatter above does not see them; of an error alone, pino makes words. */
function cleanWords(this: Log, [first, ...rest]: unknown[], method: (...given: unknown[]) => void): void {
  const given =
    first instanceof Error && rest.length === 0 ? [{ err: first }, first.message] : [first, ...rest];
  method.apply(
    this,
    given.map((each) => (typeof each === 'string' ? withoutCredentials(each) : each)),
  );
}

/** Lines for people: one each, but for stacks. What makes them is loaded with the first. */
function prettier(destination: DestinationStream, colorize: boolean): DestinationStream {
  let pretty: ((entry: unknown) => string) | undefined;
  return {
    write(line) {
      pretty ??= loadPretty(colorize);
      destination.write(pretty(JSON.parse(line, (name, value) => harmless(name, value))));
    },
  };
}

function loadPretty(colorize: boolean): (entry: unknown) => string {
  // Synchronous, because the line that needs it is written now.
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty');
  return prettyFactory({ colorize, singleLine: true, translateTime: 'SYS:HH:MM:ss' });
}

/** In JSON they are escaped; here they could move the cursor of the terminal, or look like another line. */
function harmless(name: string, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const text = name === 'stack' ? value.replace(/[^\S\n]+/g, ' ') : value.replace(/\s+/g, ' ');
  return text.replace(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}
