import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMetadataSource } from '../../src/broker/metadata.ts';
import type { Network } from '../../src/core/server-settings.ts';
import { fetch } from '../support/provider.ts';
import { type RawServer, startRawServer } from '../support/raw-server.ts';
import { openTestVault, type TestVault } from '../support/vault.ts';

const SAVED = { issuer: 'https://saved.example.com', token_endpoint: 'https://saved.example.com/token' };

let test: TestVault;
let server: RawServer;
let tokenPath: string;
let status: number;
let changes: object;
let networks: Network[];

/** A source that starts afresh, on the cache that all of them share. */
const source = () =>
  createMetadataSource(test.vault.cache('server-metadata'), (network) => {
    networks.push(network);
    return fetch;
  });
const endpoint = async () => (await source().get(server.url, SAVED, 'private')).token_endpoint;

beforeEach(async () => {
  test = await openTestVault();
  tokenPath = '/token';
  status = 200;
  changes = {};
  networks = [];
  server = await startRawServer(() => ({
    status,
    body: {
      issuer: server.url,
      authorization_endpoint: `${server.url}/authorize`,
      token_endpoint: `${server.url}${tokenPath}`,
      code_challenge_methods_supported: ['S256'],
      ...changes,
    },
  }));
});

afterEach(async () => {
  await server.close();
  await test.close();
});

describe('the metadata of an authorization server', () => {
  it('is looked up once and then remembered', async () => {
    expect(await endpoint()).toBe(`${server.url}/token`);
    tokenPath = '/moved';
    expect(await endpoint()).toBe(`${server.url}/token`);
    expect(server.requests).toHaveLength(1);
  });

  it('is looked up again when what was remembered may be wrong', async () => {
    await endpoint();
    tokenPath = '/moved';
    await source().forget(server.url);
    expect(await endpoint()).toBe(`${server.url}/moved`);
  });

  it('is the copy saved with our client when it cannot be looked up', async () => {
    status = 503;
    expect(await endpoint()).toBe(SAVED.token_endpoint);
  });

  it('is the copy saved with our client when the document names another issuer', async () => {
    changes = { issuer: 'https://evil.example.com' };
    expect(await endpoint()).toBe(SAVED.token_endpoint);
  });

  it('is good for a refresh although it does not announce PKCE', async () => {
    changes = { code_challenge_methods_supported: undefined };
    expect(await endpoint()).toBe(`${server.url}/token`);
  });

  it('is asked for in the network of the server', async () => {
    await source().get(server.url, SAVED, 'public');
    await source().discover(server.url, { network: 'private' });
    expect(networks).toEqual(['public', 'private']);
  });
});

describe('the metadata a login looks up', () => {
  it('is asked for anew, and remembered for the refreshes to come', async () => {
    await endpoint();
    tokenPath = '/moved';
    const found = await source().discover(server.url, { network: 'private' });
    expect(found.token_endpoint).toBe(`${server.url}/moved`);
    expect(server.requests).toHaveLength(2);
    expect(await endpoint()).toBe(`${server.url}/moved`);
    expect(server.requests).toHaveLength(2);
  });

  it('must announce PKCE, or an operator must know of it', async () => {
    changes = { code_challenge_methods_supported: undefined };
    await expect(source().discover(server.url, { network: 'private' })).rejects.toMatchObject({
      code: 'pkce_unsupported',
    });
    const vouched = { pkce: 'assumed' } as const;
    expect(await source().discover(server.url, { network: 'private', vouched })).toMatchObject({
      issuer: server.url,
    });
  });

  it('is remembered under the issuer that an operator vouches for', async () => {
    const issuer = 'https://accounts.example.com/';
    changes = { issuer };
    await source().discover(server.url, { network: 'private', vouched: { issuer } });
    expect(await source().get(issuer, SAVED, 'private')).toMatchObject({
      issuer,
      token_endpoint: `${server.url}/token`,
    });
    expect(server.requests).toHaveLength(1);
  });

  it('of a server of the first revision is remembered under its origin', async () => {
    status = 404;
    await source().discoverFirstRevision(`${server.url}/v1/mcp`, { network: 'private' });
    const asked = server.requests.length;
    expect(await endpoint()).toBe(`${server.url}/token`);
    expect(server.requests).toHaveLength(asked);
  });

  it('is not remembered when it is refused', async () => {
    changes = { issuer: 'https://evil.example.com' };
    await expect(source().discover(server.url, { network: 'private' })).rejects.toMatchObject({
      code: 'issuer_mismatch',
    });
    changes = {};
    expect(await endpoint()).toBe(`${server.url}/token`);
  });

  it('is not waited for when the person gives up', async () => {
    const signal = AbortSignal.abort(new Error('the person gave up'));
    const found = source().discover(server.url, { network: 'private', signal });
    await expect(found).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(server.requests).toEqual([]);
  });
});
