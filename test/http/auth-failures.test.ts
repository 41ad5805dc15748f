import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import { type CallAnswer, call } from '../support/http-call.ts';
import { basic, FORM, GRANT } from '../support/token-endpoint.ts';
import { rowsOf } from '../support/vault-file.ts';

let test: TestDaemon;

beforeEach(async () => {
  test = await startTestDaemon();
});

afterEach(() => test.close());

const wrong = (index: number) => ({ authorization: `Bearer mtb_wrong-${index}` });
const viaApi = (index: number) => test.call('/v1/connections', { headers: wrong(index) });
const viaGateway = (index: number) =>
  test.call('/mcp/demo', { method: 'POST', body: {}, headers: wrong(index) });
const viaOAuth = (index: number) =>
  call(`${test.url}/oauth/token`, {
    ...{ method: 'POST', body: GRANT },
    headers: { ...FORM, ...basic('docs-bot', `mtb_wrong-${index}`) },
  });
const statuses = (answers: CallAnswer[]) => answers.map(({ status }) => status);

/** Rows of the audit trail that tell of strangers. */
const strangers = () =>
  rowsOf<{ actor: string; outcome: string; detail: string }>(
    test.world.vaultPath,
    "SELECT actor, outcome, detail FROM audit WHERE actor LIKE 'address:%' ORDER BY rowid",
  ).map(({ detail, ...row }) => ({ ...row, ...JSON.parse(detail) }));

async function refuse(count: number): Promise<CallAnswer[]> {
  const answers: CallAnswer[] = [];
  for (let index = 0; index < count; index += 1) answers.push(await viaApi(index));
  return answers;
}

describe('an address that sends wrong keys', () => {
  it('is told so ten times in a minute, at whatever door, and then to wait', async () => {
    const doors = [viaApi, viaGateway, viaOAuth];
    const answers: CallAnswer[] = [];
    for (let index = 0; index < 10; index += 1) answers.push(await (doors[index % 3] ?? viaApi)(index));
    expect(statuses(answers)).toEqual(Array(10).fill(401));
    const [api, gateway, oauth] = await Promise.all(doors.map((door) => door(99)));
    for (const answer of [api, gateway]) {
      expect(answer?.status).toBe(429);
      expect(answer?.headers['retry-after']).toBe('6');
      expect(answer?.json).toMatchObject({ code: 'rate_limited', retry_after: 6 });
      expect(answer?.json.detail).toBe('more than 10/m keys from this address were refused');
      expect(answer?.headers).not.toHaveProperty('www-authenticate');
    }
    expect([oauth?.status, oauth?.json.error, oauth?.headers['retry-after']]).toEqual([
      ...[429, 'temporarily_unavailable', '6'],
    ]);
    test.world.clock.jump(6_000);
    expect(statuses(await refuse(2))).toEqual([401, 429]);
  });

  it('does not keep a valid key from its answer', async () => {
    await refuse(15);
    const key = await test.addAgent({ name: 'stock-bot' });
    expect((await test.call('/v1/connections/demo/token')).status).toBe(200);
    const token = await call(`${test.url}/oauth/token`, {
      ...{ method: 'POST', body: GRANT, headers: { ...FORM, ...basic('stock-bot', key) } },
    });
    expect(token.status).toBe(200);
  });

  it('is counted for keys that are malformed, revoked, expired, or of an agent of another name', async () => {
    const revoked = await test.addAgent({ name: 'former-bot' });
    const expired = await test.addAgent({ name: 'old-bot', expiresAt: test.world.clock.now() + 1 });
    const other = await test.addAgent({ name: 'other-bot' });
    await test.broker.agents.revoke('former-bot');
    test.world.clock.jump(1);
    const oauth = (headers: Record<string, string>) =>
      call(`${test.url}/oauth/token`, { method: 'POST', body: GRANT, headers: { ...FORM, ...headers } });
    const bearer = (authorization: string) => test.call('/v1/connections', { headers: { authorization } });
    const asks = [
      () => bearer('Bearer a b'),
      () => bearer('Basic eDp5'),
      () => bearer(`Bearer ${revoked}`),
      () => bearer(`Bearer ${expired}`),
      () => oauth(basic('another-bot', other)),
      () => oauth({ authorization: 'Basic !' }),
    ];
    const answers: CallAnswer[] = [];
    for (let round = 0; round < 2; round += 1) for (const ask of asks) answers.push(await ask());
    expect(statuses(answers)).toEqual([...Array(10).fill(401), 429, 429]);
  });

  it('is not counted for requests without a key, which are told each time that one is wanted', async () => {
    const bare = await Promise.all(Array.from({ length: 20 }, () => call(`${test.url}/v1/connections`)));
    const form = await Promise.all(
      Array.from({ length: 20 }, () =>
        call(`${test.url}/oauth/token`, { method: 'POST', body: GRANT, headers: FORM }),
      ),
    );
    expect(new Set(statuses([...bare, ...form]))).toEqual(new Set([401]));
    expect(statuses(await refuse(10))).toEqual(Array(10).fill(401));
  });

  it('cannot hide behind headers of a proxy', async () => {
    const ask = (index: number) =>
      test.call('/v1/connections', {
        headers: {
          ...wrong(index),
          'x-forwarded-for': `192.0.2.${index}`,
          forwarded: `for=192.0.2.${index}`,
        },
      });
    const answers: CallAnswer[] = [];
    for (let index = 0; index < 11; index += 1) answers.push(await ask(index));
    expect(statuses(answers).at(-1)).toBe(429);
  });
});

describe('the audit trail', () => {
  it('has one row for an address at once, and one for the rest at the end of the minute', async () => {
    await refuse(25);
    expect(strangers()).toEqual([{ actor: 'address:127.0.0.1', outcome: 'unauthenticated', count: 1 }]);
    await test.world.clock.advance(60_000);
    await test.broker.readiness();
    expect(strangers().map(({ count }) => count)).toEqual([1, 24]);
  });

  it('has the rest at a stop', async () => {
    await refuse(4);
    await test.daemon.close();
    expect(strangers().map(({ count }) => count)).toEqual([1, 3]);
  });

  it('tells of requests without a key, and of an agent where from its revoked key came', async () => {
    await call(`${test.url}/v1/connections`);
    const revoked = await test.addAgent({ name: 'former-bot' });
    await test.broker.agents.revoke('former-bot');
    await test.call('/v1/connections', { headers: { authorization: `Bearer ${revoked}` } });
    expect(strangers()).toHaveLength(1);
    const [row] = rowsOf<{ detail: string }>(
      test.world.vaultPath,
      "SELECT detail FROM audit WHERE outcome = 'revoked'",
    );
    expect(JSON.parse(row?.detail ?? '')).toEqual({ address: '127.0.0.1' });
  });
});

describe('how many', () => {
  it('can be said, for each address by itself: a Unix socket is one', async () => {
    const path = join(tmpdir(), `auth-failures-${process.pid}.sock`);
    const addresses = [
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
      { kind: 'unix', path },
    ] as const;
    const other = await startTestDaemon(
      { addresses: [...addresses] },
      {},
      { authFailures: { requests: 1, per: 'h' } },
    );
    try {
      const tcp = () => other.call('/v1/connections', { headers: wrong(1) });
      const unix = () => call(`unix:${path} /v1/connections`, { headers: wrong(1) });
      const answers = [await tcp(), await tcp(), await unix(), await unix()];
      expect(statuses(answers)).toEqual([401, 429, 401, 429]);
      const actors = rowsOf<{ actor: string }>(
        other.world.vaultPath,
        "SELECT actor FROM audit WHERE actor LIKE 'address:%' ORDER BY rowid",
      );
      expect(actors.map(({ actor }) => actor)).toEqual(['address:127.0.0.1', 'address:unix']);
    } finally {
      await other.close();
      rmSync(path, { force: true });
    }
  });

  it('can be unlimited', async () => {
    const other = await startTestDaemon({}, {}, { authFailures: null });
    try {
      const answers = await Promise.all(
        Array.from({ length: 30 }, () => other.call('/v1/connections', { headers: wrong(1) })),
      );
      expect(new Set(statuses(answers))).toEqual(new Set([401]));
    } finally {
      await other.close();
    }
  });
});
