import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import { startTestDaemon, type TestDaemon } from './daemon.ts';
import { type RawAnswer, type RawRequest, type RawServer, startRawServer } from './raw-server.ts';
import { signIn } from './sign-in.ts';
import type { WorldOptions } from './world.ts';

/** A real daemon in this process with an agent that uses the client library, and what the daemon was asked. */
export interface ClientWorld extends TestDaemon {
  /** Options of the library for a connection, `demo` unless said otherwise. */
  options(connection?: string): { connection: string; url: string; key: string };
  /** Every request the daemon got from now on, such as `GET /v1/connections/demo/token`. */
  asked: string[];
}

/** Starts servers and daemon; an agent may use `demo`, `demo@alice` and `files`. */
export async function startClientWorld(worldOptions: WorldOptions = {}): Promise<ClientWorld> {
  const test = await startTestDaemon({}, worldOptions);
  const key = await test.addAgent({ name: 'client', allow: ['demo', 'demo@*', 'files'] });
  const asked: string[] = [];
  const record = (message: unknown) => {
    const { method, url = '' } = (message as { request: IncomingMessage }).request;
    if (url.startsWith('/v1/')) asked.push(`${method} ${url}`);
  };
  subscribe('http.server.request.start', record);
  return {
    ...test,
    asked,
    options: (connection = 'demo') => ({ connection, url: test.url, key }),
    async close() {
      unsubscribe('http.server.request.start', record);
      await test.close();
    },
  };
}

/**
 * Signs in to a server of our own as the connection `files`, so that a test decides what the server answers. It
 * publishes its metadata (RFC 9728) and asks for a login; everything else goes to `handler`.
 */
export async function connectFiles(
  { broker, world }: TestDaemon,
  handler: (request: RawRequest) => RawAnswer | Promise<RawAnswer>,
): Promise<RawServer> {
  const { authorizationServer } = world;
  const started: Promise<RawServer> = startRawServer(async (request) => {
    if (!request.path.startsWith('/.well-known/')) return handler(request);
    const { url } = await started;
    if (!request.path.includes('oauth-protected-resource')) return { status: 404 };
    return {
      status: 200,
      body: { resource: `${url}/api`, authorization_servers: [authorizationServer.issuer] },
    };
  });
  const server = await started;
  authorizationServer.allowResource(`${server.url}/api`, 'mcp:all');
  await signIn(broker, authorizationServer, `${server.url}/api`, { name: 'files', scopes: ['mcp:all'] });
  server.requests.length = 0;
  return server;
}
