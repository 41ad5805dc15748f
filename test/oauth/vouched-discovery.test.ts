import { afterEach, describe, expect, it } from 'vitest';
import {
  discoverFirstRevision,
  discoverServer,
  PRESCRIBED,
  type Vouched,
} from '../../src/oauth/server-discovery.ts';
import { startAuthorizationServer } from '../support/authorization-server.ts';
import { fakeMetadata, fetch, serveRoutes } from '../support/provider.ts';
import type { RawAnswer, RawServer } from '../support/raw-server.ts';

const OAUTH = '/.well-known/oauth-authorization-server';
const OIDC = '/.well-known/openid-configuration';

let raw: RawServer | undefined;

afterEach(() => raw?.close());

const asked = () => raw?.requests.map(({ method, path }) => `${method} ${path}`);
const named = (issuer: string, url: string): RawAnswer => ({
  status: 200,
  body: { ...fakeMetadata(url), issuer },
});

/** Looks up the issuer of a server with these answers. */
async function discover(routes: (url: string) => Record<string, RawAnswer>, vouched?: Vouched) {
  raw = await serveRoutes(routes);
  return discoverServer(raw.url, fetch, vouched);
}

describe('an issuer that an operator vouches for', () => {
  const issuer = 'https://accounts.example.com/';

  /** Looks up a server whose first document names `name`. */
  const discoverNaming = (name: string, vouched: Vouched = { issuer }) =>
    discover((url) => ({ [OAUTH]: named(name, url) }), vouched);

  it('may be named by the document of the server that was announced', async () => {
    expect(await discoverNaming(issuer)).toMatchObject({ issuer, token_endpoint: `${raw?.url}/token` });
  });

  it.each([
    ['another one', 'https://evil.example.com'],
    ['one that differs by a slash', 'https://accounts.example.com'],
  ])('is the only one: %s is refused', async (_, other) => {
    await expect(discoverNaming(other)).rejects.toMatchObject({
      code: 'issuer_mismatch',
      hint: expect.stringContaining(`it names "${other}"\nbut the server was announced as "${issuer}"`),
    });
  });

  it('is wanted even where the document names the server it was looked up for', async () => {
    const refused = discover((url) => ({ [OAUTH]: named(url, url) }), { issuer });
    await expect(refused).rejects.toMatchObject({ code: 'issuer_mismatch' });
  });

  it('is what the refusal of a stranger tells about', async () => {
    await expect(discoverNaming(issuer, {})).rejects.toMatchObject({
      code: 'issuer_mismatch',
      hint: expect.stringMatching(/vouch for it with --issuer$/),
    });
  });

  it('does not make unsafe endpoints safe', async () => {
    const token_endpoint = 'http://as.example.com/token';
    const body = { ...fakeMetadata(issuer), token_endpoint };
    const refused = discover(() => ({ [OAUTH]: { status: 200, body } }), { issuer });
    await expect(refused).rejects.toMatchObject({ code: 'discovery_failed' });
  });
});

describe('a server of the first MCP revision (2025-03-26, §2.3)', () => {
  it('says at its origin how to sign in, whatever its path', async () => {
    const server = await startAuthorizationServer();
    const metadata = await discoverFirstRevision(`${server.issuer}/v1/mcp?team=7`, fetch);
    expect(metadata).toMatchObject({
      issuer: server.issuer,
      token_endpoint: `${server.issuer}/token`,
      revocation_endpoint: expect.any(String),
    });
    await server.close();
  });

  it('is taken to have the prescribed endpoints when it says nothing', async () => {
    raw = await serveRoutes(() => ({}));
    const { url } = raw;
    expect(await discoverFirstRevision(`${url}/v1/mcp`, fetch)).toEqual({
      issuer: url,
      [PRESCRIBED]: true,
      authorization_endpoint: `${url}/authorize`,
      token_endpoint: `${url}/token`,
      registration_endpoint: `${url}/register`,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
    });
    expect(asked()).toEqual([`GET ${OAUTH}`, `GET ${OIDC}`]);
  });

  it.each<[string, (url: string) => RawAnswer, string]>([
    ['is out of order', () => ({ status: 503 }), 'upstream_unavailable'],
    ['is too busy', () => ({ status: 429 }), 'upstream_unavailable'],
    ['names another issuer', (url) => named('https://evil.example.com', url), 'issuer_mismatch'],
    [
      'does not announce PKCE',
      (url) => ({ status: 200, body: { ...fakeMetadata(url), code_challenge_methods_supported: [] } }),
      'pkce_unsupported',
    ],
    [
      'names an endpoint nobody may call',
      (url) => ({ status: 200, body: { ...fakeMetadata(url), token_endpoint: 'http://as.example.com/t' } }),
      'discovery_failed',
    ],
    [
      'names no token endpoint',
      (url) => ({ status: 200, body: { ...fakeMetadata(url), token_endpoint: null } }),
      'discovery_failed',
    ],
  ])('is not taken to have them when it %s', async (_, answer, code) => {
    raw = await serveRoutes((url) => ({ [OAUTH]: answer(url) }));
    await expect(discoverFirstRevision(`${raw.url}/mcp`, fetch)).rejects.toMatchObject({ code });
  });

  it('may name the issuer that an operator vouches for', async () => {
    const issuer = 'https://accounts.example.com';
    raw = await serveRoutes((url) => ({ [OAUTH]: named(issuer, url) }));
    expect(await discoverFirstRevision(`${raw.url}/mcp`, fetch, { issuer })).toMatchObject({ issuer });
  });

  it('does not need to announce PKCE when an operator knows that it works', async () => {
    raw = await serveRoutes((url) => ({
      [OAUTH]: { status: 200, body: { ...fakeMetadata(url), code_challenge_methods_supported: [] } },
    }));
    const metadata = await discoverFirstRevision(`${raw.url}/mcp`, fetch, { pkce: 'assumed' });
    expect(metadata.issuer).toBe(raw.url);
  });
});

describe('PKCE', () => {
  const silent = (url: string) => {
    const { code_challenge_methods_supported: _, ...body } = fakeMetadata(url);
    return body;
  };

  it('announced in the second document only is announced', async () => {
    const metadata = await discover((url) => ({
      [OAUTH]: { status: 200, body: { ...silent(url), scopes_supported: ['first'] } },
      [OIDC]: { status: 200, body: fakeMetadata(url, { scopes_supported: ['second'] }) },
    }));
    expect(metadata.scopes_supported).toEqual(['second']);
    expect(asked()).toEqual([`GET ${OAUTH}`, `GET ${OIDC}`]);
  });

  it('announced nowhere is refused, with the way to vouch for it', async () => {
    const refused = discover((url) => ({
      [OAUTH]: { status: 200, body: silent(url) },
      [OIDC]: { status: 200, body: silent(url) },
    }));
    await expect(refused).rejects.toMatchObject({
      code: 'pkce_unsupported',
      hint: expect.stringContaining('--assume-pkce'),
    });
    expect(asked()).toEqual([`GET ${OAUTH}`, `GET ${OIDC}`]);
  });

  it('that an operator knows of need not be announced', async () => {
    const routes = (url: string) => ({ [OAUTH]: { status: 200, body: silent(url) } });
    expect((await discover(routes, { pkce: 'assumed' })).issuer).toBe(raw?.url);
    expect(asked()).toEqual([`GET ${OAUTH}`]);
  });

  it('is not judged in a document of another issuer, which is refused before', async () => {
    const refused = discover((url) => ({
      [OAUTH]: { status: 200, body: silent(url) },
      [OIDC]: { status: 200, body: fakeMetadata('https://evil.example.com') },
    }));
    await expect(refused).rejects.toMatchObject({ code: 'issuer_mismatch' });
  });
});
