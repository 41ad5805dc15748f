/**
 * How we reach providers: one bounded request, no redirects, a fresh socket each time.
 *
 * A fresh socket makes a reset unambiguous: with a reused one nobody can tell whether the server closed an idle
 * connection or dropped our refresh. Providers are rarely called, so keep-alive would gain nothing.
 */
import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import type { ProxySettings } from '../config.ts';
import { BrokerError, systemCode } from '../errors.ts';

/** The part of `fetch` we use. Resolves with the whole body read; rejects on network failures. */
export type Fetch = (url: string, init?: FetchInit) => Promise<Response>;

export interface FetchInit {
  method?: string | undefined;
  headers?: Record<string, string> | Headers | undefined;
  body?: string | Uint8Array | URLSearchParams | null | undefined;
  signal?: AbortSignal | undefined;
  /** Only status and headers are wanted: the body, perhaps an endless stream, is dropped. */
  headersOnly?: boolean;
}

export interface FetchOptions {
  proxy: ProxySettings;
  /** PEM file with further certificate authorities. */
  caFile: string | undefined;
}

/** Time for one request, from the first byte sent to the last received. A lease must be longer. */
export const REQUEST_DEADLINE_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** Metadata and token answers are a few KB; anything beyond 1 MiB is a mistake or an attack. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Some firewalls refuse requests without one. */
const USER_AGENT = 'mcp-token-broker';

const NULL_BODY_STATUSES = new Set([101, 204, 205, 304]);

/** Makes the `fetch` for everything we say to providers. Throws `usage` when the CA file cannot be read. */
export function createFetch({ proxy, caFile }: FetchOptions): Fetch {
  const connect = {
    timeout: CONNECT_TIMEOUT_MS,
    ...(caFile === undefined ? {} : { ca: [...getCACertificates('default'), readCertificates(caFile)] }),
  };
  // pipelining 0: no keep-alive.
  const usesProxy = proxy.httpProxy !== undefined || proxy.httpsProxy !== undefined;
  const dispatcher = usesProxy
    ? new EnvHttpProxyAgent({
        pipelining: 0,
        connect,
        requestTls: connect,
        ...(proxy.httpProxy === undefined ? {} : { httpProxy: proxy.httpProxy }),
        ...(proxy.httpsProxy === undefined ? {} : { httpsProxy: proxy.httpsProxy }),
        noProxy: [proxy.noProxy, '127.0.0.1,localhost,::1'].filter(Boolean).join(','),
      })
    : new Agent({ pipelining: 0, connect });

  return async (url, init = {}) => {
    requireSafeUrl(url);
    const deadline = startDeadline(REQUEST_DEADLINE_MS);
    const headers = new Headers(init.headers);
    headers.set('user-agent', USER_AGENT);
    // A small packed answer could become a large one.
    headers.set('accept-encoding', 'identity');
    // Not fetch: it hides the cause of failures, refuses some ports, and costs memory; we need none of its comfort.
    try {
      const {
        statusCode,
        headers: answered,
        body,
      } = await request(url, {
        method: (init.method ?? 'GET') as Dispatcher.HttpMethod,
        headers: Object.fromEntries(headers),
        body: init.body instanceof URLSearchParams ? init.body.toString() : (init.body ?? null),
        signal: init.signal ? AbortSignal.any([init.signal, deadline.signal]) : deadline.signal,
        dispatcher,
      });
      const whole = init.headersOnly
        ? drop(body)
        : unpack(await readBounded(body), String(answered['content-encoding'] ?? ''));
      return new Response(NULL_BODY_STATUSES.has(statusCode) ? null : whole, {
        status: statusCode,
        headers: Object.entries(answered).flatMap(([name, value]) =>
          [value ?? []].flat().map((each) => [name, each] as [string, string]),
        ),
      });
    } finally {
      deadline.stop();
    }
  };
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
  if (isSafeUrl(url)) return;
  const parsed = URL.parse(url);
  throw new BrokerError(
    'discovery_failed',
    `refused to call ${parsed ? safeName(parsed) : 'an invalid URL'}`,
    {
      hint: 'only https URLs without user name and password are used (plain http only on this machine)',
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
  return `${url.protocol}//${url.host}${url.pathname}`;
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

function readCertificates(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BrokerError('usage', `the CA file ${path} cannot be read (${systemCode(error)})`, {
      hint: 'check --ca-file',
      cause: error,
    });
  }
}
