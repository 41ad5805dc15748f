/**
 * Calls to a running daemon as an agent: for `broker token` and `broker check` where there is an agent key and
 * no vault.
 */
import type { IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { trustedCertificates } from '../certificates.ts';
import { BrokerError, type ErrorCode, systemCode } from '../errors.ts';
import type { Secret } from '../secret.ts';

/** What this client needs to know about the daemon. */
export interface DaemonAddress {
  /** `http://host:port`, `https://host:port/path` or `unix:/path`. */
  daemonUrl: string;
  agentKey: Secret;
  /** PEM file with further certificate authorities. */
  caFile?: string | undefined;
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
  { daemonUrl, agentKey, caFile }: DaemonAddress,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<T> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const { status, text } = await send(readTarget(daemonUrl, caFile), {
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
  { daemonUrl, options: target, basePath, isTls }: Target,
  { payload, path, ...options }: RequestOptions & { path: string; payload?: string },
): Promise<{ status: number; text: string }> {
  const { request } = isTls ? await import('node:https') : await import('node:http');
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const call = request({ ...target, ...options, path: basePath + path }, resolve);
  call.on('error', reject);
  call.on('timeout', () => call.destroy(new Error('no answer in time')));
  call.end(payload);
  try {
    const response = await promise;
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    return { status: response.statusCode ?? 0, text };
  } catch (error) {
    const reason = isTls && !UNANSWERED.has(systemCode(error) ?? '') ? ` (${systemCode(error)})` : '';
    throw new BrokerError('daemon_unreachable', `no broker daemon answers at ${daemonUrl}${reason}`, {
      hint: `start it with: broker serve\nor say where it is with BROKER_URL (http://host:port or unix:/path)${
        reason === '' ? '' : '\nif its certificate is signed by an authority of your own: --ca-file <file>'
      }`,
      cause: error,
    });
  }
}

/** What fails before anything is said of certificates. */
const UNANSWERED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'ECONNRESET', 'ETIMEDOUT', 'EAI_AGAIN']);

interface Target {
  daemonUrl: string;
  options: RequestOptions;
  /** What stands before every path, without a slash at its end. */
  basePath: string;
  isTls: boolean;
}

function readTarget(daemonUrl: string, caFile: string | undefined): Target {
  if (daemonUrl.startsWith('unix:')) {
    const options = { socketPath: daemonUrl.slice('unix:'.length) };
    return { daemonUrl, options, basePath: '', isTls: false };
  }
  const url = URL.parse(daemonUrl);
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new BrokerError('usage', 'BROKER_URL is not the address of a daemon', {
      hint: 'write http://127.0.0.1:8787 or unix:/path/to/broker.sock',
    });
  }
  const isTls = url.protocol === 'https:';
  const ca = isTls ? trustedCertificates(caFile) : undefined;
  const options = { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port, ...(ca && { ca }) };
  return { daemonUrl, options, basePath: url.pathname.replace(/\/+$/, ''), isTls };
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
