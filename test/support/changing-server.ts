/** A real MCP server, without a login, whose tools change while it runs. By the official SDK, v1 or v2. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CallToolRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { closeServer, listenOnLoopback } from './loopback.ts';

/** A tool as it is told to clients. */
export interface ChangingTool {
  name: string;
  description?: string;
  annotations?: { readOnlyHint?: boolean; destructiveHint?: boolean };
  /** Names of its arguments, all text. */
  arguments?: string[];
}

export interface ChangingServer {
  url: string;
  /** Has these tools from now on. */
  set(...tools: ChangingTool[]): void;
  /** Tells all sessions that the list of tools has changed (v1). */
  tell(): Promise<void>;
  /** Tools that ran, in order. */
  ran: string[];
  /** JSON-RPC methods that were asked, in order. */
  asked: string[];
  /** Tools on one page of the list. Default: all. */
  pageSize: number;
  prompts: string[];
  resources: string[];
  /** Whether it knows the method that lists them. Default true. */
  hasTemplates: boolean;
  /** Answers 503 to `tools/list` while it is true. */
  isDown: boolean;
  /** What a `tools/list` waits for before it is answered. */
  hold: Promise<void> | undefined;
  close(): Promise<void>;
}

/** The tools it starts with: one that reads and one that deletes. */
export const FIRST_TOOLS: ChangingTool[] = [
  {
    name: 'read_page',
    description: 'Reads a page.',
    annotations: { readOnlyHint: true },
    arguments: ['page'],
  },
  { name: 'delete_page', description: 'Deletes a page.', annotations: { destructiveHint: true } },
];

/** Starts it on a free port. */
export async function startChangingServer(sdk: 'v1' | 'v2' = 'v1'): Promise<ChangingServer> {
  let tools = FIRST_TOOLS;
  const state: Pick<
    ChangingServer,
    'ran' | 'asked' | 'pageSize' | 'prompts' | 'resources' | 'hasTemplates' | 'isDown' | 'hold'
  > = {
    ...{
      ran: [],
      asked: [],
      pageSize: 1000,
      prompts: [],
      resources: [],
      hasTemplates: true,
      isDown: false,
      hold: undefined,
    },
  };
  const offer: OfferNow = {
    listTools: (cursor) => {
      const from = Number(cursor ?? 0);
      const next = from + state.pageSize;
      const page = tools.slice(from, next).map(definitionOf);
      return { tools: page, ...(next < tools.length ? { nextCursor: String(next) } : {}) };
    },
    call: (name) => {
      state.ran.push(name);
      return { content: [{ type: 'text' as const, text: `ran ${name}` }] };
    },
    prompts: () => state.prompts,
    resources: () => state.resources,
    hasTemplates: () => state.hasTemplates,
  };
  const { handle, tell, close } = sdk === 'v1' ? serveV1(offer) : serveV2(offer);
  const server = createServer(async (request, response) => {
    const body = await readJson(request);
    const method = (body as { method?: string } | undefined)?.method;
    if (method !== undefined) state.asked.push(method);
    if (method === 'tools/list') await state.hold;
    if (method === 'tools/list' && state.isDown) return void response.writeHead(503).end();
    await handle(request, response, body);
  });
  return Object.assign(state, {
    url: `${await listenOnLoopback(server)}/mcp`,
    set(...changed: ChangingTool[]) {
      tools = changed;
    },
    tell,
    async close() {
      await close();
      await closeServer(server);
    },
  });
}

interface OfferNow {
  listTools(cursor: string | undefined): { tools: ReturnType<typeof definitionOf>[]; nextCursor?: string };
  call(name: string): { content: { type: 'text'; text: string }[] };
  prompts(): string[];
  resources(): string[];
  hasTemplates(): boolean;
}

interface Served {
  handle(request: IncomingMessage, response: ServerResponse, body: unknown): Promise<void>;
  tell(): Promise<void>;
  close(): Promise<void>;
}

const CAPABILITIES = { tools: { listChanged: true }, prompts: {}, resources: {} };

function definitionOf({ arguments: names = [], ...tool }: ChangingTool) {
  const properties = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
  return { ...tool, inputSchema: { type: 'object' as const, properties } };
}

/** With sessions. */
function serveV1(offer: OfferNow): Served {
  const sessions = new Map<string, { server: Server; transport: StreamableHTTPServerTransport }>();
  async function begin(): Promise<StreamableHTTPServerTransport> {
    const server = new Server({ name: 'changing', version: '1' }, { capabilities: CAPABILITIES });
    server.setRequestHandler(ListToolsRequestSchema, ({ params }) => offer.listTools(params?.cursor));
    server.setRequestHandler(CallToolRequestSchema, ({ params }) => offer.call(params.name));
    server.setRequestHandler(ListPromptsRequestSchema, () => ({ prompts: named(offer.prompts()) }));
    server.setRequestHandler(ListResourcesRequestSchema, () => ({
      resources: offer.resources().map((uri) => ({ uri, name: uri })),
    }));
    if (offer.hasTemplates())
      server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
        resourceTemplates: [{ name: 'pages', uriTemplate: 'pages://{id}' }],
      }));
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void sessions.set(id, { server, transport }),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    await server.connect(transport as Transport);
    return transport;
  }
  return {
    async handle(request, response, body) {
      const id = request.headers['mcp-session-id'];
      const known = typeof id === 'string' ? sessions.get(id)?.transport : undefined;
      if (id !== undefined && !known) return void response.writeHead(404).end();
      await (known ?? (await begin())).handleRequest(request, response, body);
    },
    async tell() {
      for (const { server } of sessions.values()) await server.sendToolListChanged();
    },
    async close() {
      await Promise.all([...sessions.values()].map(({ transport }) => transport.close()));
    },
  };
}

/** Without sessions: 2026-07-28, and the older revisions too. */
function serveV2(offer: OfferNow): Served {
  const handler = createMcpHandler(() => {
    const { server } = new McpServer({ name: 'changing', version: '2' }, { capabilities: { tools: {} } });
    server.setRequestHandler('tools/list', ({ params }) => offer.listTools(params?.cursor));
    server.setRequestHandler('tools/call', ({ params }) => offer.call(params.name));
    return server;
  });
  return {
    async handle(request, response, body) {
      const headers = Object.entries(request.headers).map(([name, value]): [string, string] => [
        name,
        `${value}`,
      ]);
      const url = `http://${request.headers.host}${request.url}`;
      const text = body === undefined ? null : JSON.stringify(body);
      const answer = await handler.fetch(
        new Request(url, { method: `${request.method}`, headers, body: text }),
      );
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      if (!answer.body) return void response.end();
      await pipeline(Readable.fromWeb(answer.body as never), response).catch(() => {});
    },
    tell: async () => {},
    close: () => handler.close(),
  };
}

function named(names: string[]): { name: string }[] {
  return names.map((name) => ({ name }));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const text = (await request.toArray()).join('');
  return text === '' ? undefined : JSON.parse(text);
}
