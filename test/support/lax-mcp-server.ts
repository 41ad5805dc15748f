/** An MCP server that runs whatever can be read into a request, and keeps what reached it: the worst one can stand before. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { plain, plainUri, readingsOf } from './lax-readings.ts';
import { closeServer, listenOnLoopback } from './loopback.ts';
import { readRequest } from './recorded-request.ts';

export interface LaxRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface LaxServer {
  url: string;
  port: number;
  /** Since the last `reset`. */
  requests: LaxRequest[];
  /** What it did: `delete_document`, `prompt secret_plan`, `read /secret/plan`. */
  ran: Set<string>;
  /** Answers the next requests in place of the server, until `reset`. */
  answerWith(answer: (request: LaxRequest, response: ServerResponse) => void): void;
  reset(): void;
  close(): Promise<void>;
}

/** Starts one on loopback. Each session it gives out is `session-<number>`. */
export async function startLaxServer(): Promise<LaxServer> {
  const requests: LaxRequest[] = [];
  const ran = new Set<string>();
  let answer: ((request: LaxRequest, response: ServerResponse) => void) | undefined;
  let sessions = 0;

  function run(request: LaxRequest, response: ServerResponse): void {
    const readings = readingsOf(request.headers, request.body);
    for (const { method, name } of readings) {
      if (method === 'tools/call') ran.add(plain(name));
      if (method.startsWith('prompts/') || method.startsWith('completion/')) ran.add(`prompt ${plain(name)}`);
      if (/^(resources|completion)\//.test(method)) ran.add(`read ${plainUri(name)}`);
      if (method.startsWith('tasks/')) ran.add(method);
    }
    if (readings.some(({ method }) => method === 'initialize'))
      response.setHeader('mcp-session-id', `session-${++sessions}`);
    const [first] = readings;
    const result = { content: [{ type: 'text', text: 'done' }] };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ jsonrpc: '2.0', id: first?.id ?? null, result }));
  }

  const server = createServer({ insecureHTTPParser: true }, (incoming, response) => {
    void readRequest(incoming).then(({ method, url: path, headers, body }) => {
      const request = { method, path, headers, body };
      requests.push(request);
      (answer ?? run)(request, response);
    });
  });
  const origin = await listenOnLoopback(server);
  return {
    ...{ url: `${origin}/mcp`, port: Number(new URL(origin).port), requests, ran },
    answerWith(other) {
      answer = other;
    },
    reset() {
      requests.length = 0;
      ran.clear();
      answer = undefined;
    },
    close: () => closeServer(server),
  };
}
