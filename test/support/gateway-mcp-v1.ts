/** The tools behind the official SDK v1: with sessions, resumable streams, and lists in pages. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  type EventStore,
  StreamableHTTPServerTransport,
} from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CallToolRequestSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
  isInitializeRequest,
  type JSONRPCMessage,
  ListToolsRequestSchema,
  type ServerNotification,
  type ServerRequest,
} from '@modelcontextprotocol/sdk/types.js';
import { TOOL_LIST, type ToolContext, type Tools } from './gateway-tools.ts';

export interface SessionServer {
  /** Handles one request, its body already read. */
  handle(request: IncomingMessage, response: ServerResponse, body: unknown): Promise<void>;
  /** Ids of the sessions that are open. */
  open(): string[];
  /** Tells every session that the tools have changed, on its GET stream. */
  toolsChanged(): Promise<void>;
  /** Ends the stream that the answer of this request is to come on; the answer waits to be fetched. */
  cutStreamOf(sessionId: string, requestId: string | number): void;
  close(): Promise<void>;
}

/** Tools of one page. */
const PAGE = 4;

/** `json`: answers without streams. `retryMs`: after what time those whose stream has ended are to come back. */
export function createSessionServer(
  createServer: () => Server,
  options: { json?: boolean; retryMs?: number } = {},
): SessionServer {
  const sessions = new Map<string, { server: Server; transport: StreamableHTTPServerTransport }>();

  async function begin(): Promise<StreamableHTTPServerTransport> {
    const server = createServer();
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: createEventStore(),
      enableJsonResponse: options.json ?? false,
      ...(options.retryMs === undefined ? {} : { retryInterval: options.retryMs }),
      onsessioninitialized: (id) => void sessions.set(id, { server, transport }),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    // The SDK's class and its own interface disagree about optional properties under exactOptionalPropertyTypes.
    await server.connect(transport as Transport);
    return transport;
  }

  return {
    async handle(request, response, body) {
      const id = request.headers['mcp-session-id'];
      const transport = typeof id === 'string' ? sessions.get(id)?.transport : undefined;
      if (transport) return transport.handleRequest(request, response, body);
      if (id === undefined && isInitializeRequest(body))
        return (await begin()).handleRequest(request, response, body);
      const [status, message] = id === undefined ? [400, 'no session'] : [404, 'unknown session'];
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32_000, message }, id: null }));
    },
    open: () => [...sessions.keys()],
    async toolsChanged() {
      for (const { server } of sessions.values()) await server.sendToolListChanged();
    },
    cutStreamOf: (sessionId, requestId) => sessions.get(sessionId)?.transport.closeSSEStream(requestId),
    async close() {
      await Promise.all([...sessions.values()].map(({ transport }) => transport.close()));
    },
  };
}

/** In order of arrival. The SDK's example goes by time and chance, and loses what comes within one millisecond. */
function createEventStore(): EventStore {
  const events: { streamId: string; message: JSONRPCMessage }[] = [];
  return {
    storeEvent: async (streamId, message) => String(events.push({ streamId, message })),
    getStreamIdForEventId: async (id) => events[Number(id) - 1]?.streamId,
    async replayEventsAfter(id, { send }) {
      const streamId = events[Number(id) - 1]?.streamId ?? '';
      for (const [index, event] of events.entries()) {
        const isMissed = index >= Number(id) && event.streamId === streamId;
        // What opened a stream is no message.
        if (isMissed && Object.keys(event.message).length > 0) await send(String(index + 1), event.message);
      }
      return streamId;
    },
  };
}

/** A server with these tools, for one session. */
export function createToolServer(tools: Tools): Server {
  const server = new Server(
    { name: 'documents', version: '1' },
    { capabilities: { tools: { listChanged: true }, logging: {} } },
  );
  server.setRequestHandler(ListToolsRequestSchema, ({ params }) => {
    const from = Number(params?.cursor ?? 0);
    const next = from + PAGE < TOOL_LIST.length ? { nextCursor: String(from + PAGE) } : {};
    return { tools: TOOL_LIST.slice(from, from + PAGE), ...next };
  });
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const text = await tools.call(params.name, params.arguments ?? {}, contextOf(extra));
    return { content: [{ type: 'text', text: text ?? '' }] };
  });
  return server;
}

function contextOf(extra: RequestHandlerExtra<ServerRequest, ServerNotification>): ToolContext {
  const progressToken = extra._meta?.progressToken;
  const progress = (done: number, total: number) =>
    extra.sendNotification({
      method: 'notifications/progress',
      params: { progressToken: progressToken ?? '', progress: done, total },
    });
  return {
    signal: extra.signal,
    progress: progressToken === undefined ? undefined : progress,
    log: (data) =>
      extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } }),
    async sample() {
      const params = { messages: [{ role: 'user' as const, content: QUESTION }], maxTokens: 10 };
      const { content } = await extra.sendRequest(
        { method: 'sampling/createMessage', params },
        CreateMessageResultSchema,
      );
      return JSON.stringify(content);
    },
    async ask() {
      const params = {
        message: 'a name?',
        requestedSchema: { type: 'object' as const, properties: { name: { type: 'string' as const } } },
      };
      const { content } = await extra.sendRequest(
        { method: 'elicitation/create', params },
        ElicitResultSchema,
      );
      return JSON.stringify(content);
    },
  };
}

const QUESTION = { type: 'text' as const, text: 'a word?' };
