import { describe, expect, it } from 'vitest';
import { OAUTH, openDiscoveryWorld, paths, RESOURCE, UNAUTHORIZED } from '../support/discovery-world.ts';
import { startMcpServer } from '../support/mcp-server.ts';
import { fakeMetadata } from '../support/provider.ts';
import type { RawAnswer } from '../support/raw-server.ts';
import { beginLogin, signIn } from '../support/sign-in.ts';

const { world, broker, serve, guardedBy, issuing, asked, refused } = openDiscoveryWorld();

describe('the authorization server of a resource', () => {
  it('is the one that its metadata names', async () => {
    const server = await issuing();
    const { origin, searchParams } = await asked(await guardedBy(server.url));
    expect(origin).toBe(server.url);
    expect(searchParams.get('scope')).toBe('mcp:all');
  });

  it('is the first that can be used, when there are several', async () => {
    const gone = await issuing();
    await gone.close();
    const stranger = await issuing(() => ({ issuer: 'https://evil.example.com' }));
    const silent = await issuing(() => ({ code_challenge_methods_supported: undefined }));
    const [good, other] = [await issuing(), await issuing()];
    const resource = await guardedBy(gone.url, stranger.url, silent.url, good.url, other.url);
    expect((await asked(resource)).origin).toBe(good.url);
    expect(other.requests).toEqual([]);
  });

  it('is told with what the first one failed with when none can be used, each asked once', async () => {
    const silent = await issuing(() => ({ code_challenge_methods_supported: undefined }));
    const stranger = await issuing(() => ({ issuer: 'https://evil.example.com' }));
    const resource = await guardedBy(silent.url, stranger.url, silent.url);
    await refused(resource).toMatchObject({ code: 'pkce_unsupported' });
    expect(paths(silent).filter((path) => path === OAUTH)).toHaveLength(1);
    expect(paths(stranger)).toEqual([OAUTH]);
  });

  it('is the known one first, wherever it stands', async () => {
    const other = await issuing();
    const { authorizationServer } = world();
    const announced = [authorizationServer.issuer];
    const resource = await serve((url) => ({
      '/mcp': UNAUTHORIZED,
      [RESOURCE]: { status: 200, body: { resource: `${url}/mcp`, authorization_servers: announced } },
    }));
    authorizationServer.allowResource(`${resource.url}/mcp`, 'mcp:all');
    await signIn(broker(), authorizationServer, `${resource.url}/mcp`);
    announced.unshift(other.url);
    const again = await signIn(broker(), authorizationServer, `${resource.url}/mcp`);
    expect(again.connected.issuer).toBe(authorizationServer.issuer);
    expect(other.requests).toEqual([]);
    // Another connection has no reason to prefer it.
    expect((await asked(resource, { name: 'other' })).origin).toBe(other.url);
  });

  it('is not looked for anywhere else while the metadata of the resource is out of order', async () => {
    const resource = await serve((url) => ({
      '/mcp': UNAUTHORIZED,
      [RESOURCE]: { status: 503 },
      [OAUTH]: { status: 200, body: fakeMetadata(url) },
    }));
    await refused(resource).toMatchObject({ code: 'upstream_unavailable' });
    expect(paths(resource)).toEqual(['/mcp', RESOURCE, RESOURCE]);
  });

  it('does not matter for a resource that takes only tokens bound to a key', async () => {
    const server = await issuing();
    const resource = await serve((url) => ({
      '/mcp': UNAUTHORIZED,
      [RESOURCE]: {
        status: 200,
        body: {
          ...{ resource: `${url}/mcp`, authorization_servers: [server.url] },
          dpop_bound_access_tokens_required: true,
        },
      },
    }));
    await refused(resource).toMatchObject({ code: 'config_error' });
    expect(server.requests).toEqual([]);
  });
});

describe('a server of the first MCP revision', () => {
  it('is its own authorization server, by the metadata at its origin', async () => {
    const server = await serve((url) => ({
      '/mcp': UNAUTHORIZED,
      [OAUTH]: {
        status: 200,
        body: { ...fakeMetadata(url), authorization_endpoint: `${url}/oauth/authorize` },
      },
    }));
    const { href, searchParams } = await asked(server);
    expect(href).toMatch(`${server.url}/oauth/authorize?`);
    expect(searchParams.get('resource')).toBe(`${server.url}/mcp`);
  });

  it('is taken to have the prescribed endpoints when it says nothing at all', async () => {
    const server = await serve(() => ({ '/mcp': UNAUTHORIZED }));
    expect((await asked(server)).href).toMatch(`${server.url}/authorize?`);
    expect(paths(server).slice(-2)).toEqual([OAUTH, '/.well-known/openid-configuration']);
  });

  it('may register us there', async () => {
    const made = { status: 201, body: { client_id: 'registered-client' } };
    const server = await serve(() => ({ '/mcp': UNAUTHORIZED, '/register': made }));
    const { searchParams } = await asked(server, { clientId: undefined });
    expect(searchParams.get('client_id')).toBe('registered-client');
  });

  it('is never taken to have them while it is out of order', async () => {
    const server = await serve(() => ({ '/mcp': UNAUTHORIZED, [OAUTH]: { status: 502 } }));
    await refused(server).toMatchObject({ code: 'upstream_unavailable' });
  });

  it('is a real one', async () => {
    const { authorizationServer } = world();
    const { issuer } = authorizationServer;
    const server = await serve((url) => ({
      '/mcp': UNAUTHORIZED,
      [OAUTH]: { status: 307, headers: { location: `${issuer}${OAUTH}` } },
      [RESOURCE]: { status: 404, body: url },
    }));
    authorizationServer.allowResource(`${server.url}/mcp`, 'mcp:all');
    const request = { pinnedIssuer: issuer };
    const { connected } = await signIn(broker(), authorizationServer, `${server.url}/mcp`, request);
    expect(connected).toMatchObject({ issuer, resource: `${server.url}/mcp`, refresh_token: true });
  });
});

describe('a server that does not say how to sign in', () => {
  it('because it needs no login is told apart', async () => {
    const mcp = await startMcpServer({ withoutAuth: true });
    await expect(beginLogin(broker(), mcp.url).done).rejects.toMatchObject({ code: 'no_login_needed' });
    await mcp.close();
  });

  it('because it is a web site, which answers a page to everything, does not count as open', async () => {
    const headers = { 'content-type': 'text/html; charset=utf-8' };
    const server = await serve(() => ({ '/mcp': { status: 200, headers, body: '<title>an app</title>' } }));
    await refused(server).toMatchObject({ code: 'discovery_failed' });
  });

  it('because the URL is wrong is told with the status and every place looked at', async () => {
    const server = await serve(() => ({}));
    const well = `${server.url}/.well-known/oauth-protected-resource`;
    await refused(server).toMatchObject({
      code: 'discovery_failed',
      message: expect.stringContaining('404'),
      hint: expect.stringContaining(`${well}/mcp (404)\n  ${well} (404)`),
    });
  });

  it('because it sends its callers elsewhere is told with the place', async () => {
    const headers = { location: 'https://mcp.example.com/mcp' };
    await refused(await serve(() => ({ '/mcp': { status: 301, headers } }))).toMatchObject({
      code: 'discovery_failed',
      hint: expect.stringContaining('https://mcp.example.com/mcp'),
    });
  });

  it.each<[string, RawAnswer]>([
    ['is out of order', { status: 502, body: '<h1>Bad Gateway</h1>' }],
    ['cuts the connection', 'reset'],
  ])('because it %s is told as that', async (_, answer) => {
    await refused(await serve(() => ({ '/mcp': answer }))).toMatchObject({ code: 'upstream_unavailable' });
  });

  it('because it cannot be reached is told as that', async () => {
    const gone = await serve(() => ({}));
    await gone.close();
    await refused(gone).toMatchObject({ code: 'upstream_unavailable' });
  });
});
