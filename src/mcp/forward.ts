/**
 * Sends a call to its server with the connection's credential, and does about a refusal of the credential what can be
 * done: a new token, once, and the same call again where that is provably safe. Whatever comes of it, the agent never
 * hears the server's 401 or its challenge: a client would start a login of its own.
 */
import { setMaxListeners } from 'node:events';
import type { Caller } from '../broker/context.ts';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Broker } from '../broker/index.ts';
import { readBearerChallenge } from '../core/challenge.ts';
import { isRepeatable } from '../core/mcp-message.ts';
import { BrokerError, quote, systemCode } from '../errors.ts';
import type { Call } from './call.ts';
import { discard } from './discard.ts';
import { requestHeaders } from './headers.ts';
import type { Upstream, UpstreamAnswer } from './upstream.ts';

export interface Forwarded {
  /** With which credential it was sent in the end. */
  access: UpstreamAccess;
  answer: UpstreamAnswer;
}

/** Told of each answer of the server, those included that the agent never hears. */
export type OnAnswer = (status: number, access: UpstreamAccess) => void;

/**
 * The server's answer, its body not yet read.
 *
 * Throws `login_required` and what else `Broker.gateway.open` throws when the credential is refused for good,
 * `forbidden` (the login lacks a scope), `upstream_unavailable`.
 */
export async function forward(
  { broker, upstream }: { broker: Broker; upstream: Upstream },
  caller: Caller,
  call: Call,
  access: UpstreamAccess,
  signal: AbortSignal,
  onAnswer: OnAnswer = () => {},
): Promise<Forwarded> {
  // Each attempt listens on it, and so does the answer.
  setMaxListeners(20, signal);
  const answer = await attempt(upstream, access, call, signal);
  onAnswer(answer.status, access);
  const next = answer.status === 401 ? await withNewerCredential() : { access, answer };
  await requireTaken(broker, caller, next);
  return next;

  async function withNewerCredential(): Promise<Forwarded> {
    const challenge = String(answer.headers['www-authenticate'] ?? '');
    discard(answer.body);
    const newer = await renew(broker, caller, access);
    // A challenge is the word of whoever guards the server (RFC 6750 §3): behind it nothing ran.
    const isSafe = readBearerChallenge(challenge) !== undefined || isRepeatable(call.messages);
    if (!isSafe) throw mayHaveRun(access.connection, 'answered 401 and did not say who refuses');
    const again = await attempt(upstream, newer, call, signal);
    onAnswer(again.status, newer);
    return { access: newer, answer: again };
  }
}

/**
 * The way to the server with another credential than the one it refused. Throws what `Broker.gateway.open` throws; but
 * for a token that is too new to be renewed again `upstream_unavailable`, because `rate_limited` would blame the agent.
 */
export async function renew(
  broker: Broker,
  caller: Caller,
  { connection, generation }: Pick<UpstreamAccess, 'connection' | 'generation'>,
): Promise<UpstreamAccess> {
  try {
    return await broker.gateway.open(caller, connection, { rejectedGeneration: generation });
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'rate_limited') throw error;
    throw new BrokerError('upstream_unavailable', `${connection} refuses a token that is new`, {
      hint: `try again later; an operator can look for the reason: broker doctor ${connection}`,
      connection,
      retryAfterSeconds: error.retryAfterSeconds,
      cause: error,
    });
  }
}

/** One request. A connection that the server had closed meanwhile is no reason to fail what may be asked twice. */
async function attempt(
  upstream: Upstream,
  access: UpstreamAccess,
  call: Call,
  signal: AbortSignal,
): Promise<UpstreamAnswer> {
  const { verb, body } = call;
  const request = { verb, body, signal, headers: requestHeaders(call.headers, access.headers) };
  try {
    return await upstream(access, request);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (wasNotSent(error)) throw unreachable(access.connection, error);
    if (verb === 'POST' && !isRepeatable(call.messages))
      throw mayHaveRun(access.connection, 'closed the connection without an answer', error);
  }
  try {
    return await upstream(access, request);
  } catch (error) {
    throw signal.aborted ? signal.reason : unreachable(access.connection, error);
  }
}

/** Refuses answers that are not about the call but about the way to the server. */
async function requireTaken(broker: Broker, caller: Caller, { access, answer }: Forwarded): Promise<void> {
  const { connection } = access;
  const { status, headers } = answer;
  if (status === 401) {
    discard(answer.body);
    throw new BrokerError('login_required', `${connection} refuses a token it was given a moment ago`, {
      hint: access.enteringCommand,
      connection,
    });
  }
  if (status === 403) await requireScope(broker, caller, access, answer);
  if (status >= 300 && status < 400) {
    discard(answer.body);
    const target = URL.parse(String(headers.location ?? ''), access.url);
    throw new BrokerError(
      'upstream_unavailable',
      `${connection} redirects its calls${target ? ` to ${quote(target.origin + target.pathname)}` : ''}`,
      {
        hint: 'a credential is not carried along; sign in with the URL it leads to: broker login <url>',
        connection,
      },
    );
  }
  if ([502, 503, 504].includes(status)) {
    discard(answer.body);
    throw new BrokerError('upstream_unavailable', `${connection} is out of order (HTTP ${status})`, {
      hint: 'try again later',
      connection,
      retryAfterSeconds: readRetryAfter(headers['retry-after']),
    });
  }
}

/** Throws `forbidden` when it is a matter of scope; other refusals are the server's own affair, and pass. */
async function requireScope(
  broker: Broker,
  caller: Caller,
  { connection }: UpstreamAccess,
  answer: UpstreamAnswer,
): Promise<void> {
  const wwwAuthenticate = String(answer.headers['www-authenticate'] ?? '');
  const needed = await broker.stepUp(caller, connection, { status: 403, wwwAuthenticate });
  if (!needed) return;
  discard(answer.body);
  throw new BrokerError('forbidden', `the login of ${connection} does not suffice for this call`, {
    hint: `an operator can sign in with more rights: ${needed.nextStep}`,
    connection,
  });
}

/** Codes of failures before a byte was sent. */
const NOT_SENT = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOENT'],
  ...['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_PRX_TLS'],
]);

function wasNotSent(error: unknown): boolean {
  if (error instanceof BrokerError) return true;
  const code = systemCode(error) ?? '';
  return NOT_SENT.has(code) || /^(EPROTO$|ERR_TLS|ERR_SSL|UNABLE_TO_)|CERT|SELF_SIGNED/.test(code);
}

function unreachable(connection: string, error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  return new BrokerError(
    'upstream_unavailable',
    `${connection} cannot be reached (${systemCode(error) ?? 'no answer'})`,
    {
      hint: 'try again later; broker doctor looks for the reason',
      connection,
      cause: error,
    },
  );
}

function mayHaveRun(connection: string, what: string, cause?: unknown): BrokerError {
  return new BrokerError('upstream_unavailable', `${connection} ${what}: the call may have run`, {
    hint: 'look whether it has before asking again',
    connection,
    cause,
  });
}

/** Seconds of a `Retry-After`. Undefined: there is none, or it is a date. */
function readRetryAfter(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}$/.test(value.trim()) ? Number(value) : undefined;
}
