/**
 * A `fetch` that proves who it is.
 *
 * The credential goes to the server of its connection and nowhere else: another address is refused before anything
 * is sent, and redirects are followed here, because a plain fetch would carry API-key headers along to wherever the
 * server points.
 */
import { type Credential, type Credentials, createCredentials } from './credentials.ts';
import { connectDaemon } from './daemon.ts';
import type { BrokerOptions } from './options.ts';

type Fetch = typeof globalThis.fetch;

/** As many as the Fetch standard allows. */
const MAX_REDIRECTS = 20;

const REDIRECTS = [301, 302, 303, 307, 308];

/** What a request must not carry to another origin; the credential's own headers besides. */
const PRIVATE_HEADERS = ['authorization', 'proxy-authorization', 'cookie', 'host'];

/** What describes a body that is left out. */
const BODY_HEADERS = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-type',
];

/** A call of the caller, taken apart as far as it matters here. */
interface Call {
  input: Parameters<Fetch>[0];
  init: RequestInit;
  url: URL;
  method: string;
  headers: Headers;
  signal: AbortSignal | undefined;
  /** Whether the caller wants redirects followed. */
  isFollowing: boolean;
  /** Whether the body, if any, can be sent again. */
  isRepeatable: boolean;
}

/**
 * A `fetch` for one connection: sets its credential, and after a 401 asks for a newer one and tries once more, if
 * the body can be sent again (a stream cannot). What the server answers then is the answer. For plain calls, and as
 * `fetch` of any MCP SDK transport.
 *
 * Throws `TypeError` for options that cannot be. The `fetch` rejects with `BrokerClientError` when the broker has no
 * credential (`login_required`, `daemon_unreachable`, …) and for addresses of other servers (`resource_mismatch`).
 *
 * @param fetch sends the requests. Default the global one
 */
export function brokerFetch(
  options: BrokerOptions,
  fetch: Fetch = (input, init) => globalThis.fetch(input, init),
): Fetch {
  const credentials = createCredentials(connectDaemon(options));

  return async (input, init = {}) => {
    const call = readCall(input, init);
    call.signal?.throwIfAborted();
    const credential = await unlessAborted(call.signal, obtain(credentials, call.url));
    const { response, isOwn } = await send(fetch, call, credential);
    if (response.status !== 401 || !isOwn) return response;
    try {
      const newer = await unlessAborted(call.signal, credentials.replace(credential));
      if (!newer || !call.isRepeatable) return response;
      await credentials.requireOwn(newer, call.url);
      await discard(response);
      return (await send(fetch, call, newer)).response;
    } catch (error) {
      await discard(response);
      throw error;
    }
  };
}

/** Gives up an answer nobody reads, so that its connection is free; one that broke off is given up already. */
async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {});
}

async function obtain(credentials: Credentials, url: URL): Promise<Credential> {
  const credential = await credentials.current();
  await credentials.requireOwn(credential, url);
  return credential;
}

function readCall(input: Parameters<Fetch>[0], init: RequestInit): Call {
  const request = typeof input === 'string' || input instanceof URL ? undefined : input;
  const hasBody = (init.body ?? request?.body ?? undefined) !== undefined;
  return {
    input,
    init,
    url: new URL(request?.url ?? String(input)),
    method: (init.method ?? request?.method ?? 'GET').toUpperCase(),
    headers: new Headers(init.headers ?? request?.headers),
    signal: init.signal ?? request?.signal ?? undefined,
    isFollowing: (init.redirect ?? request?.redirect ?? 'follow') === 'follow',
    isRepeatable: !hasBody || isRepeatable(init.body),
  };
}

/** What fetch reads anew each time it is given. */
function isRepeatable(body: RequestInit['body']): boolean {
  if (typeof body === 'string' || ArrayBuffer.isView(body)) return true;
  return [URLSearchParams, FormData, Blob, ArrayBuffer].some((kind) => body instanceof kind);
}

/** Sends a call, following redirects as the Fetch standard does. `isOwn`: whether the server of the connection answered. */
async function send(
  fetch: Fetch,
  call: Call,
  { headers: proof }: Credential,
): Promise<{ response: Response; isOwn: boolean }> {
  let { input, init, url, method, isRepeatable: canRepeat } = call;
  const headers = new Headers(call.headers);
  for (const [name, value] of Object.entries(proof)) headers.set(name, value);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
    const redirect = call.isFollowing ? { redirect: 'manual' as const } : {};
    const response = await fetch(input, { ...init, ...redirect, method, headers });
    const next = call.isFollowing ? redirectTarget(response, url) : undefined;
    if (!next) return { response, isOwn: true };
    await discard(response);
    if (becomesGet(response.status, method)) {
      method = 'GET';
      canRepeat = true;
      init = { ...init, body: null };
      for (const name of BODY_HEADERS) headers.delete(name);
    }
    if (!canRepeat)
      throw new TypeError(`a redirect of ${url.origin} wants a body again that can be sent only once`);
    const isElsewhere = next.origin !== url.origin;
    init = { ...init, ...(call.signal ? { signal: call.signal } : {}) };
    input = url = next;
    if (isElsewhere) {
      for (const name of [...PRIVATE_HEADERS, ...Object.keys(proof)]) headers.delete(name);
      return { response: await fetch(url, { ...init, redirect: 'follow', method, headers }), isOwn: false };
    }
  }
  throw new TypeError(`${url.origin} redirects in a circle`);
}

function redirectTarget(response: Response, base: URL): URL | undefined {
  const location = response.headers.get('location');
  if (!REDIRECTS.includes(response.status) || location === null || !URL.canParse(location, base.href))
    return undefined;
  const target = new URL(location, base);
  return /^https?:$/.test(target.protocol) ? target : undefined;
}

function becomesGet(status: number, method: string): boolean {
  if (status === 303) return method !== 'GET' && method !== 'HEAD';
  return (status === 301 || status === 302) && method === 'POST';
}

/** A caller that gives up does not wait for the daemon; the question goes on, for the others. */
async function unlessAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (!signal) return work;
  work.catch(() => {});
  let giveUp = () => {};
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => reject(signal.reason);
  });
  if (signal.aborted) giveUp();
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
