/** Servers whose metadata does not hold together, or leads astray. */
import { afterEach, describe, expect, it } from 'vitest';
import { documentAnswer } from './odd-documents.ts';
import type { Oddities } from './odd-server.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: OddWorld;

async function start(oddities?: Oddities): Promise<void> {
  world = await startOddWorld(oddities);
}

afterEach(() => world.close());

const RESOURCE = '/.well-known/oauth-protected-resource';
const OPENID = '/.well-known/openid-configuration';

const asked = () => world.server.requests.map(({ method, path }) => `${method} ${path}`);

describe('the issuer', () => {
  const named = (issuer: (url: string) => string): Oddities => ({
    metadata: (document, url) => ({
      ...document,
      issuer: issuer(url),
      authorization_response_iss_parameter_supported: false,
    }),
  });

  it.each([
    ['with a slash more than announced', (url: string) => `${url}/`],
    // Nobody listens there: its metadata is found where it was announced.
    ['on another host than announced', () => 'http://127.0.0.1:9/tenant'],
  ])('%s is refused until an operator vouches for it, and then remembered', async (_, issuer) => {
    await start(named(issuer));
    const pinnedIssuer = issuer(world.server.url);
    const { hint, ...refused } = (await world.refused()) as { hint: string };
    expect(refused).toMatchObject({ code: 'issuer_mismatch' });
    for (const words of [`"${world.server.url}"`, `"${pinnedIssuer}"`, '--issuer'])
      expect(hint).toContain(words);
    expect(asked()).not.toContain('POST /register');
    expect((await world.signIn({ pinnedIssuer })).connected.issuer).toBe(pinnedIssuer);
    expect((await world.signIn()).connected.issuer).toBe(pinnedIssuer);
  });

  it('may have its endpoints on another origin', async () => {
    const elsewhere = (url: string) => url.replace('127.0.0.1', 'localhost');
    await start({
      metadata: (document, url) => ({
        ...document,
        authorization_endpoint: `${elsewhere(url)}/authorize`,
        token_endpoint: `${elsewhere(url)}/token`,
      }),
    });
    await world.signIn();
    const request = world.server.requests.find(({ path }) => path === '/token');
    expect(request?.headers.host).toMatch(/^localhost:/);
  });
});

describe('the resource its metadata names', () => {
  it('is refused where a proxy in front has made it another scheme, until an operator vouches for it', async () => {
    const secure = (url: string) => `${url.replace('http:', 'https:')}/mcp`;
    await start({ resource: (document, url) => ({ ...document, resource: secure(url) }) });
    const pinnedResource = secure(world.server.url);
    const { hint, ...refused } = (await world.refused()) as { hint: string };
    expect(refused).toMatchObject({ code: 'resource_mismatch' });
    for (const words of [`"${world.server.mcp}"`, `"${pinnedResource}"`, '--resource'])
      expect(hint).toContain(words);
    const { connected, asked: query } = await world.signIn({ pinnedResource });
    expect([connected.resource, query.get('resource')]).toEqual([pinnedResource, pinnedResource]);
  });
});

describe('PKCE', () => {
  const unsaid = { code_challenge_methods_supported: undefined };
  const silent: Oddities = { metadata: (document) => ({ ...document, ...unsaid }) };

  it('announced in the second document only is enough', async () => {
    await start({ ...silent, routes: (url) => ({ [`GET ${OPENID}`]: documentAnswer(url) }) });
    expect((await world.signIn()).asked.get('code_challenge_method')).toBe('S256');
  });

  it('announced nowhere ends the login before anything is registered', async () => {
    await start(silent);
    expect(await world.refused()).toMatchObject({
      code: 'pkce_unsupported',
      hint: expect.stringContaining('--assume-pkce'),
    });
    expect(asked()).not.toContain('POST /register');
  });

  it('announced nowhere is used all the same where an operator knows better', async () => {
    await start(silent);
    expect((await world.signIn({ pkce: 'assumed' })).asked.get('code_challenge_method')).toBe('S256');
    // The server checks it: without the verifier there would be no token.
    expect((await world.signIn()).connected.refresh_token).toBe(true);
  });
});

describe('places nothing may be sent to', () => {
  it.each(['authorization_endpoint', 'token_endpoint', 'registration_endpoint'])(
    'include the %s of an authorization server, when it is not encrypted',
    async (name) => {
      await start({ metadata: (document) => ({ ...document, [name]: 'http://as.example.com/oauth' }) });
      expect(await world.refused()).toMatchObject({
        code: 'discovery_failed',
        message: expect.stringContaining('http://as.example.com/oauth'),
      });
      expect(asked()).not.toContain('POST /register');
    },
  );

  it('include the metadata service of a cloud, named as authorization server', async () => {
    await start({
      resource: (document) => ({ ...document, authorization_servers: ['https://169.254.169.254'] }),
    });
    expect(await world.refused()).toMatchObject({ code: 'discovery_failed' });
  });

  it('include the metadata service of a cloud, behind a redirect', async () => {
    await start({
      routes: () => ({
        [`GET ${RESOURCE}/mcp`]: { status: 302, headers: { location: 'https://169.254.169.254/latest' } },
      }),
    });
    expect(await world.refused()).toMatchObject({
      code: 'discovery_failed',
      message: expect.stringContaining('169.254.169.254'),
    });
  });
});
