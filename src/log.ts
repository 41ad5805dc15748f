import { type Logger, pino } from 'pino';
import { BrokerError } from './errors.ts';

export type Log = Logger;

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Field names whose values never reach a log line, at the top or one level down. Secrets are `Secret` objects
 * that print as fingerprints already; this list is the second net, for wire objects that hold plain strings.
 */
const REDACTED = [
  'access_token',
  'refresh_token',
  'id_token',
  'client_secret',
  'registration_access_token',
  'code_verifier',
  'authorization',
  'cookie',
];

/** JSON lines on stderr; stdout belongs to results. */
export function createLog(level: LogLevel): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: REDACTED.flatMap((name) => [name, `*.${name}`]),
      serializers: { err: describeError },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}

/**
 * Errors without `cause`: causes of the OAuth libraries carry whole response bodies, tokens included. And without a
 * stack where the failure is one of the world's and its message says it all.
 */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  if (error instanceof BrokerError && error.code !== 'internal')
    return { code: error.code, message: error.message };
  const { name, message, stack } = error;
  const code = (error as { code?: unknown }).code;
  return { name, message, ...(typeof code === 'string' ? { code } : {}), stack };
}
