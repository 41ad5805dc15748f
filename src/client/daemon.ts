/**
 * One question to the daemon, one JSON answer.
 *
 * By `node:http` rather than `fetch`: it speaks to Unix sockets, never follows a redirect with the agent key, and
 * knows no proxy. Each question has a connection of its own, because they are rare and a kept one may be dead.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BrokerClientError } from './errors.ts';
import { type BrokerOptions, checkOptions } from './options.ts';
import { type DaemonSettings, readSettings } from './settings.ts';

/** Larger than any token; what sends more is not a broker. */
const MAX_ANSWER_BYTES = 1_000_000;

/** Node's codes for a certificate that is not believed. */
const UNTRUSTED = /CERT|VERIFY|ISSUER/;

/** Longest piece of the daemon's text that is shown, in characters. */
const MAX_SHOWN = 500;

/** Routes of one connection. */
export type Route = '' | '/token' | '/headers';

/** A JSON object nobody has looked at yet. */
export type Answer = Record<string, unknown>;

/** The daemon as one connection sees it. */
export interface Daemon {
  /**
   * Asks `/v1/connections/{name}` + route: GET, or POST when there is a body.
   *
   * Throws the daemon's own error by its code, `daemon_unreachable` when no daemon answers in time, `usage` for an
   * address or key that cannot be.
   */
  ask(route: Route, options?: { query?: string; body?: object }): Promise<Answer>;
  connection: string;
  /** Seconds. */
  minTtl: number;
  /** The error for an answer that makes no sense. */
  strange(status?: number): BrokerClientError;
}

/** Prepares to ask. Nothing is read from the environment before the first question. Throws `TypeError`. */
export function connectDaemon(options: BrokerOptions): Daemon {
  const { connection, minTtl, timeoutMs } = checkOptions(options);
  let settings: DaemonSettings | undefined;

  function strange(status?: number): BrokerClientError {
    const about = status === undefined ? '' : ` (status ${status})`;
    return new BrokerClientError(
      'daemon_unreachable',
      `what answers at ${settings?.url} is not a broker daemon${about}`,
      { status, connection, nextStep: 'check BROKER_URL' },
    );
  }

  return {
    connection,
    minTtl,
    strange,
    async ask(route, { query = '', body } = {}) {
      settings ??= readSettings(options);
      const path = `/v1/connections/${encodeURIComponent(connection)}${route}${query}`;
      const { status, text } = await send(settings, path, body, timeoutMs);
      const answer = parse(text);
      if (status === 200 && answer) return answer;
      throw readProblem(answer, status, settings.key) ?? strange(status);
    },
  };
}

async function send(
  settings: DaemonSettings,
  path: string,
  body: object | undefined,
  timeoutMs: number,
): Promise<{ status: number; text: string }> {
  const payload = body && JSON.stringify(body);
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = settings.isTls ? httpsRequest : httpRequest;
      const call = request(
        {
          ...settings.target,
          agent: false,
          method: payload === undefined ? 'GET' : 'POST',
          path: `${settings.basePath}${path}`,
          headers: {
            accept: 'application/json',
            authorization: `Bearer ${settings.key}`,
            ...(payload === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
          },
          signal,
        },
        resolve,
      );
      call.on('error', reject);
      call.end(payload);
    });
    return { status: response.statusCode ?? 0, text: await readText(response) };
  } catch (error) {
    throw unreachable(settings, error, signal.aborted ? timeoutMs : undefined);
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) return '';
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function unreachable(
  { url }: DaemonSettings,
  error: unknown,
  timeoutMs: number | undefined,
): BrokerClientError {
  const { code } = error as { code?: unknown };
  const why =
    timeoutMs === undefined ? String(code ?? 'the connection broke') : `not within ${timeoutMs / 1000} s`;
  const nextStep = UNTRUSTED.test(why)
    ? 'check the host in BROKER_URL, and name the authority of its certificate with NODE_EXTRA_CA_CERTS'
    : 'start it with: broker serve, or say where it is with BROKER_URL (http://host:port or unix:/path)';
  return new BrokerClientError('daemon_unreachable', `no broker daemon answers at ${url} (${why})`, {
    nextStep,
  });
}

function parse(text: string): Answer | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Answer)
      : undefined;
  } catch {
    return undefined;
  }
}

/** `application/problem+json` as the daemon writes it (RFC 9457). Undefined: somebody else wrote this. */
function readProblem(
  problem: Answer | undefined,
  status: number,
  key: string,
): BrokerClientError | undefined {
  if (typeof problem?.code !== 'string' || typeof problem.detail !== 'string') return undefined;
  // Whoever answers got the key with the question, and could say it back.
  const text = (value: unknown) =>
    typeof value === 'string' ? printable(value.replaceAll(key, '…')) : undefined;
  const { retry_after } = problem;
  return new BrokerClientError(text(problem.code) ?? '', text(problem.detail) ?? '', {
    status,
    nextStep: text(problem.next_step),
    connection: text(problem.connection),
    retryAfterSeconds: typeof retry_after === 'number' && retry_after >= 0 ? retry_after : undefined,
  });
}

function printable(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return clean.length > MAX_SHOWN ? `${clean.slice(0, MAX_SHOWN)}…` : clean;
}
