import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import { isRefresh } from '../support/gate.ts';

const AN_HOUR_MS = 3_600_000;

let test: TestDaemon;

const active = (token: unknown) => test.world.authorizationServer.tokenIsActive(String(token));
const presentations = () => test.world.authorizationServer.requests.filter(isRefresh).length;

beforeEach(async () => {
  test = await startTestDaemon();
});

afterEach(() => test.close());

describe('GET /v1/connections/{name}/token', () => {
  it('answers a token that works, with what is known about it', async () => {
    const { status, headers, json } = await test.call('/v1/connections/demo/token');
    expect(status).toBe(200);
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(json).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 3600,
      expires_at: '2026-01-01T01:00:00Z',
      refresh_after: '2026-01-01T00:48:00Z',
      scope: 'mcp:all',
      resource: test.world.mcp.url,
      connection: 'demo',
      generation: 1,
    });
    expect(await active(json.access_token)).toMatchObject({ active: true, aud: test.world.mcp.url });
  });

  it('refreshes for min_ttl', async () => {
    test.world.clock.jump(AN_HOUR_MS / 2);
    expect((await test.call('/v1/connections/demo/token?min_ttl=60')).json).toMatchObject({ generation: 1 });
    expect((await test.call('/v1/connections/demo/token?min_ttl=1800')).json).toMatchObject({
      generation: 2,
    });
  });

  it('refreshes once for many callers', async () => {
    test.world.clock.jump(AN_HOUR_MS);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => test.call('/v1/connections/demo/token')),
    );
    expect(new Set(answers.map(({ json }) => json.access_token)).size).toBe(1);
    expect(presentations()).toBe(1);
  });

  it('warns, with 200, while a living token cannot be renewed', async () => {
    test.world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));
    test.world.clock.jump(AN_HOUR_MS / 2);
    const { status, json } = await test.call('/v1/connections/demo/token?min_ttl=1800');
    expect(status).toBe(200);
    expect(json.warnings).toEqual([expect.stringContaining('broker refresh demo')]);
  });

  it('leaves out what is unknown', async () => {
    const body = { access_token: 'endless-token', token_type: 'Bearer' };
    test.world.authorizationServer.fail((request) =>
      isRefresh(request) ? { status: 200, body } : undefined,
    );
    test.world.clock.jump(AN_HOUR_MS);
    const { json } = await test.call('/v1/connections/demo/token');
    expect(Object.keys(json)).toEqual([
      'access_token',
      'token_type',
      'scope',
      'resource',
      'connection',
      'generation',
    ]);
  });

  it('takes @ in a name also as %40', async () => {
    const key = await test.addAgent({ name: 'account-bot', allow: ['demo@*'] });
    const headers = { authorization: `Bearer ${key}` };
    for (const name of ['demo@alice', 'demo%40alice']) {
      const { status, json } = await test.call(`/v1/connections/${name}/token`, { headers });
      expect(status).toBe(200);
      expect(json).toMatchObject({ connection: 'demo@alice' });
    }
  });
});

describe('POST /v1/connections/{name}/token', () => {
  const post = (body?: object) =>
    test.call('/v1/connections/demo/token', { method: 'POST', ...(body === undefined ? {} : { body }) });

  beforeEach(() => test.world.clock.jump(60_000));

  it('refreshes only when the rejected generation is the current one', async () => {
    expect((await post({ rejected_generation: 1 })).json).toMatchObject({ generation: 2 });
    expect((await post({ rejected_generation: 1 })).json).toMatchObject({ generation: 2 });
    expect(presentations()).toBe(1);
  });

  it('takes min_ttl, an empty object and no body at all', async () => {
    for (const body of [{ min_ttl: 60 }, {}, undefined]) {
      const { status, json } = await post(body);
      expect([status, json.generation]).toEqual([200, 1]);
    }
  });
});

describe('GET /v1/connections/{name}/headers', () => {
  it('answers a flat object of headers', async () => {
    const { json } = await test.call('/v1/connections/demo/headers');
    expect(json).toEqual({ Authorization: expect.stringMatching(/^Bearer \S+$/) });
    expect(await active(String(json.Authorization).replace('Bearer ', ''))).toMatchObject({ active: true });
  });
});

describe('GET /v1/connections', () => {
  it('lists what this agent may see, without secrets', async () => {
    const { access_token } = (await test.call('/v1/connections/demo/token')).json;
    const { status, json, text } = await test.call('/v1/connections');
    expect(status).toBe(200);
    expect(json.connections).toEqual([
      expect.objectContaining({
        name: 'demo',
        state: 'ok',
        generation: 1,
        refresh_token: true,
        scope: 'mcp:all',
      }),
    ]);
    expect(text).not.toContain(access_token);
  });

  it('shows one of them, with the next step when there is one', async () => {
    const path = '/v1/connections/demo';
    expect((await test.call(path)).json).toMatchObject({
      name: 'demo',
      url: test.world.mcp.url,
      resource: test.world.mcp.url,
      issuer: test.world.authorizationServer.issuer,
      state: 'ok',
      expires_at: '2026-01-01T01:00:00Z',
    });
    expect((await test.call(path)).json).not.toHaveProperty('next_step');
    const body = { error: 'invalid_client' };
    test.world.authorizationServer.fail((request) =>
      isRefresh(request) ? { status: 401, body } : undefined,
    );
    test.world.clock.jump(AN_HOUR_MS);
    await test.call(`${path}/token`);
    expect((await test.call(path)).json).toMatchObject({
      state: 'client_invalid',
      code: 'invalid_client',
      next_step: 'broker login demo',
    });
  });
});

describe('POST /v1/connections/{name}/check', () => {
  const check = (body?: object) =>
    test.call('/v1/connections/demo/check', { method: 'POST', ...(body === undefined ? {} : { body }) });

  it('answers what broker check shows', async () => {
    const { status, json } = await check();
    expect(status).toBe(200);
    expect(json).toEqual({
      connection: 'demo',
      state: 'ok',
      exit_code: 0,
      message: 'ok',
      expires_at: '2026-01-01T01:00:00Z',
      last_refreshed_at: '2026-01-01T00:00:00Z',
      refresh_token_age: 0,
    });
  });

  it('refreshes when asked to', async () => {
    expect((await check({ refresh: true, warn_within: 60 })).json).toMatchObject({ exit_code: 0 });
    expect(presentations()).toBe(1);
  });
});

describe('health', () => {
  const anonymous = { headers: { authorization: '' } };

  it('is told to anybody', async () => {
    expect(await test.call('/healthz', anonymous)).toMatchObject({ status: 200, text: 'ok\n' });
    expect(await test.call('/readyz', anonymous)).toMatchObject({ status: 200, text: 'ready\n' });
  });

  it('is not ready when the vault does not answer, but alive', async () => {
    await test.broker.close();
    expect(await test.call('/readyz', anonymous)).toMatchObject({ status: 503, text: 'vault_unavailable\n' });
    expect(await test.call('/healthz', anonymous)).toMatchObject({ status: 200 });
  });
});
