import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Broker } from '../../src/broker/index.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import { fakeMetadata, serveRoutes } from '../support/provider.ts';
import type { RawAnswer, RawServer } from '../support/raw-server.ts';
import { beginLogin, signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const RESOURCE = '/.well-known/oauth-protected-resource/mcp';
const OAUTH = '/.well-known/oauth-authorization-server';
const UNAUTHORIZED: RawAnswer = { status: 401, headers: { 'www-authenticate': 'Bearer scope="mcp:all"' } };

let world: World;
let broker: Broker;
let servers: RawServer[];

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  servers = [];
});

afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await world.close();
});

/** A server with these answers and 404 for all else. */
async function serve(routes: (url: string) => Record<string, RawAnswer>): Promise<RawServer> {
  const server = await serveRoutes(routes);
  servers.push(server);
  return server;
}

/** A resource at `/mcp` that answers 401 and names these authorization servers. */
const guardedBy = (...authorization_servers: string[]) =>
  serve((url) => ({
    '/mcp': UNAUTHORIZED,
    [RESOURCE]: { status: 200, body: { resource: `${url}/mcp`, authorization_servers } },
  }));

/** An authorization server whose document is `changes` away from a good one. */
const issuing = (changes: (url: string) => object = () => ({})) =>
  serve((url) => ({ [OAUTH]: { status: 200, body: { ...fakeMetadata(url), ...changes(url) } } }));

/** The authorization request of a login at `/mcp` of this server, given up there. */
async function asked({ url }: RawServer, request: Partial<LoginRequest> = {}): Promise<URL> {
  const login = beginLogin(broker, `${url}/mcp`, { clientId: 'fake-client', ...request });
  const authorizationUrl = new URL(await login.authorizationUrl);
  login.abort();
  await expect(login.done).rejects.toMatchObject({ code: 'interrupted' });
  return authorizationUrl;
}

const refused = ({ url }: RawServer, request: Partial<LoginRequest> = {}) =>
  expect(beginLogin(broker, `${url}/mcp`, request).done).rejects;

const paths = ({ requests }: RawServer) => requests.map(({ path }) => path);

describe('what an operator vouches for', () => {
  it('is an issuer that the document of the announced server may name', async () => {
    const vouched = await issuing(() => ({ issuer: 'https://evil.example.com' }));
    const announced = await issuing(() => ({ issuer: vouched.url }));
    const { origin } = await asked(await guardedBy(announced.url), { pinnedIssuer: vouched.url });
    expect(origin).toBe(announced.url);
    expect(paths(vouched)).toEqual([OAUTH]);
  });

  it('is the only issuer: another is refused although the server announces it', async () => {
    const server = await issuing();
    const vouched = await issuing(() => ({ issuer: 'https://accounts.example.com' }));
    const resource = await guardedBy(server.url);
    await refused(resource, { pinnedIssuer: vouched.url }).toMatchObject({
      code: 'issuer_mismatch',
      hint: expect.stringContaining(`announced as "${vouched.url}"`),
    });
  });

  it('is an issuer for a server that names none', async () => {
    const server = await issuing();
    const resource = await serve(() => ({ '/mcp': { status: 403 } }));
    expect((await asked(resource, { pinnedIssuer: server.url })).origin).toBe(server.url);
  });

  it('is a resource, whatever the metadata names', async () => {
    const server = await issuing();
    const pinnedResource = 'https://MCP.example.com/mcp';
    const resource = await serve(() => ({
      '/mcp': UNAUTHORIZED,
      [RESOURCE]: {
        status: 200,
        body: { resource: 'https://internal.example.com', authorization_servers: [server.url] },
      },
    }));
    await refused(resource).toMatchObject({ code: 'resource_mismatch' });
    const { searchParams } = await asked(resource, { pinnedResource });
    expect(searchParams.get('resource')).toBe(pinnedResource);
  });

  it('is PKCE, once and for all', async () => {
    await world.close();
    const metadata = ({ code_challenge_methods_supported: _, ...rest }: Record<string, unknown>) => rest;
    world = await startWorld({ authorizationServer: { metadata } });
    broker = await world.openBroker();
    const { authorizationServer, mcp } = world;
    const login = beginLogin(broker, mcp.url);
    await expect(login.done).rejects.toMatchObject({ code: 'pkce_unsupported' });
    const { authorizationUrl } = await signIn(broker, authorizationServer, mcp.url, { pkce: 'assumed' });
    expect(authorizationUrl.searchParams.get('code_challenge_method')).toBe('S256');
    await signIn(broker, authorizationServer, mcp.url);
  });

  it('is kept with the server by a login that worked, and by no other', async () => {
    const settings = () => rowsOf(world.vaultPath, 'SELECT pinned_issuer, settings FROM servers');
    const { authorizationServer, mcp } = world;
    const pinnedIssuer = authorizationServer.issuer;
    const wishes = { pinnedIssuer, pinnedResource: mcp.url };
    await expect(
      signIn(broker, authorizationServer, mcp.url, { ...wishes, deny: true }),
    ).rejects.toMatchObject({ code: 'login_denied' });
    expect(settings()).toEqual([]);
    await signIn(broker, authorizationServer, mcp.url, wishes);
    const kept = [
      {
        pinned_issuer: pinnedIssuer,
        settings: JSON.stringify({ pinnedResource: mcp.url, network: 'private' }),
      },
    ];
    expect(settings()).toEqual(kept);
    await signIn(broker, authorizationServer, mcp.url);
    expect(settings()).toEqual(kept);
    await signIn(broker, authorizationServer, mcp.url, { pinnedIssuer: null });
    expect(settings()).toEqual([{ ...kept[0], pinned_issuer: null }]);
  });
});
