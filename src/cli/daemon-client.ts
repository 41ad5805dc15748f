/**
 * Calls to a running daemon as an agent: for `broker token` and `broker check` where there is an agent key and
 * no vault.
 */
import type { IncomingMessage, RequestOptions } from 'node:http';
import { BrokerError, type ErrorCode } from '../errors.ts';
import type { Secret } from '../secret.ts';

/** What this client needs to know about the daemon. */
export interface DaemonAddress {
  /** `http://host:port`, `https://host:port` or `unix:/path`. */
  daemonUrl: string;
  agentKey: Secret;
}

/** A refresh may be going on behind the answer. */
const TIMEOUT_MS = 60_000;

/**
 * One call; the JSON answer.
 *
 * Throws the daemon's own error by its code, `daemon_unreachable` when nobody answers, `usage` for a bad
 * `BROKER_URL`.
 */
export async function callDaemon<T>(
  { daemonUrl, agentKey }: DaemonAddress,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<T> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const { status, text } = await send(daemonUrl, {
    method,
    path,
    timeout: TIMEOUT_MS,
    headers: {
      authorization: `Bearer ${agentKey.reveal()}`,
      ...(payload === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
    },
    ...(payload === undefined ? {} : { payload }),
  });
  const answer = parse(text);
  if (status >= 200 && status < 300 && answer !== undefined) return answer as T;
  throw readProblem(answer, status, daemonUrl);
}

async function send(
  daemonUrl: string,
  { payload, ...options }: RequestOptions & { payload?: string },
): Promise<{ status: number; text: string }> {
  const { target, isTls } = readTarget(daemonUrl);
  const { request } = isTls ? await import('node:https') : await import('node:http');
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const call = request({ ...target, ...options }, resolve);
  call.on('error', reject);
  call.on('timeout', () => call.destroy(new Error('no answer in time')));
  call.end(payload);
  try {
    const response = await promise;
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    return { status: response.statusCode ?? 0, text };
  } catch (error) {
    throw new BrokerError('daemon_unreachable', `no broker daemon answers at ${daemonUrl}`, {
      hint: 'start it with: broker serve\nor say where it is with BROKER_URL (http://host:port or unix:/path)',
      cause: error,
    });
  }
}

function readTarget(daemonUrl: string): { target: RequestOptions; isTls: boolean } {
  if (daemonUrl.startsWith('unix:'))
    return { target: { socketPath: daemonUrl.slice('unix:'.length) }, isTls: false };
  const url = URL.parse(daemonUrl);
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new BrokerError('usage', 'BROKER_URL is not the address of a daemon', {
      hint: 'write http://127.0.0.1:8787 or unix:/path/to/broker.sock',
    });
  }
  return {
    target: { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port },
    isTls: url.protocol === 'https:',
  };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function readProblem(
  problem: Record<string, unknown> | undefined,
  status: number,
  daemonUrl: string,
): BrokerError {
  if (typeof problem?.code !== 'string' || typeof problem.detail !== 'string') {
    return new BrokerError(
      'daemon_unreachable',
      `what answers at ${daemonUrl} is not a broker daemon (status ${status})`,
      {
        hint: 'check BROKER_URL',
      },
    );
  }
  return new BrokerError(problem.code as ErrorCode, problem.detail, {
    ...(typeof problem.next_step === 'string' ? { hint: problem.next_step } : {}),
    ...(typeof problem.retry_after === 'number' ? { retryAfterSeconds: problem.retry_after } : {}),
  });
}
