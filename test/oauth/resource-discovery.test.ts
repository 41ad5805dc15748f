import { afterEach, describe, expect, it } from 'vitest';
import { askForEntry, discoverResource } from '../../src/oauth/resource-discovery.ts';
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

/** All that a server says of itself, and the places looked at. */
async function discoverAt(url: string, pinned: string | null = null) {
  const seen: string[] = [];
  const entrance = await askForEntry(url, () => fetch);
  return { entrance, found: await discoverResource(url, entrance, fetch, pinned, seen), seen };
}

/** Asks a server that has `/mcp`, answering 401 unless the routes say otherwise. */
async function discover(
  routes: (url: string) => Record<string, RawAnswer>,
  path = '/mcp',
  pinned?: string,
): ReturnType<typeof discoverAt> {
  raw = await serveRoutes((url) => ({ [path]: UNAUTHORIZED, ...routes(url) }));
  return discoverAt(`${raw.url}${path}`, pinned);
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
    const { entrance, found } = await discoverAt(mcp.url);
    expect(found).toEqual({
      resource: mcp.url,
      authorizationServers: [authorizationServer.issuer],
      scopesSupported: ['mcp:all'],
    });
    expect(entrance).toMatchObject({ status: 401, challenge: { scope: 'mcp:all' } });
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
    const { found } = await discover((url) => ({
      '/mcp': challenged(`${url}/dead`, `${url}/custom`),
      '/custom': metadata(`${url}/mcp`),
    }));
    expect(found?.authorizationServers).toEqual([ISSUER]);
    expect(asked()).toEqual(['POST /mcp', 'GET /dead', 'GET /custom']);
  });

  it('is found although the challenge names a URL no credential may travel to', async () => {
    const { found } = await discover((url) => ({
      '/mcp': challenged('http://10.0.0.1/internal'),
      [`${WELL_KNOWN}/mcp`]: metadata(`${url}/mcp`),
    }));
    expect(found?.authorizationServers).toEqual([ISSUER]);
  });

  it('is asked for once at each place', async () => {
    const { found } = await discover((url) => ({ '/': challenged(`${url}${WELL_KNOWN}`) }), '/');
    expect(found).toBeUndefined();
    expect(asked()).toEqual(['POST /', `GET ${WELL_KNOWN}`]);
  });

  it('keeps the query of its own URL in the path form', async () => {
    await discover((url) => ({ [`${WELL_KNOWN}/mcp?team=7`]: metadata(`${url}/mcp`) }), '/mcp?team=7');
    expect(asked()).toEqual(['POST /mcp?team=7', `GET ${WELL_KNOWN}/mcp?team=7`]);
  });

  it.each<[string, RawAnswer]>([
    [
      'a web page with 200',
      { status: 200, headers: { 'content-type': 'text/html' }, body: '<title>an app</title>' },
    ],
    ['JSON of another kind', { status: 200, body: { hello: 'world' } }],
    ['metadata without a server', { status: 200, body: { resource: 'x', authorization_servers: [] } }],
    ['a 406', { status: 406, body: { error: 'no' } }],
    ['a redirect to nothing', { status: 301, headers: { location: '/elsewhere' } }],
  ])('is looked for at the next place after %s', async (_, answer) => {
    const { found } = await discover((url) => ({
      [`${WELL_KNOWN}/mcp`]: answer,
      [WELL_KNOWN]: metadata(`${url}/mcp`),
    }));
    expect(found?.authorizationServers).toEqual([ISSUER]);
  });

  it('is found where its document has moved', async () => {
    const { found } = await discover((url) => ({
      [`${WELL_KNOWN}/mcp`]: { status: 308, headers: { location: '/moved' } },
      '/moved': metadata(`${url}/mcp`),
    }));
    expect(found?.authorizationServers).toEqual([ISSUER]);
    expect(asked()).toEqual(['POST /mcp', `GET ${WELL_KNOWN}/mcp`, 'GET /moved']);
  });

  it('takes scopes that are null or no list for unknown', async () => {
    for (const scopes_supported of [null, 'mcp:all', []]) {
      const { found } = await discover((url) => ({
        [`${WELL_KNOWN}/mcp`]: metadata(`${url}/mcp`, { scopes_supported }),
      }));
      expect(found?.scopesSupported).toBeUndefined();
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
    const { found } = await discover(
      (base) => ({ [`${WELL_KNOWN}${url}`]: metadata(`${base}${path}`) }),
      url,
    );
    expect(found?.resource).toBe(`${raw?.url}${path}`);
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

describe('a resource that an operator vouches for', () => {
  it('counts in place of the one that the metadata names', async () => {
    const other = () => ({ [`${WELL_KNOWN}/mcp`]: metadata('https://internal.example.com/mcp') });
    const pinned = 'https://MCP.example.com/mcp';
    const { found } = await discover(other, '/mcp', pinned);
    expect(found).toEqual({
      resource: pinned,
      authorizationServers: [ISSUER],
      scopesSupported: ['mcp:all'],
    });
  });

  it('is what the refusal of a stranger tells about', async () => {
    const refused = discover(() => ({ [`${WELL_KNOWN}/mcp`]: metadata('https://internal.example.com/mcp') }));
    await expect(refused).rejects.toMatchObject({
      code: 'resource_mismatch',
      hint: expect.stringMatching(/vouch for it with --resource$/),
    });
  });
});

describe('a resource that takes only tokens bound to a key (RFC 9449)', () => {
  const bound = (dpop_bound_access_tokens_required: unknown) =>
    discover((url) => ({
      [`${WELL_KNOWN}/mcp`]: metadata(`${url}/mcp`, { dpop_bound_access_tokens_required }),
    }));

  it('is of no use to agents, and refused before anybody is asked', async () => {
    await expect(bound(true)).rejects.toMatchObject({
      code: 'config_error',
      message: expect.stringContaining('(DPoP)'),
      hint: expect.stringContaining('Bearer'),
    });
  });

  it.each([false, null, 'true'])('is not meant by %j', async (value) => {
    expect((await bound(value)).found?.authorizationServers).toEqual([ISSUER]);
  });
});

describe('a server that publishes nothing', () => {
  it('is told with every place looked at', async () => {
    const { found, seen } = await discover(() => ({ [WELL_KNOWN]: { status: 200, body: '<h1>app</h1>' } }));
    expect(found).toBeUndefined();
    expect(seen).toEqual([
      `${raw?.url}${WELL_KNOWN}/mcp (404)`,
      `${raw?.url}${WELL_KNOWN} (200, not this metadata)`,
    ]);
  });

  it('because its document is out of order is told as that, after asking twice', async () => {
    const place = `${WELL_KNOWN}/mcp`;
    const refused = discover(() => ({ [place]: { status: 502, body: '<h1>Bad Gateway</h1>' } }));
    await expect(refused).rejects.toMatchObject({
      code: 'upstream_unavailable',
      message: expect.stringContaining('502'),
    });
    expect(asked()).toEqual(['POST /mcp', `GET ${place}`, `GET ${place}`]);
  });
});
