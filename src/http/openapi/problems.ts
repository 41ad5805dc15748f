/** Errors as RFC 9457 has them: which codes a route can answer with, by status. */
import { statusOf } from '../../core/error-status.ts';
import { BrokerError, type ErrorCode } from '../../errors.ts';
import { type Problem, TITLES } from '../problem.ts';
import { type Header, type Operation, type Response, SAFE_HEADERS } from './parts.ts';
import { maybe, type ObjectSchema, objectOf, type SchemaRef, text, uri, whole } from './schema.ts';

/** Whatever is asked for: a `Host` or an `Origin` that is not welcome, and a fault of the broker. */
export const ALWAYS = ['forbidden', 'internal'] as const satisfies ErrorCode[];

/** Of routes that want an agent key. */
export const KEYED = [
  ...ALWAYS,
  'unauthenticated',
  'rate_limited',
  'vault_locked',
  'vault_unavailable',
] as const satisfies ErrorCode[];

/** Of routes for one connection. `login_required`: one that is made from an identity nobody has signed in to. */
export const OF_CONNECTION = [
  ...KEYED,
  'bad_request',
  'not_found',
  'login_required',
] as const satisfies ErrorCode[];

/** Of routes that may refresh a token. */
export const OF_REFRESH = [
  ...OF_CONNECTION,
  'client_invalid',
  'config_error',
  'upstream_unavailable',
  'save_failed',
] as const satisfies ErrorCode[];

/** What keeps anybody from signing in at a server. */
export const OF_LOGIN = [
  'discovery_failed',
  'no_login_needed',
  'issuer_mismatch',
  'resource_mismatch',
  'pkce_unsupported',
  'registration_refused',
  'login_refused',
] as const satisfies ErrorCode[];

const TOO_LARGE = 413;

/** Every error but those of OAuth and of the gateway. */
export const PROBLEM: ObjectSchema = objectOf<Problem>('What went wrong, and what to do next (RFC 9457).', {
  type: uri('Names the kind of problem.', 'urn:mcp-token-broker:error:login_required'),
  title: text('The code in words, the same each time.', 'an operator must sign in again'),
  status: { type: 'integer', minimum: 400, description: 'The HTTP status.', examples: [409] },
  detail: text('What happened, and to which thing.', 'coda must be signed in again'),
  code: {
    type: 'string',
    enum: [...Object.keys(TITLES), 'internal'],
    description: 'What programs go by. docs/errors.md explains each code.',
  },
  connection: maybe(text('The connection concerned.', 'coda')),
  next_step: maybe(text('What to do next, usually the exact command.', 'broker login coda')),
  retry_after: maybe(whole('Seconds until another attempt can make sense.', 5)),
});

/** Of every 401 but those of OAuth. */
export const CHALLENGE: Header = {
  description: 'Asks for an agent key. It names no metadata, so that no client starts a sign-in.',
  required: true,
  schema: {
    type: 'string',
    const: 'Bearer realm="mcp-token-broker"',
    description: 'RFC 6750 §3.',
  },
};

/** Of errors that may pass. */
export const RETRY_AFTER: Header = {
  description: 'Seconds until another attempt can make sense, as `retry_after` in the body.',
  required: true,
  schema: { type: 'string', pattern: '^\\d+$', description: 'Whole seconds (RFC 9110 §10.2.3).' },
};

const HEADERS: Readonly<Record<number, Response['headers']>> = {
  401: { 'WWW-Authenticate': { $ref: '#/components/headers/Challenge' } },
  429: { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } },
  503: { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } },
};

/** The answers of a route: those expected, and these errors. With a body also that it is too large. */
export function answers(
  expected: Operation['responses'],
  codes: readonly ErrorCode[],
  { hasBody = false }: { hasBody?: boolean } = {},
): Operation['responses'] {
  return { ...expected, ...problemResponses(codes, hasBody) };
}

/** The answers with these codes, by status. */
export function problemResponses(codes: readonly ErrorCode[], hasBody: boolean): Record<string, Response> {
  const byStatus = Map.groupBy(codes, statusFor);
  if (hasBody) byStatus.set(TOO_LARGE, ['bad_request']);
  return Object.fromEntries(
    [...byStatus]
      .sort(([one], [other]) => one - other)
      .map(([status, each]) => [String(status), problem(status, [...new Set(each)])]),
  );
}

function problem(status: number, codes: readonly ErrorCode[]): Response {
  const said = codes.map((code) => `\`${code}\` (${TITLES[code] ?? 'a fault of the broker'})`).join(', ');
  return {
    description: status === TOO_LARGE ? '`bad_request`: the body is too large.' : `${said}.`,
    headers: { ...SAFE_HEADERS, ...HEADERS[status] },
    content: { 'application/problem+json': { schema: problemWith(status, codes) } },
  };
}

/** The problem, narrowed to what this status can be. */
function problemWith(status: number, codes: readonly ErrorCode[]): SchemaRef {
  return {
    $ref: '#/components/schemas/Problem',
    type: 'object',
    description: 'What went wrong.',
    properties: {
      status: { type: 'integer', const: status, description: 'The HTTP status.' },
      code: { type: 'string', enum: codes, description: 'What programs go by.' },
    },
  };
}

/** Throws `TypeError` for a code that no answer over HTTP has. */
function statusFor(code: ErrorCode): number {
  if (code === 'internal') return 500;
  const { status } = statusOf(new BrokerError(code, '')) ?? {};
  if (status === undefined) throw new TypeError(`${code} is never answered over HTTP`);
  return status;
}
