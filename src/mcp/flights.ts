/** The requests of one session that wait for their answers, and which stream a message of the server belongs to. */
import type { WebStandardStreamableHTTPServerTransport as Front } from '@modelcontextprotocol/server';
import type { RequestId } from '../core/mcp-message.ts';
import { BrokerError } from '../errors.ts';
import type { AnswerStream } from './answer-stream.ts';
import type { JSONRPCMessage } from './pipe.ts';

/** Options of the front's `send`; `nowhere` where no client would hear it. */
export type Route = NonNullable<Parameters<Front['send']>[1]> | 'nowhere';

export interface Flights {
  /** Throws `bad_request` when one of these messages has an id that is under way already. */
  requireFree(messages: unknown): void;
  /** Messages leave for the server. The ids of those that want an answer. */
  depart(messages: readonly JSONRPCMessage[], stream: AnswerStream | undefined): RequestId[];
  /** The stream without a question is open. */
  listen(stream: AnswerStream): void;
  /** Where a message of the server goes. An answer has landed then. */
  routeOf(message: JSONRPCMessage): Route;
  /** Whether it was under way. It is not any more. */
  land(id: RequestId): boolean;
  /** Ends the stream of a request that is cancelled by this message: servers need not answer it any more. */
  cancelledBy(message: JSONRPCMessage): void;
  forget(ids: readonly RequestId[]): void;
  ids(): RequestId[];
}

interface Flight {
  stream: AnswerStream | undefined;
  progressToken: unknown;
}

/** What changes for everybody: it belongs to no request, and the gateway looks for it on the stream without a question. */
const GENERAL = /^notifications\/(\w+\/list_changed|resources\/updated)$/;

export function createFlights(connection: string): Flights {
  const flights = new Map<RequestId, Flight>();
  let listening: AnswerStream | undefined;

  const isOpen = (stream: AnswerStream | undefined) => stream?.body.destroyed === false;

  function latest(): Route | undefined {
    const id = [...flights].findLast(([, { stream }]) => isOpen(stream))?.[0];
    return id === undefined ? undefined : { relatedRequestId: id };
  }

  function byProgress(token: unknown): Route {
    const id = [...flights].find(([, flight]) => flight.progressToken === token)?.[0];
    return id === undefined ? 'nowhere' : { relatedRequestId: id };
  }

  return {
    requireFree(messages) {
      for (const message of [messages].flat()) {
        const { id, method } = (message ?? {}) as { id?: RequestId; method?: unknown };
        if (method !== undefined && id !== undefined && flights.has(id)) throw usedTwice(connection, id);
      }
    },
    depart(messages, stream) {
      return messages.flatMap((message) => {
        if (!('method' in message) || !('id' in message)) return [];
        const id = message.id as RequestId;
        const { _meta } = (message.params ?? {}) as { _meta?: { progressToken?: unknown } };
        flights.set(id, { stream, progressToken: _meta?.progressToken });
        return [id];
      });
    },
    listen(stream) {
      listening = stream;
    },
    routeOf(message) {
      if (!('method' in message)) {
        const isAwaited = message.id !== undefined && flights.delete(message.id);
        return isAwaited ? {} : 'nowhere';
      }
      if (message.method === 'notifications/progress') return byProgress(message.params?.progressToken);
      const general: Route | undefined = isOpen(listening) ? {} : undefined;
      const [first, second] = GENERAL.test(message.method) ? [general, latest()] : [latest(), general];
      return first ?? second ?? 'nowhere';
    },
    cancelledBy(message) {
      if (!('method' in message) || message.method !== 'notifications/cancelled') return;
      const id = message.params?.requestId as RequestId;
      const stream = flights.get(id)?.stream;
      flights.delete(id);
      const isShared = [...flights.values()].some((each) => each.stream === stream);
      if (!isShared) stream?.body.end();
    },
    land: (id) => flights.delete(id),
    forget(ids) {
      for (const id of ids) flights.delete(id);
    },
    ids: () => [...flights.keys()],
  };
}

function usedTwice(connection: string, id: RequestId): BrokerError {
  return new BrokerError('bad_request', `a request with the id ${JSON.stringify(id)} is under way already`, {
    hint: 'each request of a session has an id of its own',
    connection,
  });
}
