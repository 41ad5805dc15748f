/** Servers that publish their metadata in odd ways, or odd metadata. */
import { afterEach, describe, expect, it } from 'vitest';
import type { RawAnswer } from '../support/raw-server.ts';
import { documentAnswer } from './odd-documents.ts';
import type { Oddities } from './odd-server.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: OddWorld;

async function start(oddities?: Oddities): Promise<void> {
  world = await startOddWorld(oddities);
}

afterEach(() => world.close());

const RESOURCE = '/.well-known/oauth-protected-resource';
const OAUTH = '/.well-known/oauth-authorization-server';
const OPENID = '/.well-known/openid-configuration';

const NOT_FOUND: RawAnswer = { status: 404, body: 'not found' };
const PAGE: RawAnswer = {
  status: 200,
  headers: { 'content-type': 'text/html' },
  body: '<!doctype html><p>app',
};

const asked = () => world.server.requests.map(({ method, path }) => `${method} ${path}`);

describe('the authorization server of a resource', () => {
  it('is the one the resource names, also where its host has metadata of another', async () => {
    await start();
    const other = await world.add();
    world.server.change({
      resource: (document) => ({ ...document, authorization_servers: [other.url] }),
    });
    other.change({ resource: () => ({ resource: world.server.mcp }) });
    const { connected } = await world.signIn({}, { approve: other });
    expect(connected).toMatchObject({ issuer: other.url, resource: world.server.mcp });
    expect(asked().filter((each) => each.startsWith('POST'))).toEqual(['POST /mcp']);
  });

  it('is the next one announced where the first cannot be used', async () => {
    await start({
      resource: (document, url) => ({ ...document, authorization_servers: [`${url}/dead`, url] }),
    });
    expect((await world.signIn()).connected.issuer).toBe(world.server.url);
  });

  it('stays the one of the present login, wherever it stands among several', async () => {
    await start();
    const other = await world.add();
    const [first, second] = [world.server.url, other.url];
    const announce = (servers: string[]) =>
      world.server.change({ resource: (document) => ({ ...document, authorization_servers: servers }) });
    announce([first, second]);
    await world.signIn();
    announce([second, first]);
    expect((await world.signIn()).connected.issuer).toBe(first);
    expect(other.requests).toEqual([]);
  });

  it('is found by metadata on another host that the challenge names', async () => {
    await start();
    const other = await world.add();
    other.change({
      resource: () => ({ resource: world.server.mcp, authorization_servers: [world.server.url] }),
    });
    world.server.change({ challenge: () => `Bearer resource_metadata="${other.url}${RESOURCE}/mcp"` });
    expect((await world.signIn()).connected.resource).toBe(world.server.mcp);
  });

  it('is found behind a dead address that came first in the challenge', async () => {
    await start({
      challenge: (url) => [
        `Bearer resource_metadata="${url}/dead"`,
        `Bearer resource_metadata="${url}/custom"`,
      ],
      routes: (url) => ({
        'GET /custom': { status: 200, body: { resource: `${url}/mcp`, authorization_servers: [url] } },
      }),
    });
    await world.signIn();
    expect(asked().slice(0, 3)).toEqual(['POST /mcp', 'GET /dead', 'GET /custom']);
  });

  it.each([
    ['behind another scheme', (at: string) => `Basic realm="a, Bearer b", Bearer resource_metadata="${at}"`],
    ['without quotes', (at: string) => `Bearer resource_metadata=${at}, error=invalid_token`],
    ['behind a token of another scheme', (at: string) => `Negotiate YII=, bearer resource_metadata="${at}"`],
  ])('is found by a challenge written %s', async (_, challenge) => {
    await start({
      challenge: (url) => challenge(`${url}/custom`),
      routes: (url) => ({
        'GET /custom': { status: 200, body: { resource: `${url}/mcp`, authorization_servers: [url] } },
      }),
    });
    await world.signIn();
    expect(asked()).toContain('GET /custom');
    expect(asked()).not.toContain(`GET ${RESOURCE}/mcp`);
  });

  it.each<[string, RawAnswer]>([
    ['the page of an app', PAGE],
    ['a page that wants to see no robots', { status: 403, body: '<title>Just a moment…</title>' }],
    ['a 406', { status: 406, body: { error: 'not acceptable' } }],
    [
      'an error of JSON-RPC',
      { status: 400, body: { jsonrpc: '2.0', error: { code: -32600, message: 'no' } } },
    ],
    ['an error of JSON-RPC with 200', { status: 200, body: { jsonrpc: '2.0', error: { code: -1 } } }],
    ['a list', { status: 200, body: '[]' }],
  ])('is found at the next place after %s', async (_, answer) => {
    await start({
      challenge: () => undefined,
      routes: (url) => ({
        [`GET ${RESOURCE}/mcp`]: answer,
        [`GET ${RESOURCE}`]: { status: 200, body: { resource: `${url}/mcp`, authorization_servers: [url] } },
        [`GET ${OAUTH}`]: answer,
        [`GET ${OPENID}`]: documentAnswer(url),
      }),
    });
    await world.signIn();
    const found = asked().filter((each) => each.includes('well-known'));
    expect(found).toEqual([`GET ${RESOURCE}/mcp`, `GET ${RESOURCE}`, `GET ${OAUTH}`, `GET ${OPENID}`]);
  });
});

describe('a server of the first revision', () => {
  /** A 401 that says nothing, and no metadata anywhere but what is given. */
  const silent = (more: (url: string) => Record<string, RawAnswer> = () => ({})): Oddities => ({
    challenge: () => undefined,
    knowsResource: true,
    routes: (url) => ({
      [`GET ${RESOURCE}/mcp`]: NOT_FOUND,
      [`GET ${RESOURCE}`]: NOT_FOUND,
      [`GET ${OAUTH}`]: NOT_FOUND,
      [`GET ${OPENID}`]: NOT_FOUND,
      ...more(url),
    }),
  });

  it('is signed in to by the metadata at its root', async () => {
    await start(
      silent((url) => ({ [`GET ${OAUTH}`]: documentAnswer(url, { token_endpoint: `${url}/token` }) })),
    );
    expect((await world.signIn()).connected).toMatchObject({ issuer: world.server.url, refresh_token: true });
  });

  it('is signed in to by the usual endpoints where it publishes nothing', async () => {
    await start(silent());
    // Such a server sends no iss, as nobody can know that it would.
    world.server.change({
      metadata: ({ authorization_response_iss_parameter_supported: _, ...rest }) => rest,
    });
    const { connected } = await world.signIn();
    expect(connected).toMatchObject({ issuer: world.server.url, refresh_token: true });
    expect(asked()).toEqual(expect.arrayContaining(['POST /register', 'POST /token']));
    const discovery = world.server.requests.filter(({ path }) => path.includes('well-known'));
    expect(discovery.length).toBeGreaterThan(2);
    for (const { headers } of discovery) expect(headers['mcp-protocol-version']).toMatch(/^\d{4}-\d\d-\d\d$/);
  });

  it.each([503, 500, 429])(
    'is not taken for one that publishes nothing when it answers %i',
    async (status) => {
      await start(silent(() => ({ [`GET ${OAUTH}`]: { status, body: 'busy' } })));
      expect(await world.refused()).toMatchObject({
        code: 'upstream_unavailable',
        message: expect.stringContaining(String(status)),
      });
      expect(asked()).not.toContain('POST /register');
    },
  );
});
