import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { baseUrlFor, type DaemonOptions } from '../../src/daemon.ts';
import { shareDaemon, startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import { createHome } from '../support/home.ts';
import { call } from '../support/http-call.ts';

const WELL_KNOWN = '/.well-known/oauth-authorization-server/oauth';

let test: TestDaemon;

const start = async (options: Partial<DaemonOptions> = {}) => {
  test = await startTestDaemon(options);
};

const metadata = async (path = WELL_KNOWN, headers = {}) =>
  (await call(`${test.url}${path}`, { headers })).json;

describe('the metadata (RFC 8414 §2)', () => {
  afterEach(() => test.close());

  it('is for anybody, and has every field that stock clients demand', async () => {
    await start();
    const { status, headers, json } = await call(`${test.url}${WELL_KNOWN}`);
    expect(status).toBe(200);
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(json).toEqual({
      issuer: `${test.url}/oauth`,
      token_endpoint: `${test.url}/oauth/token`,
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      authorization_endpoint: `${test.url}/oauth/authorize`,
      response_types_supported: [],
    });
  });

  it('is not made from what a request says', async () => {
    await start({ allowedHosts: ['broker.internal'] });
    const headers = { 'x-forwarded-host': 'evil.example.com', forwarded: 'host=evil.example.com' };
    for (const host of ['broker.internal', `localhost:${test.port}`])
      expect(await metadata(WELL_KNOWN, { host, ...headers })).toMatchObject({ issuer: `${test.url}/oauth` });
  });

  it.each([
    ['https://broker.example.com', 'https://broker.example.com/oauth'],
    ['https://broker.example.com/', 'https://broker.example.com/oauth'],
    ['HTTPS://Broker.Example.com:443/Base//', 'https://broker.example.com/Base/oauth'],
  ])('has the public URL %s in place of the address', async (publicUrl, issuer) => {
    await start({ publicUrl });
    expect(await metadata()).toMatchObject({ issuer, token_endpoint: `${issuer}/token` });
  });

  it('is also where RFC 8414 §3.1 puts that of a public URL with a path', async () => {
    await start({ publicUrl: 'https://broker.example.com/base' });
    const path = '/.well-known/oauth-authorization-server/base/oauth';
    expect(await metadata(path)).toMatchObject({ issuer: 'https://broker.example.com/base/oauth' });
    expect(await metadata('/.well-known/oauth-authorization-server/other/oauth')).toMatchObject({
      status: 404,
    });
  });

  it('names this machine for a Unix socket, whose clients name it so', async () => {
    const home = await createHome();
    const path = join(home.path, 'broker.sock');
    await start({ addresses: [{ kind: 'unix', path }] });
    const { json } = await call(`unix:${path} ${WELL_KNOWN}`);
    expect(json).toMatchObject({
      issuer: 'http://localhost/oauth',
      token_endpoint: 'http://localhost/oauth/token',
    });
    await home.remove();
  });
});

describe('the issuer', () => {
  it.each([
    'broker.example.com',
    'ftp://broker.example.com',
    'https://a:b@broker.example.com',
    'https://b.example.com/?x',
    'https://b.example.com/#',
  ])('is none for a public URL like %s', async (publicUrl) => {
    await expect(startTestDaemon({ publicUrl })).rejects.toMatchObject({ code: 'usage' });
  });

  it.each([
    ['0.0.0.0', false, 'http://127.0.0.1:8787'],
    ['::', false, 'http://127.0.0.1:8787'],
    ['::1', false, 'http://[::1]:8787'],
    ['localhost', true, 'https://localhost:8787'],
  ])('names what can be called for a listener at %s (TLS: %j)', (host, isTls, baseUrl) => {
    const tls = isTls ? { cert: 'cert.pem', key: 'key.pem' } : undefined;
    const options = { publicUrl: undefined, tls };
    expect(baseUrlFor({ kind: 'tcp', host, port: 0 }, 8787, options)).toBe(baseUrl);
  });
});

describe('places beside it', () => {
  shareDaemon((daemon) => {
    test = daemon;
  });

  it.each([
    '/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/',
    '/.well-known/oauth-authorization-server/mcp/demo',
    '/.well-known/openid-configuration',
    '/.well-known/openid-configuration/oauth',
    '/.well-known/oauth-protected-resource',
    '/.well-known/oauth-protected-resource/mcp/demo',
    '/oauth',
    '/oauth/token',
  ])('are 404, so that clients of the gateway start no sign-in: GET %s', async (path) => {
    expect(await metadata(path)).toMatchObject({ status: 404, code: 'not_found' });
  });

  it('tell whom clients asked for a sign-in in vain what is wanted', async () => {
    for (const path of ['/.well-known/oauth-protected-resource/mcp/demo', '/register', '/authorize'])
      expect((await metadata(path)).next_step).toMatch(/^agents do not sign in here: send the agent key/);
    expect((await metadata('/v1/nothing')).next_step).toBe('docs/api.md lists the routes');
  });

  it('the authorization endpoint says that nobody signs in here', async () => {
    for (const query of ['', '?response_type=code&client_id=x&redirect_uri=https://evil.example.com']) {
      const { status, headers, json } = await call(`${test.url}/oauth/authorize${query}`);
      expect([status, json.code]).toEqual([400, 'bad_request']);
      expect(json.next_step).toContain('POST /oauth/token');
      expect(headers).not.toHaveProperty('location');
    }
  });
});
