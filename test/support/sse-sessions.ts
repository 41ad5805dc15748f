import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import type { Request, Response } from 'express';
import { z } from 'zod';

/** What may be wrong with a server of the older transport. */
export interface SseQuirks {
  /** The first event of its stream. Default: where messages are posted, which is the server itself. */
  firstEvent?: string;
}

/** The sessions of an MCP server that only speaks HTTP with SSE (2024-11-05): GET opens one, POST says something. */
export interface SseSessions {
  handle(request: Request, response: Response): Promise<void>;
  /** Streams open now. */
  open(): number;
  /** Ends all streams, as a server that stops does. */
  drop(): void;
}

export function createSseSessions(quirks: SseQuirks = {}): SseSessions {
  const transports = new Map<string, SSEServerTransport>();

  async function open(request: Request, response: Response): Promise<void> {
    if (quirks.firstEvent !== undefined) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(quirks.firstEvent);
      return;
    }
    const transport = new SSEServerTransport(request.path, response);
    transports.set(transport.sessionId, transport);
    response.once('close', () => void transports.delete(transport.sessionId));
    await createTools().connect(transport);
  }

  return {
    async handle(request, response) {
      if (request.method === 'GET') return open(request, response);
      const id = String(request.query.sessionId ?? '');
      const transport = transports.get(id);
      // Where clients of Streamable HTTP post, there is nothing.
      if (request.method !== 'POST' || id === '') response.status(405).set('Allow', 'GET').end();
      else if (transport) await transport.handlePostMessage(request, response, request.body);
      else response.status(404).send('no such session');
    },
    open: () => transports.size,
    drop() {
      for (const transport of transports.values()) void transport.close();
    },
  };
}

function createTools(): McpServer {
  const server = new McpServer({ name: 'sse-test-server', version: '1.0.0' });
  const text = (value: unknown) => ({ content: [{ type: 'text' as const, text: String(value) }] });
  server.registerTool('echo', { inputSchema: { text: z.string() } }, (args) => text(args.text));
  server.registerTool('delete_document', {}, () => text('deleted'));
  server.registerTool('whoami', {}, ({ authInfo }) => text(authInfo?.extra?.sub ?? 'nobody'));
  server.registerTool('steps', { inputSchema: { count: z.number() } }, async (args, extra) => {
    const progressToken = extra._meta?.progressToken;
    if (progressToken === undefined) return text('nobody asked');
    for (let progress = 1; progress <= args.count; progress += 1)
      await extra.sendNotification({
        method: 'notifications/progress',
        params: { progressToken, progress, total: args.count },
      });
    return text('done');
  });
  server.registerTool('ask', { inputSchema: { question: z.string() } }, async (args) => {
    const answer = await server.server.createMessage({
      messages: [{ role: 'user', content: { type: 'text', text: args.question } }],
      maxTokens: 10,
    });
    return text((answer.content as { text: string }).text);
  });
  server.registerTool('wait', {}, () => new Promise(() => {}));
  return server;
}
