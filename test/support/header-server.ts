/** A real MCP server guarded by headers that somebody handed out, as those of vendors with personal tokens are. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { closeServer, listenOnLoopback } from './loopback.ts';
import { createMcpSessions } from './mcp-sessions.ts';

/** A running server. */
export interface HeaderServer {
  /** The MCP endpoint. */
  url: string;
  /** Headers of every request, in order of arrival. */
  requests: IncomingHttpHeaders[];
  /** From now on wants these headers, to the letter; names in lower case. Empty: lets everybody in. */
  want(headers: Record<string, string>): void;
  close(): Promise<void>;
}

/** Starts one that wants `wanted`, and answers 401 without a word of OAuth to all others. */
export async function startHeaderServer(wanted: Record<string, string> = {}): Promise<HeaderServer> {
  let current = wanted;
  const requests: IncomingHttpHeaders[] = [];
  const sessions = createMcpSessions();
  const app = createMcpExpressApp();
  app.use('/mcp', ({ headers }, response, next) => {
    requests.push(headers);
    const isKnown = Object.entries(current).every(([name, value]) => headers[name] === value);
    if (isKnown) next();
    else response.status(401).json({ error: 'unauthorized' });
  });
  app.all('/mcp', (request, response) => sessions.handle(request, response));
  const server = createServer(app);
  return {
    url: `${await listenOnLoopback(server)}/mcp`,
    requests,
    want(headers) {
      current = headers;
    },
    async close() {
      await sessions.close();
      await closeServer(server);
    },
  };
}
