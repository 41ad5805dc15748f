/** Logins at resources and authorization servers that say what a test wants them to say. */
import { type Assertion, afterEach, beforeEach, expect } from 'vitest';
import type { LoginRequest } from '../../src/broker/login.ts';
import { type LoginWorld, openLoginWorld } from './login-world.ts';
import { fakeMetadata, serveRoutes } from './provider.ts';
import type { RawAnswer, RawServer } from './raw-server.ts';
import { beginLogin } from './sign-in.ts';

export const RESOURCE = '/.well-known/oauth-protected-resource/mcp';
export const OAUTH = '/.well-known/oauth-authorization-server';
export const UNAUTHORIZED: RawAnswer = {
  status: 401,
  headers: { 'www-authenticate': 'Bearer scope="mcp:all"' },
};

export interface DiscoveryWorld extends LoginWorld {
  /** A server with these answers and 404 for all else. */
  serve(routes: (url: string) => Record<string, RawAnswer>): Promise<RawServer>;
  /** A resource at `/mcp` that answers 401 and names these authorization servers. */
  guardedBy(...authorizationServers: string[]): Promise<RawServer>;
  /** An authorization server whose document is `changes` away from a good one. */
  issuing(changes?: (url: string) => object): Promise<RawServer>;
  /** The authorization request of a login at `/mcp` of this server, given up there. */
  asked(server: RawServer, request?: Partial<LoginRequest>): Promise<URL>;
  /** Expects a login at `/mcp` of this server to fail: with what, the caller says. */
  refused(server: RawServer, request?: Partial<LoginRequest>): Assertion['rejects'];
}

/** For one test file. Each test has a world and servers of its own, started before and closed after it. */
export function openDiscoveryWorld(): DiscoveryWorld {
  const logins = openLoginWorld();
  const { broker } = logins;
  let servers: RawServer[];

  beforeEach(async () => {
    await logins.start();
    servers = [];
  });

  afterEach(async () => {
    await Promise.all(servers.map((server) => server.close()));
  });

  async function serve(routes: (url: string) => Record<string, RawAnswer>): Promise<RawServer> {
    const server = await serveRoutes(routes);
    servers.push(server);
    return server;
  }

  return {
    ...logins,
    serve,
    guardedBy: (...authorization_servers) =>
      serve((url) => ({
        '/mcp': UNAUTHORIZED,
        [RESOURCE]: { status: 200, body: { resource: `${url}/mcp`, authorization_servers } },
      })),
    issuing: (changes = () => ({})) =>
      serve((url) => ({ [OAUTH]: { status: 200, body: { ...fakeMetadata(url), ...changes(url) } } })),
    async asked({ url }, request) {
      const login = beginLogin(broker(), `${url}/mcp`, { clientId: 'fake-client', ...request });
      const authorizationUrl = new URL(await login.authorizationUrl);
      login.abort();
      await expect(login.done).rejects.toMatchObject({ code: 'interrupted' });
      return authorizationUrl;
    },
    refused: ({ url }, request) => expect(beginLogin(broker(), `${url}/mcp`, request).done).rejects,
  };
}

/** What a server was asked for, in order. */
export const paths = ({ requests }: RawServer): string[] => requests.map(({ path }) => path);
