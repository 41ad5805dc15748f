/**
 * One call of an MCP server with a token, to see what it says: `initialize`, the first message of every session.
 *
 * The session it may begin is given back at once.
 */

import { readBearerChallenge } from '../core/challenge.ts';
import { INITIALIZE, PROTOCOL_VERSION } from '../core/mcp-initialize.ts';
import type { CredentialHeaders } from '../core/token-set.ts';
import { printable, quote } from '../errors.ts';
import { describeRefusal, networkError, parseObject, readNetworkFailure } from './failure.ts';
import { abortable, type Fetch, type FetchInit } from './http.ts';

/** What the server made of the token, and the HTTP status it said so with. */
export type ProbeAnswer = { status: number } & ProbeReading;

type ProbeReading =
  /** It answered as an MCP server does. Name and version as it told them, safe to show. */
  | { kind: 'initialized'; server: string | undefined }
  /** The token was let in, the message was not understood; JSON-RPC errors too, with their code. */
  | { kind: 'not_initialized'; told: string; code?: number }
  /** 401. */
  | { kind: 'token_refused'; told: string }
  /** 403 that names what is missing. Space separated; undefined: it does not say which. @see RFC 6750 §3.1 */
  | { kind: 'insufficient_scope'; scope: string | undefined }
  | { kind: 'unavailable' | 'refused'; told: string };

const BODY = JSON.stringify({ jsonrpc: '2.0', id: 1, ...INITIALIZE });

const ANSWER_DEADLINE_MS = 6_000;
/** For the headers alone, when the whole answer does not come to an end. */
const HEADERS_DEADLINE_MS = 3_000;
/** A courtesy. */
const GOODBYE_DEADLINE_MS = 2_000;

/** Longest name and longest version shown. */
const MAX_NAME = 80;

/**
 * Sends `initialize` to the MCP endpoint at `url`, with the headers of a credential.
 *
 * Throws `upstream_unavailable` (network), `discovery_failed` for an address that is refused.
 */
export async function probeInitialize(
  url: string,
  credential: CredentialHeaders,
  fetch: Fetch,
): Promise<ProbeAnswer> {
  const revealed = Object.fromEntries(credential.map(([name, value]) => [name, value.reveal()]));
  const response = await ask(url, revealed, fetch).catch((error: unknown) => {
    throw networkError(error, url);
  });
  const session = response.headers.get('mcp-session-id');
  if (session !== null) await giveBack(url, revealed, session, fetch);
  return read(response, await response.text());
}

/**
 * Opens the stream of events at `url`, as clients of the transport before Streamable HTTP do (MCP 2024-11-05), and closes
 * it at once. Throws what `probeInitialize` throws.
 */
export async function probeEventStream(
  url: string,
  credential: CredentialHeaders,
  fetch: Fetch,
): Promise<ProbeAnswer> {
  const revealed = Object.fromEntries(credential.map(([name, value]) => [name, value.reveal()]));
  const response = await abortable(fetch, AbortSignal.timeout(ANSWER_DEADLINE_MS))(url, {
    headers: { ...revealed, accept: 'text/event-stream' },
    headersOnly: true,
  }).catch((error: unknown) => {
    throw networkError(error, url);
  });
  const answer = read(response, '');
  const isStream = /^text\/event-stream\b/.test(response.headers.get('content-type') ?? '');
  return answer.kind === 'initialized' && !isStream
    ? { status: answer.status, kind: 'refused', told: 'no stream of events' }
    : answer;
}

/**
 * Looks at a resource that is no MCP endpoint, or opens the stream of an older one: HEAD, and GET where that tells
 * nothing. Only the status counts. Throws what `probeInitialize` throws.
 */
export async function probeResource(
  url: string,
  credential: CredentialHeaders,
  fetch: Fetch,
): Promise<ProbeAnswer> {
  const revealed = Object.fromEntries(credential.map(([name, value]) => [name, value.reveal()]));
  const headers = { ...revealed, accept: 'text/event-stream, */*;q=0.9' };
  const ask = (method: 'HEAD' | 'GET') =>
    fetch(url, { method, headers, headersOnly: true }).catch((error: unknown) => {
      throw networkError(error, url);
    });
  const first = await ask('HEAD');
  return read(NOT_FOR_HEAD.includes(first.status) ? await ask('GET') : first, '');
}

/** What servers answer that know no HEAD, or not there. */
const NOT_FOR_HEAD = [400, 404, 405, 406, 501];

/** An answer may be a stream that a server leaves open: then its status alone has to tell. */
async function ask(url: string, credential: Record<string, string>, fetch: Fetch): Promise<Response> {
  const call = (deadlineMs: number, more: FetchInit = {}) =>
    abortable(fetch, AbortSignal.timeout(deadlineMs))(url, {
      method: 'POST',
      body: BODY,
      headers: {
        ...credential,
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
      },
      ...more,
    });
  try {
    return await call(ANSWER_DEADLINE_MS);
  } catch (error) {
    if (readNetworkFailure(error).code !== 'timeout') throw error;
    return await call(HEADERS_DEADLINE_MS, { headersOnly: true });
  }
}

/** Ends the session. Servers need not allow it, and nobody waits for it. */
async function giveBack(
  url: string,
  credential: Record<string, string>,
  session: string,
  fetch: Fetch,
): Promise<void> {
  const signal = AbortSignal.timeout(GOODBYE_DEADLINE_MS);
  const headers = { ...credential, 'mcp-session-id': session, 'mcp-protocol-version': PROTOCOL_VERSION };
  await fetch(url, { method: 'DELETE', headers, headersOnly: true, signal }).catch(() => {});
}

function read(response: Response, text: string): ProbeAnswer {
  return { status: response.status, ...readKind(response, text) };
}

function readKind({ status, headers }: Response, text: string): ProbeReading {
  const challenge = readBearerChallenge(headers.get('www-authenticate') ?? '');
  const told = describeRefusal(status, text);
  if (status === 401) return { kind: 'token_refused', told: reason(status, challenge?.error) };
  if (status === 403 && challenge?.error === 'insufficient_scope') {
    return { kind: 'insufficient_scope', scope: challenge.scope };
  }
  if (status >= 500 || status === 429) return { kind: 'unavailable', told };
  const message = messageOf(headers, text);
  if (message?.error !== undefined) return { kind: 'not_initialized', ...describeError(message.error) };
  if (status >= 200 && status <= 299) return { kind: 'initialized', server: serverOf(message) };
  return { kind: 'refused', told };
}

function reason(status: number, error: string | undefined): string {
  return error === undefined ? `${status}` : `${status} ${printable(error, MAX_NAME)}`;
}

/** The JSON-RPC message, which may be the last event of a stream. Undefined: there is none. */
function messageOf(headers: Headers, text: string): Record<string, unknown> | undefined {
  if (!/^text\/event-stream\b/.test(headers.get('content-type') ?? '')) return parseRpc(text);
  const events = text.split(/\r?\n\r?\n/).map((event) =>
    event
      .split(/\r?\n/)
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice('data:'.length).trimStart())
      .join('\n'),
  );
  return events.map(parseRpc).findLast((each) => each?.result !== undefined || each?.error !== undefined);
}

function parseRpc(text: string): Record<string, unknown> | undefined {
  const value = parseObject(text);
  return value?.jsonrpc === '2.0' ? value : undefined;
}

/** JSON-RPC 2.0 §5.1. */
function describeError(error: unknown): { told: string; code?: number } {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown };
  const words = typeof message === 'string' ? ` ${quote(message)}` : '';
  return typeof code === 'number' ? { told: `${code}${words}`, code } : { told: `an error${words}` };
}

function serverOf(message: Record<string, unknown> | undefined): string | undefined {
  const { serverInfo } = Object(message?.result) as { serverInfo?: unknown };
  const { name, version } = Object(serverInfo) as { name?: unknown; version?: unknown };
  const words = [name, version].filter((each) => typeof each === 'string' && each !== '') as string[];
  return words.length === 0 ? undefined : words.map((word) => printable(word, MAX_NAME)).join(' ');
}
