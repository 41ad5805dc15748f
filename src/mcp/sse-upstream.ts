/**
 * Servers of the transport before Streamable HTTP (HTTP with SSE, MCP 2024-11-05) as upstreams: a GET opens the stream
 * on which all answers come, and its first event tells where messages are posted.
 *
 * Every request goes out with the credential of its own call, so a refused one is renewed and repeated where all others
 * are (`forward.ts`).
 */
import { type Dispatcher, request as send } from 'undici';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Clock } from '../clock.ts';
import type { Network } from '../core/server-settings.ts';
import { BrokerError, quote } from '../errors.ts';
import { type Bridge, createBridge } from './bridge.ts';
import { discard } from './discard.ts';
import { LONGEST_LIST_BYTES } from './hold.ts';
import type { JSONRPCMessage, Pipe, PipeEnd } from './pipe.ts';
import { readEvents, type ServerEvent } from './read-events.ts';
import type { UpstreamAnswer, UpstreamRequest } from './upstream.ts';

/** A session nobody has used for so long: its stream is closed. */
const IDLE_END_MS = 30 * 60_000;

/** Until the server tells where messages go. */
const ENDPOINT_MS = 15_000;

/** Answers that say something of the credential or the way, and not that this is no such server. */
const TELLING = (status: number) =>
  [401, 403].includes(status) || status >= 500 || Math.trunc(status / 100) === 3;

export interface SseUpstreamOptions {
  dispatcherFor: (network: Network) => Dispatcher;
  clock: Clock;
}

export function createSseUpstream(options: SseUpstreamOptions): Bridge {
  return createBridge((access, request, end) => connect(options, access, request, end), options);
}

async function connect(
  { dispatcherFor, clock }: SseUpstreamOptions,
  access: UpstreamAccess,
  request: UpstreamRequest,
  end: PipeEnd,
): Promise<Pipe | UpstreamAnswer> {
  const { deserializeMessage } = await import('@modelcontextprotocol/server');
  const dispatcher = dispatcherFor(access.network);
  const life = new AbortController();
  const stop = () => life.abort();
  request.signal.addEventListener('abort', stop, { once: true });
  try {
    const stream = await openStream(access, request, dispatcher, life.signal);
    if (stream.status !== 200) return stream;
    const events = readEvents(stream.body, LONGEST_LIST_BYTES);
    const endpoint = await readEndpoint(access, events, clock, life);
    const gate = createGate();
    // From here on it lives as long as the session, and no more as long as the request that began it.
    request.signal.removeEventListener('abort', stop);
    void read(events, gate, end, deserializeMessage, life.signal);
    return {
      idleEndMs: IDLE_END_MS,
      send: (message, by) => post(endpoint, message, by, dispatcher),
      pause: gate.close,
      resume: gate.open,
      async close() {
        life.abort();
      },
    };
  } catch (error) {
    life.abort();
    request.signal.removeEventListener('abort', stop);
    throw error;
  }
}

/** The stream, or what the server answers instead. Throws `upstream_unavailable` when it is no such server. */
async function openStream(
  { url, connection }: UpstreamAccess,
  request: UpstreamRequest,
  dispatcher: Dispatcher,
  signal: AbortSignal,
): Promise<UpstreamAnswer> {
  const headers: Record<string, string> = { ...credentialOf(request), accept: 'text/event-stream' };
  delete headers['content-type'];
  const { statusCode: status, ...rest } = await send(url, { headers, signal, dispatcher });
  const answer: UpstreamAnswer = { status, headers: rest.headers, body: rest.body };
  const isStream = /^text\/event-stream\b/i.test(String(rest.headers['content-type'] ?? ''));
  if (TELLING(status) || (status === 200 && isStream)) return answer;
  discard(answer.body);
  throw noSuchServer(connection, `its GET is answered with HTTP ${status}`);
}

/** Where messages are posted: at the same origin, because the credential goes there. */
async function readEndpoint(
  { url, connection }: UpstreamAccess,
  events: AsyncGenerator<ServerEvent>,
  clock: Clock,
  life: AbortController,
): Promise<URL> {
  const waiting = new AbortController();
  const late = clock.wait(ENDPOINT_MS, waiting.signal).then(
    () => life.abort(noSuchServer(connection, `it names no endpoint within ${ENDPOINT_MS / 1000} s`)),
    () => {},
  );
  try {
    const { value: event } = await events.next();
    const named = event?.type === 'endpoint' ? URL.parse(event.data, url) : null;
    if (!named) throw noSuchServer(connection, 'its first event names no endpoint');
    if (named.origin === new URL(url).origin) return named;
    throw new BrokerError(
      'upstream_unavailable',
      `${connection} wants messages posted to ${quote(named.origin)}, which is another origin`,
      { hint: 'a credential goes to the server it is for and nowhere else: ask its operator', connection },
    );
  } catch (error) {
    throw life.signal.reason instanceof BrokerError ? life.signal.reason : error;
  } finally {
    waiting.abort();
    await late;
  }
}

/** Passes on what comes, until the server or the session ends. */
async function read(
  events: AsyncGenerator<ServerEvent>,
  gate: Gate,
  end: PipeEnd,
  parse: (text: string) => JSONRPCMessage,
  signal: AbortSignal,
): Promise<void> {
  let why = 'the server has closed its stream of events';
  try {
    for await (const { type, data } of events) {
      if (type === 'message') pass(data);
      await gate.passed();
    }
  } catch {
    why = 'the stream of events of the server has broken off';
  }
  end.onEnd(signal.aborted ? 'the session is over' : why);

  function pass(data: string): void {
    let message: JSONRPCMessage;
    try {
      message = parse(data);
    } catch {
      return;
    }
    end.onMessage(message);
  }
}

/** The answer comes on the stream; this one says no more than whether the message was taken. */
async function post(
  endpoint: URL,
  message: JSONRPCMessage,
  request: UpstreamRequest,
  dispatcher: Dispatcher,
): Promise<UpstreamAnswer | undefined> {
  const { statusCode: status, ...answer } = await send(endpoint, {
    method: 'POST',
    headers: { ...credentialOf(request), accept: '*/*', 'content-type': 'application/json' },
    body: JSON.stringify(message),
    signal: request.signal,
    dispatcher,
  });
  if (status < 200 || status > 299) return { status, headers: answer.headers, body: answer.body };
  // Read to its end, so that the connection serves the next one.
  await answer.body.dump();
  return undefined;
}

/** The headers of a call without what concerns the session in front: the server's own is in its endpoint. */
function credentialOf({ headers }: UpstreamRequest): Record<string, string> {
  const { 'mcp-session-id': _session, 'last-event-id': _event, ...others } = headers;
  return others;
}

interface Gate {
  close(): void;
  open(): void;
  /** Resolves while it is open. */
  passed(): Promise<void>;
}

function createGate(): Gate {
  let closed: PromiseWithResolvers<void> | undefined;
  return {
    close() {
      closed ??= Promise.withResolvers<void>();
    },
    open() {
      closed?.resolve();
      closed = undefined;
    },
    passed: async () => closed?.promise,
  };
}

function noSuchServer(connection: string, why: string): BrokerError {
  return new BrokerError('upstream_unavailable', `${connection} does not speak HTTP with SSE: ${why}`, {
    hint: `if it speaks Streamable HTTP: broker login ${connection} --transport http, or broker add with it`,
    connection,
  });
}
