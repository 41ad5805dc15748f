import { afterEach, describe, expect, it } from 'vitest';
import { discoverResource } from '../../src/oauth/resource-discovery.ts';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts';
import { type McpServerOptions, type McpTestServer, startMcpServer } from '../support/mcp-server.ts';
import { fetch, serveRoutes } from '../support/provider.ts';
import type { RawAnswer, RawServer } from '../support/raw-server.ts';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';
const ISSUER = 'https://as.example.com';
const UNAUTHORIZED: RawAnswer = {
  status: 401,
  headers: { 'www-authenticate': 'Bearer realm="mcp", scope="mcp:all"' },
};

let raw: RawServer | undefined;
let mcp: McpTestServer | undefined;
let authorizationServer: AuthorizationServer | undefined;

afterEach(async () => {
  await raw?.close();
  await mcp?.close();
  await authorizationServer?.close();
  raw = undefined;
  mcp = undefined;
  authorizationServer = undefined;
});

/** Metadata of a resource. */
function metadata(resource: string, changes: object = {}): RawAnswer {
  return {
    status: 200,
    body: { resource, authorization_servers: [ISSUER], scopes_supported: ['mcp:all'], ...changes },
  };
}

/** Asks a server that has `/mcp`, answering 401 unless the routes say otherwise. */
async function discover(routes: (url: string) => Record<string, RawAnswer>, path = '/mcp') {
  raw = await serveRoutes((url) => ({ [path]: UNAUTHORIZED, ...routes(url) }));
  return discoverResource(`${raw.url}${path}`, fetch);
}

const asked = () => raw?.requests.map(({ method, path }) => `${method} ${path}`);

const challenged = (...urls: string[]): RawAnswer => {
  const parameters = urls.map((url) => `resource_metadata="${url}"`).join(', ');
  return { status: 401, headers: { 'www-authenticate': `Basic realm="x", Bearer ${parameters}` } };
};

describe('a protected resource (RFC 9728 §3, §5)', () => {
  it.each<[string, McpServerOptions]>([
    ['challenge and path', {}],
    ['no hint in the challenge, path', { challenge: 'bare' }],
    ['no hint in the challenge, root', { challenge: 'bare', metadataAt: 'root' }],
  ])('of a real server is found: %s', async (_, options) => {
    authorizationServer = await startAuthorizationServer();
    mcp = await startMcpServer({ ...options, authorizationServer });
    expect(await discoverResource(mcp.url, fetch)).toEqual({
      resource: mcp.url,
      authorizationServers: [authorizationServer.issuer],
      challengeScope: 'mcp:all',
      scopesSupported: ['mcp:all'],
    });
  });

  it('is looked for at the URL of the challenge, then with the path, then at the root', async () => {
    await discover((url) => ({ '/mcp': challenged(`${url}/custom`), [WELL_KNOWN]: metadata(`${url}/mcp`) }));
    expect(asked()).toEqual(['POST /mcp', 'GET /custom', `GET ${WELL_KNOWN}/mcp`, `GET ${WELL_KNOWN}`]);
  });

  it('is not looked for any further once it is found', async () => {
    await discover((url) => ({ '/mcp': challenged(`${url}/custom`), '/custom': metadata(`${url}/mcp`) }));
    expect(asked()).toEqual(['POST /mcp', 'GET /custom']);
  });

  it('is found behind a dead URL that came first in the challenge', async () => {
    const found = await discover((url) => ({
      '/mcp': challenged(`${url}/dead`, `${url}/custom`),
      '/custom': metadata(`${url}/mcp`),
    }));
    expect(found.authorizationServers).toEqual([ISSUER]);
    expect(asked()).toEqual(['POST /mcp', 'GET /dead', 'GET /custom']);
  });

  it('is found although the challenge names a URL no credential may travel to', async () => {
    const found = await discover((url) => ({
      '/mcp': challenged('http://10.0.0.1/internal'),
      [`${WELL_KNOWN}/mcp`]: metadata(`${url}/mcp`),
    }));
    expect(found.authorizationServers).toEqual([ISSUER]);
  });

  it('is asked for once at each place', async () => {
    const refused = discover((url) => ({ '/': challenged(`${url}${WELL_KNOWN}`) }), '/');
    await expect(refused).rejects.toMatchObject({ code: 'discovery_failed' });
    expect(asked()).toEqual(['POST /', `GET ${WELL_KNOWN}`]);
  });

  it('keeps the query of its own URL in the path form', async () => {
    await discover((url) => ({ [`${WELL_KNOWN}/mcp?team=7`]: metadata(`${url}/mcp`) }), '/mcp?team=7');
    expect(asked()).toEqual(['POST /mcp?team=7', `GET ${WELL_KNOWN}/mcp?team=7`]);
  });

  it('is asked for entry like an MCP client would, without a token', async () => {
    await discover((url) => ({ [`${WELL_KNOWN}/mcp`]: metadata(`${url}/mcp`) }));
    const [first] = raw?.requests ?? [];
    expect(first?.headers.authorization).toBeUndefined();
    expect(JSON.parse(first?.body ?? '')).toMatchObject({ jsonrpc: '2.0', method: 'initialize' });
  });

  it.each<[string, RawAnswer]>([
    [
      'a web page with 200',
      { status: 200, headers: { 'content-type': 'text/html' }, body: '<title>an app</title>' },
    ],
    ['JSON of another kind', { status: 200, body: { hello: 'world' } }],
    ['metadata without a server', { status: 200, body: { resource: 'x', authorization_servers: [] } }],
    ['a 406', { status: 406, body: { error: 'no' } }],
    ['a redirect', { status: 301, headers: { location: '/elsewhere' } }],
  ])('is looked for at the next place after %s', async (_, answer) => {
    const found = await discover((url) => ({
      [`${WELL_KNOWN}/mcp`]: answer,
      [WELL_KNOWN]: metadata(`${url}/mcp`),
    }));
    expect(found.authorizationServers).toEqual([ISSUER]);
  });

  it('takes scopes that are null or no list for unknown', async () => {
    for (const scopes_supported of [null, 'mcp:all', []]) {
      const found = await discover((url) => ({
        [`${WELL_KNOWN}/mcp`]: metadata(`${url}/mcp`, { scopes_supported }),
      }));
      expect(found.scopesSupported).toBeUndefined();
      await raw?.close();
    }
  });
});

describe('the resource its metadata names (RFC 9728 §3.3)', () => {
  it.each([
    ['the URL itself', '/mcp'],
    ['its origin', ''],
    ['its origin with a slash', '/'],
    ['a parent in whole segments', '/apis'],
  ])('may be %s, and is kept to the letter', async (_, path) => {
    const url = path === '/apis' ? '/apis/mcp' : '/mcp';
    const found = await discover((base) => ({ [`${WELL_KNOWN}${url}`]: metadata(`${base}${path}`) }), url);
    expect(found.resource).toBe(`${raw?.url}${path}`);
  });

  it.each<[string, (base: string) => unknown]>([
    ['another origin', () => 'https://evil.example.com/mcp'],
    ['another scheme', (base) => base.replace('http:', 'https:')],
    ['another path', (base) => `${base}/other`],
    ['half a segment', (base) => `${base}/mc`],
    ['a child', (base) => `${base}/mcp/deeper`],
    ['a fragment', (base) => `${base}/mcp#x`],
    ['no URL', () => 'mcp'],
    ['nothing', () => undefined],
    ['a list', (base) => [`${base}/mcp`]],
  ])('may not be %s: a token for the one must not reach the other', async (_, resource) => {
    const refused = discover((base) => ({
      [`${WELL_KNOWN}/mcp`]: metadata('', { resource: resource(base) }),
    }));
    await expect(refused).rejects.toMatchObject({
      code: 'resource_mismatch',
      hint: expect.stringContaining('"'),
    });
  });
});

describe('a server that does not say how to sign in', () => {
  it('because it needs no login is told apart', async () => {
    mcp = await startMcpServer({ withoutAuth: true });
    await expect(discoverResource(mcp.url, fetch)).rejects.toMatchObject({ code: 'no_login_needed' });
  });

  it('because it is a web site, which answers a page to everything, does not count as open', async () => {
    const headers = { 'content-type': 'text/html; charset=utf-8' };
    const refused = discover(() => ({ '/mcp': { status: 200, headers, body: '<title>an app</title>' } }));
    await expect(refused).rejects.toMatchObject({ code: 'discovery_failed' });
  });

  it('because it keeps silent is told with every place looked at', async () => {
    const error: unknown = await discover(() => ({})).catch((thrown: unknown) => thrown);
    const places = `${raw?.url}${WELL_KNOWN}/mcp (404)\n  ${raw?.url}${WELL_KNOWN} (404)`;
    expect(error).toMatchObject({
      code: 'discovery_failed',
      message: expect.stringContaining('401'),
      hint: expect.stringContaining(places),
    });
  });

  it('because the URL is wrong is told with the status', async () => {
    await expect(discover(() => ({ '/mcp': { status: 404 } }))).rejects.toMatchObject({
      code: 'discovery_failed',
      message: expect.stringContaining('404'),
    });
  });

  it.each(['/mcp', `${WELL_KNOWN}/mcp`])('because %s is out of order is told as that', async (path) => {
    const refused = discover(() => ({ [path]: { status: 502, body: '<h1>Bad Gateway</h1>' } }));
    await expect(refused).rejects.toMatchObject({
      code: 'upstream_unavailable',
      message: expect.stringContaining('502'),
    });
  });

  it('because it cannot be reached is told as that', async () => {
    const gone = await serveRoutes(() => ({}));
    await gone.close();
    await expect(discoverResource(`${gone.url}/mcp`, fetch)).rejects.toMatchObject({
      code: 'upstream_unavailable',
    });
  });
});
