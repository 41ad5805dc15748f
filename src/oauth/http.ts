/**
 * How we reach providers: one bounded request to an address we may call, a fresh socket each time, and no redirects
 * but where the caller asks for them.
 *
 * A fresh socket makes a reset unambiguous: with a reused one nobody can tell whether the server closed an idle
 * connection or dropped our refresh. Providers are rarely called, so keep-alive would gain nothing.
 */
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import type { Dispatcher } from 'undici';
import type { Network } from '../core/server-settings.ts';
import { BrokerError, printable } from '../errors.ts';
import { addressRefused, requireAllowedHost } from './addresses.ts';
import { type ConnectOptions, createDispatchers, type OnConnected } from './connect.ts';
import { undici } from './undici.ts';

/** The part of `fetch` we use. Resolves with the whole body read; rejects on network failures. */
export type Fetch = (url: string, init?: FetchInit) => Promise<Response>;

/** The `fetch` for each network. */
export type FetchFor = (network: Network) => Fetch;

export interface FetchInit {
  method?: string | undefined;
  headers?: Record<string, string> | Headers | undefined;
  body?: string | Uint8Array | URLSearchParams | null | undefined;
  signal?: AbortSignal | undefined;
  /** Only status and headers are wanted: the body, perhaps an endless stream, is dropped. */
  headersOnly?: boolean;
  /**
   * How many redirects (301, 302, 303, 307, 308) are followed, all within one deadline. Default 0: the redirect is the
   * answer. Only for a GET without credentials; with anything else it is an `Error` of the programmer.
   */
  redirects?: number | undefined;
  /**
   * Told the IP address of each connection that was made, TLS included, before anything is sent. Not called for
   * connections through a proxy. Must not throw.
   */
  onConnected?: OnConnected | undefined;
}

/** Time for one request, from the first byte sent to the last received. A lease must be longer. */
export const REQUEST_DEADLINE_MS = 30_000;

/** Metadata and token answers are a few KB; anything beyond 1 MiB is a mistake or an attack. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Some firewalls refuse requests without one. */
const USER_AGENT = 'mcp-token-broker';

const NULL_BODY_STATUSES = new Set([101, 204, 205, 304]);

/** Redirects that are followed; 300 and 304 are something else. */
const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308]);

const CREDENTIAL_HEADERS = ['authorization', 'cookie', 'proxy-authorization'];

/**
 * Makes the `fetch` for everything we say to providers. Throws `usage` when the CA file cannot be read. The `fetch`
 * throws `discovery_failed` for URLs, redirects and addresses that are refused, and else what undici throws.
 */
export function createFetch(options: ConnectOptions): Fetch {
  const open = createDispatchers(options);

  async function send(url: string, init: FetchInit, signal: AbortSignal): Promise<Response> {
    requireSafeUrl(url);
    requireAllowedHost(url, options.network);
    const headers = new Headers(init.headers);
    headers.set('user-agent', USER_AGENT);
    // A small packed answer could become a large one.
    headers.set('accept-encoding', 'identity');
    // Not fetch: it hides the cause of failures, refuses some ports, and costs memory; we need none of its comfort.
    try {
      const answer = await undici().request(url, {
        method: (init.method ?? 'GET') as Dispatcher.HttpMethod,
        headers: Object.fromEntries(headers),
        body: init.body instanceof URLSearchParams ? init.body.toString() : (init.body ?? null),
        signal,
        dispatcher: open(signal, init.onConnected),
      });
      return await readResponse(answer, init);
    } catch (error) {
      // A connection that was given up while it was made fails in its own words.
      throw signal.aborted ? signal.reason : error;
    }
  }

  return async (url, init = {}) => {
    const { redirects = 0 } = init;
    if (redirects > 0) requireNoCredentials(init);
    const deadline = startDeadline(REQUEST_DEADLINE_MS);
    const signal = init.signal ? AbortSignal.any([init.signal, deadline.signal]) : deadline.signal;
    try {
      let at = url;
      for (let left = redirects; ; left -= 1) {
        const response = await send(at, init, signal);
        const next = redirects > 0 ? redirectTarget(response, at) : undefined;
        if (next === undefined) return response;
        if (left === 0) throw tooManyRedirects(url, redirects);
        at = next;
      }
    } finally {
      deadline.stop();
    }
  };
}

/** The whole answer, or that part of it which is wanted. */
async function readResponse(answer: Dispatcher.ResponseData, init: FetchInit): Promise<Response> {
  const { statusCode, headers, body } = answer;
  const isUnwanted = init.headersOnly || ((init.redirects ?? 0) > 0 && REDIRECT_STATUSES.has(statusCode));
  const whole = isUnwanted
    ? drop(body)
    : unpack(await readBounded(body), String(headers['content-encoding'] ?? ''));
  return new Response(NULL_BODY_STATUSES.has(statusCode) ? null : whole, {
    status: statusCode,
    headers: Object.entries(headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((each) => [name, each] as [string, string]),
    ),
  });
}

function requireNoCredentials({ method = 'GET', headers }: FetchInit): void {
  const given = new Headers(headers);
  if (method === 'GET' && !CREDENTIAL_HEADERS.some((name) => given.has(name))) return;
  throw new Error('redirects can be followed only for a GET without credentials');
}

/** Where a redirect leads. Undefined: it is none, or says nothing usable. Throws when it leaves https. */
function redirectTarget({ status, headers }: Response, from: string): string | undefined {
  if (!REDIRECT_STATUSES.has(status)) return undefined;
  const target = URL.parse(headers.get('location') ?? '', from);
  if (headers.get('location') === null || target === null) return undefined;
  if (target.protocol !== 'https:' && new URL(from).protocol === 'https:') throw refusedUrl(target.href);
  return target.href;
}

function tooManyRedirects(url: string, redirects: number): BrokerError {
  return new BrokerError(
    'discovery_failed',
    `${safeName(new URL(url))} redirects more than ${redirects} times`,
    {
      hint: 'use the URL it leads to in the end, or ask its operator to correct it',
    },
  );
}

const TICK_MS = 1_000;

/**
 * Aborts after so many ticks, not after so much time: a process that was stopped for longer has its answer waiting at
 * the socket, and must look there before it gives up.
 */
function startDeadline(timeoutMs: number): { signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  let left = timeoutMs / TICK_MS;
  const timer = setInterval(() => {
    left -= 1;
    if (left > 0) return;
    clearInterval(timer);
    controller.abort(new DOMException('the deadline has passed', 'TimeoutError'));
  }, TICK_MS).unref();
  return { signal: controller.signal, stop: () => clearInterval(timer) };
}

/** The same `fetch`, which gives up when the signal aborts. */
export function abortable(fetch: Fetch, signal: AbortSignal | undefined): Fetch {
  return signal ? (url, init) => fetch(url, { ...init, signal }) : fetch;
}

/** Whether plain http is acceptable: only to this very machine. */
export function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/**
 * Refuses URLs no credential may travel to: anything but https (http only to loopback), or with a user name or
 * password inside. Throws `discovery_failed`.
 */
export function requireSafeUrl(url: string): void {
  if (!isSafeUrl(url)) throw refusedUrl(url);
}

function refusedUrl(url: string): BrokerError {
  const parsed = URL.parse(url);
  return new BrokerError(
    'discovery_failed',
    `refused to call ${parsed ? safeName(parsed) : 'an invalid URL'}`,
    {
      hint: 'only https URLs without user name and password are used (plain http only on this machine)',
      cause: addressRefused(),
    },
  );
}

/** Whether a credential may travel to this URL, see `requireSafeUrl`. */
export function isSafeUrl(url: string): boolean {
  const parsed = URL.parse(url);
  return (
    parsed !== null &&
    !/[\p{Cc}\p{Cf}\s]/u.test(url) &&
    parsed.username === '' &&
    parsed.password === '' &&
    (parsed.protocol === 'https:' || (parsed.protocol === 'http:' && isLoopback(url)))
  );
}

function safeName(url: URL): string {
  return printable(`${url.protocol}//${url.host}${url.pathname}`);
}

async function readBounded(body: AsyncIterable<Uint8Array>): Promise<Buffer<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) throw Object.assign(new Error('body too large'), { code: 'BODY_TOO_LARGE' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Servers that pack all the same must not cost us the token inside. Bounded like any other body. */
function unpack(body: Buffer<ArrayBuffer>, encoding: string): Buffer<ArrayBuffer> {
  const limits = { maxOutputLength: MAX_BODY_BYTES };
  switch (encoding.toLowerCase()) {
    case 'gzip':
      return gunzipSync(body, limits);
    case 'deflate':
      return inflateSync(body, limits);
    case 'br':
      return brotliDecompressSync(body, limits);
    default:
      return body;
  }
}

/** Ends a body nobody wants; that this breaks the connection is the point. */
function drop(body: Dispatcher.ResponseData['body']): null {
  body.on('error', () => {});
  body.destroy();
  return null;
}
