/**
 * An MCP endpoint behind the gateway, guarded by a real authorization server, which writes down what reaches it. What
 * stands behind the guard is the test's.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { getOAuthProtectedResourceMetadataUrl } from '@modelcontextprotocol/sdk/server/auth/router.js';
import type { AuthorizationServer } from './authorization-server.ts';
import { closeServer, listenOnLoopback } from './loopback.ts';
import { readRequest } from './recorded-request.ts';

/** One request to the endpoint. */
export interface SeenCall {
  verb: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** JSON-RPC method. Undefined: the body is no single message. */
  method: string | undefined;
  /** Resolves when the answer was sent whole (true), or the caller went away before (false). */
  ended: Promise<boolean>;
  /** Number of the connection it came on, from 1. */
  socket: number;
}

/** Answers a call. What it throws ends the connection. */
export type Answer = (call: SeenCall, response: ServerResponse, request: IncomingMessage) => unknown;

export interface GatewayUpstream {
  /** The endpoint. */
  url: string;
  /** Every call whose token was good, in order of arrival; with `guard` off, every call. */
  calls: SeenCall[];
  /** Every request to the endpoint, those that were refused too. */
  all: SeenCall[];
  /** Connections that are open. */
  sockets: Set<Socket>;
  /** Answers from now on. */
  answer(answer: Answer): void;
  /** Whether tokens are looked at. Default true: a bad one gets 401 and a challenge. */
  guard(isOn: boolean): void;
  /** Resolves with the call of this index in `calls`, waiting for it to come. */
  nth(index: number): Promise<SeenCall>;
  close(): Promise<void>;
}

const SCOPE = 'mcp:all';

export async function startGatewayUpstream(provider: AuthorizationServer): Promise<GatewayUpstream> {
  const calls: SeenCall[] = [];
  const all: SeenCall[] = [];
  const sockets = new Set<Socket>();
  const numbers = new WeakMap<Socket, number>();
  const waiting = new Set<() => void>();
  let isGuarded = true;
  let current: Answer = (_call, response) => response.writeHead(500).end('nobody answers');
  let count = 0;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url?.split('?')[0] !== '/mcp') return serveMetadata(response);
    const ended = new Promise<boolean>((resolve) =>
      response.once('close', () => resolve(response.writableFinished)),
    );
    const { method: verb, headers, body } = await readRequest(request);
    const socket = numbers.get(request.socket) ?? 0;
    const call = { verb, headers, body, method: methodOf(body), ended, socket };
    all.push(call);
    if (isGuarded && !(await isGood(headers.authorization))) {
      const metadata = getOAuthProtectedResourceMetadataUrl(new URL(url));
      const challenge = `Bearer error="invalid_token", resource_metadata="${metadata}", scope="${SCOPE}"`;
      response.writeHead(401, { 'www-authenticate': challenge, 'set-cookie': UPSTREAM_COOKIE }).end('no');
      return;
    }
    calls.push(call);
    for (const each of waiting) each();
    await current(call, response, request);
  }

  async function isGood(authorization = ''): Promise<boolean> {
    const token = /^Bearer (.+)$/.exec(authorization)?.[1];
    return token !== undefined && (await provider.tokenIsActive(token)).active;
  }

  function serveMetadata(response: ServerResponse): void {
    const document = { resource: url, authorization_servers: [provider.issuer], scopes_supported: [SCOPE] };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => request.socket.destroy());
  });
  server.on('connection', (socket: Socket) => {
    numbers.set(socket, ++count);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const url = `${await listenOnLoopback(server)}/mcp`;
  provider.allowResource(url, SCOPE);
  return {
    ...{ url, calls, all, sockets },
    answer(answer) {
      current = answer;
    },
    guard(isOn) {
      isGuarded = isOn;
    },
    nth: (index) =>
      new Promise((resolve) => {
        const look = () => {
          const call = calls[index];
          if (!call) return;
          waiting.delete(look);
          resolve(call);
        };
        waiting.add(look);
        look();
      }),
    close: () => closeServer(server),
  };
}

/** What no agent may ever see. */
export const UPSTREAM_COOKIE = 'sid=fake-upstream-cookie; HttpOnly';

function methodOf(body: Buffer): string | undefined {
  try {
    return (JSON.parse(body.toString()) as { method?: string }).method;
  } catch {
    return undefined;
  }
}
