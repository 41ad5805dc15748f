import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMetadataSource } from '../../src/broker/metadata.ts';
import { createFetch } from '../../src/oauth/http.ts';
import { type RawServer, startRawServer } from '../support/raw-server.ts';
import { openTestVault, type TestVault } from '../support/vault.ts';

const SAVED = { issuer: 'https://saved.example.com', token_endpoint: 'https://saved.example.com/token' };

let test: TestVault;
let server: RawServer;
let tokenPath: string;
let status: number;

const source = () => {
  const fetch = createFetch({
    proxy: { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined },
    caFile: undefined,
  });
  return createMetadataSource(test.vault.cache('server-metadata'), fetch);
};
const endpoint = async () => (await source().get(server.url, SAVED)).token_endpoint;

beforeEach(async () => {
  test = await openTestVault();
  tokenPath = '/token';
  status = 200;
  server = await startRawServer(() => ({
    status,
    body: {
      issuer: server.url,
      authorization_endpoint: `${server.url}/authorize`,
      token_endpoint: `${server.url}${tokenPath}`,
      code_challenge_methods_supported: ['S256'],
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
});
