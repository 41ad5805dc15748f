import { beforeEach, describe, expect, it } from 'vitest';
import { shareDaemon, type TestDaemon } from '../support/daemon.ts';
import { call } from '../support/http-call.ts';

const PATHS = [
  ['GET', '/v1/connections'],
  ['GET', '/v1/connections/demo'],
  ['GET', '/v1/connections/demo/token'],
  ['POST', '/v1/connections/demo/token'],
  ['GET', '/v1/connections/demo/headers'],
  ['POST', '/v1/connections/demo/check'],
] as const;

let test: TestDaemon;

const as = (authorization: string, path = '/v1/connections/demo/token') =>
  test.call(path, { headers: { authorization } });

shareDaemon((daemon) => {
  test = daemon;
});

describe('without a valid agent key', () => {
  it.each(PATHS)('nothing is answered: %s %s', async (method, path) => {
    const { status, json, headers } = await call(`${test.url}${path}`, { method });
    expect([status, json.code]).toEqual([401, 'unauthenticated']);
    expect(headers['www-authenticate']).toBe('Bearer realm="mcp-token-broker"');
  });

  it('the challenge starts no OAuth: it names no metadata', async () => {
    const { headers } = await as('');
    expect(headers['www-authenticate']).not.toMatch(/resource_metadata|authorization_uri|scope/);
  });

  it.each([
    'Bearer',
    'Bearer ',
    'Bearer mtb_wrong',
    'Bearer a b',
    'Basic bXRiXzp4',
    'mtb_wrong',
    `Bearer ${'x'.repeat(5000)}`,
    'Bearer \u00e4\u00f6\u00fc',
  ])('401 for Authorization: %j', async (authorization) => {
    const { status, json } = await as(authorization);
    expect([status, json.code]).toEqual([401, 'unauthenticated']);
  });

  it('an access token of the server is no agent key', async () => {
    const { access_token } = (await test.call('/v1/connections/demo/token')).json;
    expect((await as(`Bearer ${access_token}`)).status).toBe(401);
  });

  it('a key in the query is no key', async () => {
    const key = await test.addAgent({ name: 'query-bot' });
    const path = `/v1/connections/demo/token?access_token=${key}&key=${key}`;
    expect((await call(`${test.url}${path}`)).status).toBe(401);
  });
});

describe('an agent key', () => {
  // What was refused before counts against this address no more.
  beforeEach(() => test.world.clock.jump(60_000));

  it('may follow its scheme in any case (RFC 9110 §11.1)', async () => {
    const key = await test.addAgent({ name: 'case-bot' });
    expect((await as(`bearer ${key}`)).status).toBe(200);
    expect((await as(`BEARER  ${key}`)).status).toBe(200);
  });

  it('works until it is revoked, at the very next request', async () => {
    const key = await test.addAgent({ name: 'revoked-bot' });
    expect((await as(`Bearer ${key}`)).status).toBe(200);
    await test.broker.agents.revoke('revoked-bot');
    const { status, json } = await as(`Bearer ${key}`);
    expect([status, json.code]).toEqual([401, 'unauthenticated']);
  });

  it('works until it ends', async () => {
    const key = await test.addAgent({ name: 'short-bot', expiresAt: test.world.clock.now() + 60_000 });
    expect((await as(`Bearer ${key}`)).status).toBe(200);
    test.world.clock.jump(60_000);
    expect((await as(`Bearer ${key}`)).status).toBe(401);
  });

  it('is answered alike whether it is unknown, revoked or expired', async () => {
    const revoked = await test.addAgent({ name: 'former-bot' });
    const expired = await test.addAgent({ name: 'expired-bot', expiresAt: test.world.clock.now() + 1 });
    test.world.clock.jump(1);
    await test.broker.agents.revoke('former-bot');
    const answers = await Promise.all([revoked, expired, 'mtb_unknown'].map((key) => as(`Bearer ${key}`)));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });
});

describe('what an agent may do', () => {
  it('without the mode token it gets none: 403, but may look', async () => {
    const key = await test.addAgent({ name: 'gateway-bot', modes: ['gateway'] });
    for (const path of ['/v1/connections/demo/token', '/v1/connections/demo/headers']) {
      const { status, json } = await as(`Bearer ${key}`, path);
      expect([status, json.code, json.connection]).toEqual([403, 'forbidden', 'demo']);
    }
    expect((await as(`Bearer ${key}`, '/v1/connections/demo')).status).toBe(200);
  });

  it('what it may not see is not there: 404 on every route', async () => {
    for (const [method, path] of PATHS.slice(1)) {
      const { status, json } = await test.call(path.replace('demo', 'demo@alice'), { method });
      expect([status, json.code]).toEqual([404, 'not_found']);
    }
    expect((await test.call('/v1/connections')).json.connections).toHaveLength(1);
  });
});
