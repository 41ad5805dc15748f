import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { shareDaemon, startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import type { Fault } from '../support/fault.ts';
import { isRefresh } from '../support/gate.ts';
import type { CallAnswer } from '../support/http-call.ts';

const AN_HOUR_MS = 3_600_000;

let test: TestDaemon;

const token = () => test.call('/v1/connections/demo/token');
const post = (body: string | object, headers: Record<string, string> = {}) =>
  test.call('/v1/connections/demo/token', { method: 'POST', body, headers });

const answer = (fault: Fault) =>
  test.world.authorizationServer.fail((request) => (isRefresh(request) ? fault : undefined));

/** RFC 9457, and the promises every error keeps. */
function expectProblem({ status, headers, json }: CallAnswer, expected: Record<string, unknown>): void {
  expect(headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(headers['cache-control']).toBe('no-store');
  expect(json).toMatchObject({
    type: `urn:mcp-token-broker:error:${expected.code}`,
    title: expect.any(String),
    detail: expect.any(String),
    ...expected,
  });
  expect(status).toBe(expected.status);
}

const take = (daemon: TestDaemon) => {
  test = daemon;
};

/** For tests that leave their mark on it. */
function startAnew(): void {
  beforeEach(async () => take(await startTestDaemon()));
  afterEach(() => test.close());
}

describe('a connection that cannot serve', () => {
  startAnew();
  beforeEach(() => test.world.clock.jump(AN_HOUR_MS));

  it.each([
    ['client_invalid', { status: 401, body: { error: 'invalid_client' } }],
    ['config_error', { status: 400, body: { error: 'invalid_target' } }],
  ])('is answered 409 %s with the command that mends it', async (code, fault) => {
    answer(fault);
    expectProblem(await token(), { status: 409, code, connection: 'demo', next_step: 'broker login demo' });
  });

  it('is answered 409 login_required when the login has ended', async () => {
    await test.world.authorizationServer.revokeGrantsOf('alice');
    await token();
    test.world.clock.jump(60_000);
    const problem = { status: 409, code: 'login_required', next_step: 'broker login demo' };
    expectProblem(await token(), problem);
    expectProblem(await token(), problem);
  });

  it('is answered 503 with Retry-After while the provider is down', async () => {
    answer({ status: 503, headers: { 'retry-after': '90' } });
    const down = await token();
    expectProblem(down, {
      status: 503,
      code: 'upstream_unavailable',
      connection: 'demo',
      retry_after: 90,
    });
    expect(down.headers['retry-after']).toBe('90');
  });

  it('is answered 429 with Retry-After when a fresh token is rejected', async () => {
    const { generation } = (await token()).json;
    const hasty = await post({ rejected_generation: generation as number });
    expectProblem(hasty, { status: 429, code: 'rate_limited', connection: 'demo', retry_after: 30 });
    expect(hasty.headers['retry-after']).toBe('30');
  });
});

describe('a request that makes no sense', () => {
  shareDaemon(take);

  it.each<[string, string | object]>([
    ['broken JSON', '{"min_ttl": '],
    ['an unknown field', { min_tll: 60 }],
    ['a field of the wrong type', { min_ttl: 'soon' }],
    ['a number as text', { min_ttl: '60' }],
    ['nothing for a number', { min_ttl: null }],
    ['a negative number', { min_ttl: -1 }],
    ['a generation that is not a number', { rejected_generation: '1' }],
    ['a list', []],
    ['a bare word', '"token"'],
  ])('is answered 400 when it has %s', async (_, body) => {
    expectProblem(await post(body, { 'content-type': 'application/json' }), {
      status: 400,
      code: 'bad_request',
    });
  });

  it('is answered 400 when its body is not declared as JSON, and not as if there were no body', async () => {
    // What curl -d sends: rejected_generation would be lost in silence.
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    test.world.clock.jump(60_000);
    expectProblem(await post('{"rejected_generation":1}', form), { status: 400, code: 'bad_request' });
  });

  it.each(['min_ttl=soon', 'min_ttl=1.5', 'min_ttl=-1', 'min_ttl=1&min_ttl=2', 'rejected_generation=1', 'x'])(
    'is answered 400 when its query is %s',
    async (query) => {
      const answered = await test.call(`/v1/connections/demo/token?${query}`);
      expectProblem(answered, { status: 400, code: 'bad_request' });
    },
  );

  it('names the field', async () => {
    expect((await post({ min_tll: 60 })).json.detail).toContain('min_tll');
    expect((await post({ min_ttl: -1 })).json.detail).toContain('min_ttl');
  });

  it('is answered 413 when its body is too large', async () => {
    expectProblem(await post({ min_ttl: 60, padding: 'x'.repeat(20_000) }), {
      status: 413,
      code: 'bad_request',
    });
  });

  it('is answered 400 when its name cannot be decoded', async () => {
    expectProblem(await test.call('/v1/connections/%zz/token'), { status: 400, code: 'bad_request' });
  });
});

describe('a place that is not there', () => {
  shareDaemon(take);

  it.each([
    ['GET', '/'],
    ['GET', '/v1'],
    ['GET', '/v2/connections'],
    ['PUT', '/v1/connections/demo'],
    ['PUT', '/v1/connections/demo/token'],
    ['POST', '/healthz'],
    ['GET', '/.well-known/oauth-authorization-server'],
    ['GET', '/.well-known/oauth-protected-resource'],
  ])('is answered 404: %s %s', async (method, path) => {
    expectProblem(await test.call(path, { method }), { status: 404, code: 'not_found' });
  });

  it('is answered 404 for a connection that is unknown, like one that is not for this agent', async () => {
    const [unknown, hidden] = [
      await test.call('/v1/connections/nothing/token'),
      await test.call('/v1/connections/demo@alice/token'),
    ];
    expectProblem(unknown, { status: 404, code: 'not_found' });
    const wording = (each: CallAnswer) => each.text.replaceAll('demo@alice', 'X').replaceAll('nothing', 'X');
    expect(wording(hidden)).toBe(wording(unknown));
    expect(hidden.status).toBe(404);
  });
});

describe('a vault that is not as it was', () => {
  startAnew();

  it('is a bare 500 that tells nothing about us where nobody expected that', async () => {
    const file = new DatabaseSync(test.world.vaultPath);
    file.exec(`UPDATE agents SET policy = '{"damaged'`);
    file.close();
    const failed = await token();
    expectProblem(failed, { status: 500, code: 'internal' });
    expect(failed.text).not.toMatch(/JSON|damaged|at \w+ \(|\.ts/);
  });

  it('is answered 503 when it was tampered with, not with somebody else’s token', async () => {
    const file = new DatabaseSync(test.world.vaultPath);
    file.exec(`UPDATE connections SET secrets = (SELECT secrets FROM connections WHERE name = 'demo@alice')`);
    file.close();
    const failed = await token();
    expectProblem(failed, { status: 503, code: 'vault_unavailable' });
  });
});
