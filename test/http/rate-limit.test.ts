import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import type { CallOptions } from '../support/http-call.ts';
import { auditTrail } from '../support/vault-file.ts';

let test: TestDaemon;
let key: string;

const ask = (path = '/v1/connections/demo/token', options: CallOptions = {}) =>
  test.call(path, { ...options, headers: { authorization: `Bearer ${key}`, ...options.headers } });

beforeEach(async () => {
  test = await startTestDaemon();
  key = await test.addAgent({ name: 'busy-bot', rate: { requests: 2, per: 'm' } });
});

afterEach(() => test.close());

describe('an agent over its rate', () => {
  it('gets 429 and is told when to come again, in the body and in Retry-After', async () => {
    expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]);
    const { status, json, headers } = await ask();
    expect(status).toBe(429);
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(headers['retry-after']).toBe('30');
    expect(json).toMatchObject({
      code: 'rate_limited',
      retry_after: 30,
      detail: 'the agent busy-bot asks more often than 2/m',
      next_step: expect.stringContaining('broker agent set busy-bot --rate'),
    });
    test.world.clock.jump(30_000);
    expect((await ask()).status).toBe(200);
  });

  it('has one limit for all routes, and hears of nothing else first', async () => {
    await ask('/v1/connections');
    await ask('/v1/connections/demo');
    const answers = await Promise.all([
      ask('/v1/connections'),
      ask('/v1/connections/nothing'),
      ask('/v1/connections/demo/token?min_ttl=soon'),
      ask('/v1/connections/demo/token', { method: 'POST', body: '{', headers: { 'content-type': 'x/y' } }),
      ask('/v1/connections/demo/headers'),
      ask('/v1/connections/demo/check', { method: 'POST' }),
      ask('/v1/connections/demo/no-such-route'),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 429));
    expect(auditTrail(test.world.vaultPath).map(({ outcome }) => outcome)).not.toContain('not_found');
  });

  it('does not keep others from asking, nor anybody from /healthz', async () => {
    await Promise.all(Array.from({ length: 5 }, () => ask()));
    expect((await test.call('/v1/connections/demo/token')).status).toBe(200);
    expect((await ask('/healthz')).status).toBe(200);
  });

  it('gets nothing by a wrong key, and a wrong key costs it nothing', async () => {
    const wrong = await Promise.all(
      Array.from({ length: 5 }, () => ask(undefined, { headers: { authorization: `Bearer ${key}x` } })),
    );
    expect(new Set(wrong.map(({ status }) => status))).toEqual(new Set([401]));
    expect((await ask()).status).toBe(200);
  });
});
