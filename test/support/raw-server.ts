import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { closeServer, listenOnLoopback } from './loopback.ts';
import { readRequest } from './recorded-request.ts';

/** One request to a raw server. */
export interface RawRequest {
  method: string;
  /** Path and query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** `hang`: never answers. `reset`: cuts the connection with a TCP reset. An object as `body` becomes JSON. */
export type RawAnswer =
  | { status: number; headers?: Record<string, string | string[]>; body?: string | object }
  | 'hang'
  | 'reset';

/** A running raw server. */
export interface RawServer {
  /** The origin, without a trailing slash. */
  url: string;
  /** Every request seen, in order of arrival. */
  requests: RawRequest[];
  close(): Promise<void>;
}

/**
 * Starts a server on loopback that answers whatever `handler` says, for sloppy and hostile answers no real server
 * gives. A handler that throws gives a 500 with the error's text, which a test sees as an unexpected answer.
 */
export async function startRawServer(
  handler: (request: RawRequest) => RawAnswer | Promise<RawAnswer>,
): Promise<RawServer> {
  const requests: RawRequest[] = [];

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url: path, headers, body } = await readRequest(request);
    const raw: RawRequest = { method, path, headers, body: body.toString() };
    requests.push(raw);
    const answered = await handler(raw);
    if (answered === 'hang') return;
    if (answered === 'reset') {
      request.socket.resetAndDestroy();
      return;
    }
    const isJson = typeof answered.body === 'object';
    response.writeHead(answered.status, {
      ...(isJson ? { 'content-type': 'application/json' } : {}),
      ...answered.headers,
    });
    response.end(isJson ? JSON.stringify(answered.body) : answered.body);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end(String(error));
    });
  });
  const url = await listenOnLoopback(server);
  return { url, requests, close: () => closeServer(server) };
}
