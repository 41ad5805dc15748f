/**
 * One session that is bridged. The transport in front knows which stream answers which request; what a server sends of
 * its own accord names none, and goes where it most likely belongs: to the request its progress is of, else to the one
 * asked last, else to the stream without a question.
 */
import { Readable } from 'node:stream';
import type { WebStandardStreamableHTTPServerTransport as Front } from '@modelcontextprotocol/server';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Clock } from '../clock.ts';
import type { RequestId } from '../core/mcp-message.ts';
import { BrokerError } from '../errors.ts';
import { type AnswerStream, streamAnswer } from './answer-stream.ts';
import { createFlights, type Flights } from './flights.ts';
import { createIdleWatch, type IdleWatch } from './idle-watch.ts';
import type { Connect, JSONRPCMessage, Pipe } from './pipe.ts';
import { toJsonRpc } from './refusal.ts';
import { unlessAborted } from './unless-aborted.ts';
import type { UpstreamAnswer, UpstreamRequest } from './upstream.ts';

export interface Session {
  id: string;
  connectionId: string;
  hasEnded(): boolean;
  /** Answers one request. Undefined: the session has ended. Throws `upstream_unavailable`. */
  handle(request: UpstreamRequest): Promise<UpstreamAnswer | undefined>;
  /** Ends it and what is behind it; requests under way are told why. */
  end(why: string): Promise<void>;
}

/** What a session begins with. */
export interface Opening {
  connect: Connect;
  clock: Clock;
  access: UpstreamAccess;
  /** The request that begins it. */
  request: UpstreamRequest;
  onEnd: (session: Session) => void;
}

export class BridgeSession implements Session {
  readonly id: string;
  readonly connectionId: string;
  readonly #front: Front;
  readonly #flights: Flights;
  readonly #opening: Opening;
  readonly #outboxes = new WeakMap<object, JSONRPCMessage[]>();
  #pipe: Pipe | undefined;
  /** Its credential is the newest there is. */
  #latest: UpstreamRequest;
  #isReady = false;
  #full = 0;
  readonly #usage: IdleWatch;
  #why: string | undefined;
  #gone: Promise<void> | undefined;

  constructor(id: string, front: Front, opening: Opening) {
    this.id = id;
    this.connectionId = opening.access.connectionId;
    this.#front = front;
    this.#opening = opening;
    this.#latest = opening.request;
    this.#flights = createFlights(opening.access.connection);
    const idleMs = () => this.#pipe?.idleEndMs ?? 0;
    this.#usage = createIdleWatch(opening.clock, idleMs, () => void this.end('nobody used it for a while'));
    front.onmessage = (message, extra) => void this.#outboxes.get(extra?.request as object)?.push(message);
  }

  hasEnded(): boolean {
    return this.#why !== undefined;
  }

  attach(pipe: Pipe): void {
    this.#pipe = pipe;
    if (this.#why !== undefined) void pipe.close();
  }

  async handle(request: UpstreamRequest): Promise<UpstreamAnswer | undefined> {
    if (this.#why !== undefined) {
      if (this.#isReady) return undefined;
      throw hasEnded(this.#opening.access, this.#why);
    }
    this.#latest = request;
    this.#usage.enter();
    try {
      return await this.#answer(request);
    } finally {
      this.#usage.leave();
    }
  }

  async #answer(request: UpstreamRequest): Promise<UpstreamAnswer> {
    const { verb, headers, body, signal } = request;
    const web = new Request('http://localhost/mcp', { method: verb, headers });
    const outbox: JSONRPCMessage[] = [];
    this.#outboxes.set(web, outbox);
    const parsed: unknown = body && JSON.parse(body.toString('utf8'));
    this.#flights.requireFree(parsed);
    const response = await this.#front.handleRequest(web, body ? { parsedBody: parsed } : {});
    const stream = response.body && isStream(response) ? this.#stream(response.body, signal) : undefined;
    const answer = {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: stream?.body ?? (response.body ? Readable.fromWeb(response.body as never) : Readable.from([])),
    };
    if (verb === 'GET' && stream) this.#flights.listen(stream);
    const ids = this.#flights.depart(outbox, stream);
    if (!this.#isReady) this.#endUnlessReady(stream);
    const refused = await this.#deliver(outbox, request, stream, ids);
    for (const message of outbox) this.#flights.cancelledBy(message);
    if (!refused) return answer;
    this.#flights.forget(ids);
    answer.body.destroy();
    return refused;
  }

  /** Sends what came from the agent. The answer may begin before all is sent. */
  async #deliver(
    outbox: JSONRPCMessage[],
    request: UpstreamRequest,
    stream: AnswerStream | undefined,
    ids: RequestId[],
  ): Promise<UpstreamAnswer | undefined> {
    const sending = this.#send(outbox, request);
    const sent = sending.then((refused) => ({ refused }));
    const begun = stream ? [stream.first] : [];
    try {
      const first = await unlessAborted(request.signal, Promise.race([sent, ...begun]));
      if (first) return first.refused;
      const late = 'the server did not take the request';
      sending.then((refused) => refused && this.#fail(ids, late)).catch(() => this.#fail(ids, late));
      return undefined;
    } catch (error) {
      sent.catch(() => {});
      this.#flights.forget(ids);
      stream?.body.destroy();
      throw error;
    }
  }

  async #send(outbox: JSONRPCMessage[], request: UpstreamRequest): Promise<UpstreamAnswer | undefined> {
    for (const message of outbox) {
      const refused = await (this.#pipe as Pipe).send(message, request);
      if (refused) return refused;
    }
    return undefined;
  }

  #stream(source: ReadableStream<Uint8Array>, signal: AbortSignal): AnswerStream {
    const stream = streamAnswer(source, (isFull) => {
      this.#full += isFull ? 1 : -1;
      if (this.#full === 0) this.#pipe?.resume();
      else this.#pipe?.pause();
    });
    const abort = () => stream.body.destroy(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.#usage.enter();
    stream.body.once('close', () => {
      signal.removeEventListener('abort', abort);
      this.#usage.leave();
    });
    return stream;
  }

  /** A client that never heard its session's beginning has none. */
  #endUnlessReady(stream: AnswerStream | undefined): void {
    const end = () => {
      if (!this.#isReady) void this.end('it was not begun');
    };
    if (stream) stream.body.once('close', end);
    else end();
  }

  onDeleted(): void {
    void this.end('the agent has ended the session');
  }

  /** From the server. */
  onMessage(message: JSONRPCMessage): void {
    const route = this.#flights.routeOf(message);
    if (route === 'nowhere') {
      if ('id' in message && 'method' in message) this.#refuseQuestion(message.id as RequestId);
      return;
    }
    // Behind an answer to `initialize` all others follow.
    if ('result' in message) this.#isReady = true;
    this.#front.send(message, route).catch(() => {});
  }

  /** A question of the server that nobody would hear is answered, or it would wait. */
  #refuseQuestion(id: RequestId): void {
    const error = { code: -32_000, message: 'no client listens' };
    this.#pipe?.send({ jsonrpc: '2.0', id, error }, this.#latest).catch(() => {});
  }

  onEnd(why: string): void {
    void this.end(why);
  }

  end(why: string): Promise<void> {
    this.#gone ??= this.#finish(why);
    return this.#gone;
  }

  async #finish(why: string): Promise<void> {
    this.#why = why;
    this.#usage.stop();
    this.#opening.onEnd(this);
    this.#fail(this.#flights.ids(), why);
    await this.#front.close();
    await this.#pipe?.close();
  }

  #fail(ids: RequestId[], why: string): void {
    const failure = {
      status: 502,
      code: 'upstream_unavailable',
      message: `${why} before it answered: the call may have run`,
      nextStep: 'look whether it has before asking again',
    };
    for (const id of ids.filter((each) => this.#flights.land(each)))
      this.#front.send(toJsonRpc(id, failure) as JSONRPCMessage).catch(() => {});
  }
}

function isStream({ headers }: Response): boolean {
  return headers.get('content-type') === 'text/event-stream';
}

function hasEnded({ connection }: UpstreamAccess, why: string): BrokerError {
  return new BrokerError('upstream_unavailable', `${connection} did not begin a session: ${why}`, {
    hint: 'try again later; the log of the daemon has more',
    connection,
  });
}
