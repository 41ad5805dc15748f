import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import type { Request, Response } from 'express';
import { z } from 'zod';

/** The sessions of one MCP server, each with a transport of its own, as the SDK wants it. */
export interface McpSessions {
  /** Handles one HTTP request of the MCP endpoint, authentication done. */
  handle(request: Request, response: Response): Promise<void>;
  close(): Promise<void>;
}

/** Creates the sessions of a server that has none yet. */
export function createMcpSessions(): McpSessions {
  const transports = new Map<string, StreamableHTTPServerTransport>();

  async function begin(): Promise<StreamableHTTPServerTransport> {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void transports.set(id, transport),
      onsessionclosed: (id) => void transports.delete(id),
    });
    // The SDK's class and its own interface disagree about optional properties under exactOptionalPropertyTypes.
    await createTools().connect(transport as Transport);
    return transport;
  }

  return {
    async handle(request, response) {
      const id = request.get('mcp-session-id');
      const transport = id === undefined ? undefined : transports.get(id);
      if (transport) return transport.handleRequest(request, response, request.body);
      if (id === undefined && isInitializeRequest(request.body)) {
        return (await begin()).handleRequest(request, response, request.body);
      }
      const [status, message] = id === undefined ? [400, 'no session'] : [404, 'unknown session'];
      response.status(status).json({ jsonrpc: '2.0', error: { code: -32_000, message }, id: null });
    },
    async close() {
      await Promise.all([...transports.values()].map((transport) => transport.close()));
    },
  };
}

function createTools(): McpServer {
  const server = new McpServer({ name: 'test-mcp-server', version: '1.0.0' });
  server.registerTool(
    'echo',
    { description: 'Answers the text it is given.', inputSchema: { text: z.string() } },
    ({ text }) => ({ content: [{ type: 'text', text }] }),
  );
  server.registerTool('whoami', { description: 'Answers who the token is for.' }, ({ authInfo }) => ({
    content: [{ type: 'text', text: String(authInfo?.extra?.sub ?? 'nobody') }],
  }));
  return server;
}
