import { afterEach, describe, expect, it } from 'vitest';
import {
  discoverServer,
  requireBrowserServer,
  type ServerMetadata,
} from '../../src/oauth/server-discovery.ts';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts';
import { fakeMetadata, fetch, serveRoutes } from '../support/provider.ts';
import type { RawAnswer, RawServer } from '../support/raw-server.ts';

const OAUTH = '/.well-known/oauth-authorization-server';
const OIDC = '/.well-known/openid-configuration';
const PAGE = '<!doctype html><title>an app</title>';

let raw: RawServer | undefined;
let real: AuthorizationServer | undefined;

afterEach(async () => {
  await raw?.close();
  await real?.close();
  raw = undefined;
  real = undefined;
});

/** Looks up the issuer `path` of a server with these answers. */
async function discover(
  routes: (url: string) => Record<string, RawAnswer>,
  path = '',
): Promise<ServerMetadata> {
  raw = await serveRoutes(routes);
  return discoverServer(`${raw.url}${path}`, fetch);
}

const asked = () => raw?.requests.map(({ method, path }) => `${method} ${path}`);

/** A server whose first document is `changes` away from a good one. */
const offering = (changes: Partial<ServerMetadata>) =>
  discover((url) => ({ [OAUTH]: { status: 200, body: fakeMetadata(url, changes) } }));

describe('looking up an authorization server (RFC 8414 §3)', () => {
  it('finds a real one', async () => {
    real = await startAuthorizationServer();
    const metadata = await discoverServer(real.issuer, fetch);
    expect(metadata).toMatchObject({ issuer: real.issuer, token_endpoint: `${real.issuer}/token` });
  });

  it('asks at two places for an issuer without a path', async () => {
    const metadata = await discover((url) => ({ [OIDC]: { status: 200, body: fakeMetadata(url) } }));
    expect(metadata.issuer).toBe(raw?.url);
    expect(asked()).toEqual([`GET ${OAUTH}`, `GET ${OIDC}`]);
  });

  it('asks at three places for an issuer with a path, never at the root', async () => {
    await discover(
      (url) => ({ [`/tenant1${OIDC}`]: { status: 200, body: fakeMetadata(`${url}/tenant1`) } }),
      '/tenant1',
    );
    expect(asked()).toEqual([`GET ${OAUTH}/tenant1`, `GET ${OIDC}/tenant1`, `GET /tenant1${OIDC}`]);
  });

  it('stops at the first document', async () => {
    await offering({});
    expect(asked()).toEqual([`GET ${OAUTH}`]);
  });

  it.each<[string, RawAnswer]>([
    ['a web page with 200', { status: 200, headers: { 'content-type': 'text/html' }, body: PAGE }],
    ['a list', { status: 200, body: '[]' }],
    [
      'an error in JSON with 200',
      { status: 200, body: { jsonrpc: '2.0', error: { code: -32600, message: 'no' } } },
    ],
    ['a 406', { status: 406, body: { error: 'not acceptable' } }],
    ['a 401', { status: 401 }],
    ['a redirect to nothing', { status: 302, headers: { location: '/elsewhere' } }],
  ])('passes over %s', async (_, answer) => {
    const metadata = await discover((url) => ({
      [OAUTH]: answer,
      [OIDC]: { status: 200, body: fakeMetadata(url) },
    }));
    expect(metadata.issuer).toBe(raw?.url);
  });

  it('goes where a document has moved', async () => {
    const metadata = await discover((url) => ({
      [OAUTH]: { status: 302, headers: { location: '/moved' } },
      '/moved': { status: 200, body: fakeMetadata(url) },
    }));
    expect(metadata.issuer).toBe(raw?.url);
    expect(asked()).toEqual([`GET ${OAUTH}`, 'GET /moved']);
  });

  it('says where it looked when there is nothing', async () => {
    const refused = discover(() => ({ [OAUTH]: { status: 200, body: PAGE } }));
    const error = await refused.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'discovery_failed',
      hint: `looked at\n  ${raw?.url}${OAUTH} (200, not this metadata)\n  ${raw?.url}${OIDC} (404)`,
    });
  });

  it('tells a server that is out of order from one that has nothing to say', async () => {
    await expect(discover(() => ({ [OAUTH]: { status: 503 } }))).rejects.toMatchObject({
      code: 'upstream_unavailable',
    });
    expect(asked()).toEqual([`GET ${OAUTH}`, `GET ${OAUTH}`]);
  });

  it('tells a server that cannot be reached', async () => {
    const gone = await serveRoutes(() => ({}));
    await gone.close();
    await expect(discoverServer(gone.url, fetch)).rejects.toMatchObject({
      code: 'upstream_unavailable',
      message: expect.stringContaining('refused'),
    });
  });

  it.each(['http://as.example.com', 'https://alice:fake@as.example.com', 'javascript:alert(1)', 'rubbish'])(
    'calls nobody for the issuer %s',
    async (issuer) => {
      const calls: string[] = [];
      const noFetch = async (url: string) => {
        calls.push(url);
        return new Response();
      };
      await expect(discoverServer(issuer, noFetch)).rejects.toMatchObject({ code: 'discovery_failed' });
      expect(calls).toEqual([]);
    },
  );

  it('shows no control characters of an issuer that a stranger announced', async () => {
    raw = await serveRoutes(() => ({}));
    const hostile = `${raw.url}/\u001b[2Jtenant`;
    const error: unknown = await discoverServer(hostile, fetch).catch((thrown: unknown) => thrown);
    expect((error as Error).message).not.toMatch(/\p{Cc}/u);
  });
});

describe('the issuer of metadata (RFC 8414 §3.3)', () => {
  it.each([
    ['another server', () => 'https://evil.example.com'],
    ['a trailing slash', (url: string) => `${url}/`],
    ['another case', (url: string) => url.replace('http', 'HTTP')],
    ['a path', (url: string) => `${url}/tenant`],
    ['none', () => null],
  ])('that differs by %s is refused, both shown', async (_, issuer) => {
    const body = (url: string) => ({ ...fakeMetadata(url), issuer: issuer(url) });
    const refused = discover((url) => ({
      [OAUTH]: { status: 200, body: body(url) },
      [OIDC]: { status: 200, body: body(url) },
    }));
    const error = await refused.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: expect.stringMatching(/^(issuer_mismatch|discovery_failed)$/) });
    const shown = issuer(raw?.url ?? '');
    if (shown)
      expect(error).toMatchObject({ code: 'issuer_mismatch', hint: expect.stringContaining(`"${shown}"`) });
  });

  it('is refused in quotes when it is hostile', async () => {
    const hostile = `https://x/\u001b[2J${'y'.repeat(1000)}`;
    const error: unknown = await offering({ issuer: hostile }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'issuer_mismatch' });
    const { hint } = error as { hint: string };
    expect(hint).not.toContain('\u001b');
    expect(hint.length).toBeLessThan(700);
  });

  it('with a trailing slash is fine when it was announced so', async () => {
    raw = await serveRoutes((url) => ({ [OAUTH]: { status: 200, body: fakeMetadata(`${url}/`) } }));
    expect((await discoverServer(`${raw.url}/`, fetch)).issuer).toBe(`${raw.url}/`);
  });
});

describe('metadata that is not good enough', () => {
  it.each([
    ['says nothing of PKCE', {}, undefined],
    ['knows only plain', {}, ['plain']],
    ['writes it as a text', {}, 'S256'],
  ])('because it %s is refused', async (_, changes, methods) => {
    const body = (url: string) => ({
      ...fakeMetadata(url, changes),
      code_challenge_methods_supported: methods,
    });
    const refused = discover((url) => ({ [OAUTH]: { status: 200, body: body(url) } }));
    await expect(refused).rejects.toMatchObject({
      code: 'pkce_unsupported',
      hint: expect.stringContaining('S256'),
    });
  });

  it.each(['authorization_endpoint', 'token_endpoint', 'registration_endpoint', 'revocation_endpoint'])(
    'because its %s is not safe to call is refused',
    async (name) => {
      for (const url of [
        'http://as.example.com/x',
        'https://alice:fake@as.example.com/x',
        'javascript:alert(1)',
        '/x',
      ]) {
        await expect(offering({ [name]: url })).rejects.toMatchObject({ code: 'discovery_failed' });
        await raw?.close();
      }
    },
  );

  it.each([null, undefined, 7])('because its token endpoint is %j is refused', async (token_endpoint) => {
    const body = (url: string) => ({ ...fakeMetadata(url), token_endpoint });
    const refused = discover((url) => ({ [OAUTH]: { status: 200, body: body(url) } }));
    await expect(refused).rejects.toMatchObject({ code: 'discovery_failed' });
  });

  it('does not exist because it writes null for what it does not have', async () => {
    const body = (url: string) => ({ ...fakeMetadata(url), registration_endpoint: null });
    const metadata = await discover((url) => ({ [OAUTH]: { status: 200, body: body(url) } }));
    expect(metadata).not.toHaveProperty('registration_endpoint');
  });

  it('does not exist because its endpoints are on other hosts', async () => {
    const elsewhere = { token_endpoint: 'https://tokens.example.com/token' };
    expect(await offering(elsewhere)).toMatchObject(elsewhere);
  });
});

describe('a server without an authorization endpoint (RFC 8414 §2)', () => {
  const forMachines = (url: string, changes: object = {}) => ({
    status: 200,
    body: { issuer: url, token_endpoint: `${url}/token`, ...changes },
  });

  it.each([{}, { authorization_endpoint: null }])(
    'is found (%j); PKCE has nothing to protect there',
    async (more) => {
      const metadata = await discover((url) => ({ [OAUTH]: forMachines(url, more) }));
      expect(metadata).toEqual({ issuer: raw?.url, token_endpoint: `${raw?.url}/token` });
    },
  );

  it('is no place to send a person to, which is said with the ways that are open', async () => {
    const device = { device_authorization_endpoint: 'https://as.example.com/device' };
    const metadata = await discover((url) => ({ [OAUTH]: forMachines(url, device) }));
    expect(() => requireBrowserServer(metadata)).toThrow(
      expect.objectContaining({
        code: 'discovery_failed',
        message: `nobody can sign in to ${raw?.url} with a browser: its metadata names no authorization endpoint`,
        hint: expect.stringMatching(/--client-credentials …\na person signs in with --device$/),
      }),
    );
  });

  it('is one that says so in each of its documents', async () => {
    const metadata = await discover((url) => ({
      [OAUTH]: forMachines(url),
      [OIDC]: { status: 200, body: fakeMetadata(url) },
    }));
    expect(metadata.authorization_endpoint).toBe(`${raw?.url}/authorize`);
  });
});
