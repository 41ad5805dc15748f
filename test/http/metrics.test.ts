import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { shareDaemon, startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import { changeVault } from '../support/leases.ts';
import { initializeWith } from '../support/mcp-initialize.ts';
import { metricsIn, samplesOf } from '../support/metrics-text.ts';
import { breakSaves, lockVault } from '../support/vault-hold.ts';

const AN_HOUR_MS = 3_600_000;
const P = 'mcp_token_broker_';

/** What the daemon tells somebody with the admin right. */
async function scrape(test: TestDaemon, key: string): Promise<Map<string, number>> {
  const { status, text } = await test.call('/metrics', { headers: { authorization: `Bearer ${key}` } });
  expect(status).toBe(200);
  return samplesOf(text);
}

describe('GET /metrics', () => {
  let test: TestDaemon;
  let admin: string;

  beforeEach(async () => {
    test = await startTestDaemon();
    admin = await test.addAgent({ name: 'prometheus', admin: true });
  });
  afterEach(() => test.close());

  it('is for agents with the admin right alone', async () => {
    expect((await test.call('/metrics', { headers: { authorization: 'Bearer mtb_no' } })).status).toBe(401);
    const { status, json } = await test.call('/metrics');
    expect([status, json.code]).toEqual([403, 'forbidden']);
    const asAdmin = { headers: { authorization: `Bearer ${admin}` } };
    const { headers } = await test.call('/metrics', asAdmin);
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(headers['cache-control']).toBe('no-store');
  });

  it('counts what was given out, by door', async () => {
    await test.call('/v1/connections/demo/token');
    await test.call('/v1/connections/demo/token');
    await test.call('/v1/connections/demo/headers');
    const samples = await scrape(test, admin);
    expect(samples.get(`${P}tokens_issued_total{connection="demo",door="token"}`)).toBe(2);
    expect(samples.get(`${P}tokens_issued_total{connection="demo",door="headers"}`)).toBe(1);
  });

  it('counts refreshes by what came of them, and how long a lease was waited for', async () => {
    test.world.clock.jump(AN_HOUR_MS);
    await test.call('/v1/connections/demo/token');
    test.world.clock.jump(AN_HOUR_MS);
    const body = { error: 'what-nobody-else-says' };
    test.world.authorizationServer.fail(() => ({ status: 400, body }));
    await test.call('/v1/connections/demo/token');
    const samples = await scrape(test, admin);
    expect(samples.get(`${P}refreshes_total{connection="demo",outcome="success",code=""}`)).toBe(1);
    expect(samples.get(`${P}refreshes_total{connection="demo",outcome="unknown",code="other"}`)).toBe(1);
    expect(samples.get(`${P}refresh_duration_seconds_count{outcome="success"}`)).toBe(1);
    // Two logins and two refreshes.
    expect(samples.get(`${P}lease_wait_seconds_count`)).toBe(4);
  });

  it('counts calls through the gateway by verdict, without the names of what is not there', async () => {
    const authorization = `Bearer ${await test.addAgent({ name: 'gateway-bot' })}`;
    expect(await initializeWith(`${test.url}/mcp/demo`, { authorization })).toBe(200);
    expect(await initializeWith(`${test.url}/mcp/no-such-connection`, { authorization })).toBe(404);
    await test.call('/mcp/demo', { method: 'PUT' });
    const samples = await scrape(test, admin);
    expect(samples.get(`${P}gateway_calls_total{connection="demo",verdict="allowed"}`)).toBe(1);
    expect(samples.get(`${P}gateway_calls_total{connection="",verdict="denied"}`)).toBe(2);
    expect(samples.get(`${P}gateway_call_duration_seconds_count{verdict="allowed"}`)).toBe(1);
    expect(samples.get(`${P}tokens_issued_total{connection="demo",door="gateway"}`)).toBe(1);
    expect([...samples.keys()].join()).not.toContain('no-such-connection');
  });

  it('counts refused callers by reason, and requests by route and class of status', async () => {
    const wrong = { headers: { authorization: 'Bearer mtb_no' } };
    for (let index = 0; index < 12; index += 1) await test.call('/v1/connections/demo/token', wrong);
    await test.call('/user/made/this/up');
    const samples = await scrape(test, admin);
    expect(samples.get(`${P}authentication_failures_total{reason="unknown"}`)).toBe(10);
    expect(samples.get(`${P}authentication_failures_total{reason="throttled"}`)).toBe(2);
    expect(samples.get(`${P}authentication_failures_total{reason="revoked"}`)).toBe(0);
    const route = '/v1/connections/{name}/token';
    expect(samples.get(`${P}http_requests_total{route="${route}",status="4xx"}`)).toBe(12);
    expect(samples.get(`${P}http_requests_total{route="other",status="4xx"}`)).toBe(1);
  });

  it('tells how each connection stands', async () => {
    test.world.clock.jump(600_000);
    const samples = await scrape(test, admin);
    expect(samples.get(`${P}access_token_expires_in_seconds{connection="demo"}`)).toBe(3000);
    expect(samples.get(`${P}refresh_token_age_seconds{connection="demo"}`)).toBe(600);
    expect(samples.get(`${P}connection_renewable{connection="demo"}`)).toBe(1);
    expect(samples.get(`${P}login_required{connection="demo"}`)).toBe(0);
    await test.world.authorizationServer.revokeGrantsOf('alice');
    for (const ms of [AN_HOUR_MS, 60_000]) {
      test.world.clock.jump(ms);
      await test.call('/v1/connections/demo/token');
    }
    const after = await scrape(test, admin);
    expect(after.get(`${P}login_required{connection="demo"}`)).toBe(1);
    expect(after.get(`${P}connection_state{connection="demo",state="login_required"}`)).toBe(1);
    expect(after.get(`${P}connection_state{connection="demo",state="ok"}`)).toBe(0);
  });

  it('forgets a connection that is no more', async () => {
    await scrape(test, admin);
    const remover = await test.addAgent({ name: 'remover', admin: true });
    const headers = { authorization: `Bearer ${remover}` };
    expect((await test.call('/v1/connections/demo', { method: 'DELETE', headers })).status).toBe(200);
    const samples = await scrape(test, admin);
    expect(samples.has(`${P}login_required{connection="demo"}`)).toBe(false);
    expect(samples.has(`${P}login_required{connection="demo@alice"}`)).toBe(true);
  });

  it('is told while the vault is locked', async () => {
    const lock = lockVault(test.world.vaultPath);
    const samples = await scrape(test, admin);
    lock.release();
    expect(samples.get(`${P}vault_up`)).toBe(1);
    expect(samples.get(`${P}login_required{connection="demo"}`)).toBe(0);
  });

  it('tells what it can when the vault cannot be read, and counts that', async () => {
    await test.call('/v1/connections/demo/token');
    await scrape(test, admin);
    const change = (sql: string) => changeVault(test.world.vaultPath, sql);
    change('ALTER TABLE connections RENAME TO gone');
    const samples = await scrape(test, admin);
    change('ALTER TABLE gone RENAME TO connections');
    expect(samples.get(`${P}vault_up`)).toBe(0);
    expect(samples.get(`${P}scrape_errors_total{part="vault"}`)).toBe(1);
    expect(samples.has(`${P}login_required{connection="demo"}`)).toBe(false);
    expect(samples.get(`${P}tokens_issued_total{connection="demo",door="token"}`)).toBe(1);
  });
});

describe('a new token that cannot be saved', () => {
  let test: TestDaemon;
  shareDaemon(
    (daemon) => {
      test = daemon;
    },
    ...[{}, {}, { isResident: true }],
  );

  /** Moves time on until the metric is this. */
  async function untilUnsaved(wanted: number, key: string): Promise<void> {
    while ((await scrape(test, key)).get(`${P}unsaved_pairs`) !== wanted)
      await test.world.clock.advance(5_000);
  }

  it('is told, and that it was', async () => {
    const key = await test.addAgent({ name: 'prometheus', admin: true });
    const saves = breakSaves(test.world.vaultPath);
    const asked = test.broker.refresh(OPERATOR, 'demo').catch(({ code }: { code: string }) => code);
    await untilUnsaved(1, key);
    expect(await asked).toBe('save_failed');
    const samples = await scrape(test, key);
    expect(samples.get(`${P}ready`)).toBe(0);
    expect(samples.get(`${P}scheduler_last_turn_timestamp_seconds`)).toBeGreaterThan(1_700_000_000);
    saves.mend();
    await untilUnsaved(0, key);
    expect((await scrape(test, key)).get(`${P}ready`)).toBe(1);
  });
});

describe('two daemons in one process', () => {
  let one: TestDaemon;
  let other: TestDaemon;
  shareDaemon((daemon) => {
    one = daemon;
  });
  shareDaemon((daemon) => {
    other = daemon;
  });

  it('count for themselves', async () => {
    await one.call('/v1/connections/demo/token');
    const keys = await Promise.all(
      [one, other].map((each) => each.addAgent({ name: 'prometheus', admin: true })),
    );
    const name = `${P}tokens_issued_total{connection="demo",door="token"}`;
    expect((await scrape(one, keys[0] ?? '')).get(name)).toBe(1);
    expect((await scrape(other, keys[1] ?? '')).get(name)).toBeUndefined();
  });

  it('have the metrics of docs/operating.md, with type and labels, and no others', async () => {
    // Something of everything, so that all labels show.
    one.world.clock.jump(AN_HOUR_MS);
    const key = await one.addAgent({ name: 'prometheus-2', admin: true });
    await initializeWith(`${one.url}/mcp/demo`, { authorization: `Bearer ${key}` });
    changeVault(one.world.vaultPath, 'UPDATE clients SET client_secret_expires_at = 1');
    const { text } = await one.call('/metrics', { headers: { authorization: `Bearer ${key}` } });
    const told = [...metricsIn(text)].map(([name, { type, labels }]) => [
      name,
      type,
      [...labels].sort().join(),
    ]);
    const docs = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
    const described = [...docs.matchAll(/^\| `(mcp_token_broker_\w+)` \| (\w+) \| (.*?) ?\| .+ \|$/gm)].map(
      ([, name, type, labels = '']) => [
        name,
        type,
        [...labels.matchAll(/`(\w+)`/g)]
          .map(([, label]) => label)
          .sort()
          .join(),
      ],
    );
    expect(described.length).toBeGreaterThan(15);
    expect(told.sort()).toEqual(described.sort());
  });
});
