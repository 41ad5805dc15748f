import { describe, expect, it } from 'vitest';
import { shareDaemon, type TestDaemon } from '../support/daemon.ts';

let test: TestDaemon;

const take = (daemon: TestDaemon) => {
  test = daemon;
};

/** Calls a route of agents and one of everybody. */
async function statuses(headers: Record<string, string>): Promise<number[]> {
  const paths = ['/v1/connections/demo/token', '/healthz'];
  return Promise.all(paths.map(async (path) => (await test.call(path, { headers })).status));
}

describe('the Host of a call', () => {
  shareDaemon(take, {
    publicUrl: 'https://broker.example.com/base',
    allowedHosts: ['Broker.internal', 'other.internal:9000'],
  });

  it.each([
    '127.0.0.1:PORT',
    'localhost:PORT',
    'LocalHost:PORT',
    '[::1]:PORT',
    'broker.example.com',
    'broker.internal',
    'other.internal:9000',
  ])('is us: %s', async (host) => {
    expect(await statuses({ host: host.replace('PORT', test.port) })).toEqual([200, 200]);
  });

  it.each([
    'evil.example.com',
    'evil.example.com:PORT',
    '127.0.0.1.evil.example.com:PORT',
    'localhost.evil.example.com:PORT',
    '127.0.0.1:1',
    'localhost',
    '127.0.0.2:PORT',
    '0.0.0.0:PORT',
    'broker.example.com:9000',
    'sub.broker.example.com',
    'other.internal:PORT',
    'other.internal',
  ])('is not us, and refused: %j', async (host) => {
    expect(await statuses({ host: host.replace('PORT', test.port) })).toEqual([403, 403]);
  });

  it('is refused before the key is looked at, with the way out', async () => {
    const { json } = await test.call('/v1/connections', { headers: { host: 'evil.example.com' } });
    expect(json).toMatchObject({
      code: 'forbidden',
      status: 403,
      next_step: expect.stringContaining('--allowed-host'),
    });
    expect(JSON.stringify(json)).not.toContain('evil');
  });

  it('may have any port when the name was allowed without one, as the refusal advises', async () => {
    expect(await statuses({ host: `broker.internal:${test.port}` })).toEqual([200, 200]);
  });
});

describe('the Origin of a call', () => {
  shareDaemon(take, { allowedOrigins: ['https://console.example.com'] });

  it.each([
    'https://evil.example.com',
    'null',
    'http://127.0.0.1:PORT',
    'http://localhost:PORT',
    'https://console.example.com.evil.example.com',
    'http://console.example.com',
    'https://console.example.com:8443',
    '',
  ])('is refused: %j', async (origin) => {
    expect(await statuses({ origin: origin.replace('PORT', test.port) })).toEqual([403, 403]);
  });

  it('is refused in a preflight too', async () => {
    const headers = { origin: 'https://evil.example.com', 'access-control-request-method': 'POST' };
    const { status } = await test.call('/v1/connections/demo/token', { method: 'OPTIONS', headers });
    expect(status).toBe(403);
  });

  it('passes when it is allowed by name', async () => {
    expect(await statuses({ origin: 'https://console.example.com' })).toEqual([200, 200]);
  });
});

describe('every answer', () => {
  shareDaemon(take, { allowedOrigins: ['https://console.example.com'] });

  it.each<[string, string, Record<string, string>]>([
    ['a token', '/v1/connections/demo/token', {}],
    ['a list', '/v1/connections', {}],
    ['health', '/healthz', {}],
    ['401', '/v1/connections', { authorization: 'Bearer mtb_wrong' }],
    ['403', '/v1/connections', { origin: 'https://evil.example.com' }],
    ['404', '/nowhere', {}],
    ['an allowed origin', '/v1/connections', { origin: 'https://console.example.com' }],
  ])('is not to be stored, and opens nothing to web pages: %s', async (_, path, headers) => {
    const answered = await test.call(path, { headers });
    expect(answered.headers['cache-control']).toBe('no-store');
    expect(answered.headers['x-content-type-options']).toBe('nosniff');
    const names = Object.keys(answered.headers);
    expect(names.filter((name) => name.startsWith('access-control-'))).toEqual([]);
    expect(names).not.toContain('x-powered-by');
    expect(names).not.toContain('etag');
  });
});
