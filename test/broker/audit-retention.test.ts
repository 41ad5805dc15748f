import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startRetention } from '../../src/broker/audit-retention.ts';
import { OPERATOR } from '../../src/broker/context.ts';
import type { GatewayCall } from '../../src/broker/gateway-calls.ts';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import { createLog } from '../../src/log.ts';
import { query } from '../../src/vault/database.ts';
import { changeVault } from '../support/leases.ts';
import { signIn } from '../support/sign-in.ts';
import { openTestVault, type TestVault } from '../support/vault.ts';
import { journal, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const DAY = 86_400_000;

let world: World;
let broker: Broker;

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
});

afterEach(() => world.close());

/** Writes one row a day, so many days. */
async function live(days: number, of = broker): Promise<void> {
  for (let day = 0; day < days; day += 1) {
    await of.agents.add({
      name: `bot-${world.clock.now()}`,
      allow: ['demo'],
      modes: ['token'],
      admin: false,
      expiresAt: null,
      allowUnknown: true,
    });
    world.clock.jump(DAY);
  }
}

const sequences = () =>
  rowsOf<{ sequence: number }>(world.vaultPath, 'SELECT sequence FROM audit ORDER BY sequence').map(
    ({ sequence }) => sequence,
  );
const change = (sql: string, ...parameters: (string | number)[]) =>
  changeVault(world.vaultPath, sql, ...parameters);

describe('removing old rows of the audit trail', () => {
  it('removes what is older, writes down that it did, and leaves a trail that verify knows', async () => {
    await live(10);
    const note = (await broker.audit.verify()).note as string;
    expect(await broker.audit.prune(4 * DAY)).toEqual({
      rows: 6,
      before: '2026-01-07T00:00:00Z',
      journal_rows: 0,
    });
    expect(sequences()).toEqual([7, 8, 9, 10, 11]);
    expect(await broker.audit.verify()).toMatchObject({
      intact: true,
      rows: 5,
      removed: { rows: 6, until: '2026-01-06T00:00:00.000Z', last_removed_at: '2026-01-11T00:00:00.000Z' },
    });
    const { entries } = await broker.audit.entries({ action: 'audit.prune' });
    expect((await entries.next()).value).toMatchObject({
      actor: 'operator',
      outcome: 'ok',
      detail: { rows: 6, through: 6, before: '2026-01-07T00:00:00Z' },
    });
    const [sequence, digest] = note.split(':') as [string, string];
    const noted = { sequence: Number(sequence), digest };
    expect(await broker.audit.verify({ noted, atLeast: 11 })).toMatchObject({ intact: true });
    await broker.audit.prune(DAY / 2);
    expect(await broker.audit.verify({ noted })).toMatchObject({ intact: true, noted_row_removed: true });
  });

  it('never removes the last row', async () => {
    await live(3);
    expect(await broker.audit.prune(1)).toMatchObject({ rows: 2 });
    expect(sequences()).toEqual([3, 4]);
  });

  it('goes on beside the rows of others, which stay one chain', async () => {
    await live(3);
    const other = await world.openBroker();
    await live(3, other);
    await broker.audit.prune(2 * DAY);
    await live(2, other);
    await broker.audit.prune(2 * DAY);
    expect(await other.audit.verify()).toMatchObject({ intact: true, removed: { rows: 6 } });
  });

  it('removes in batches, each whole in itself', async () => {
    await live(1);
    const now = world.clock.now();
    // As many as an hour of busy agents makes, written as hand-outs are.
    for (let count = 0; count < 2500; count += 1) broker.gateway.note(OPERATOR, aCall);
    await world.clock.advance(200);
    await live(1);
    await broker.close();
    broker = await world.openBroker();
    world.clock.jump(10 * DAY);
    expect(await broker.audit.prune(world.clock.now() - now - 1000)).toMatchObject({ rows: 2502 });
    const told = rowsOf<{ detail: string }>(
      world.vaultPath,
      "SELECT detail FROM audit WHERE action = 'audit.prune'",
    );
    expect(told.map(({ detail }) => JSON.parse(detail).rows)).toEqual([1000, 1000, 502]);
    expect(await broker.audit.verify()).toMatchObject({ intact: true });
  });

  it('takes a row dated in the future with the one after it', async () => {
    await live(2);
    world.clock.jump(1000 * DAY);
    await live(1);
    world.clock.jump(-1001 * DAY);
    await live(3);
    expect(await broker.audit.prune(2 * DAY)).toMatchObject({ rows: 4 });
    expect(await broker.audit.verify()).toMatchObject({ intact: true });
  });
});

const aCall: GatewayCall = {
  ...{ connection: 'demo', connectionId: undefined, account: null, method: 'tools/call', name: 'whoami' },
  ...{ argumentsHash: undefined, arguments: undefined, rule: 'none', outcome: 'ok', status: 200 },
  ...{ bytes: 1, durationMs: 1, token: null },
};

describe('retention is nobody’s tool: nothing is removed', () => {
  it.each([
    ['when a row was made to look old', 'UPDATE audit SET at = 0 WHERE sequence = 8', /from row 8 on/],
    ['when a row was edited', "UPDATE audit SET actor = 'x' WHERE sequence = 3", /from row 3 on/],
    ['when the beginning is missing', 'DELETE FROM audit WHERE sequence <= 8', /from row 1 on/],
    ['when the head was forged', 'UPDATE audit_head SET removed_at = 1', /at its sealed ends/],
    ['when the head is missing', 'DELETE FROM audit_head', /at its sealed ends/],
  ])('%s', async (_, sql, where) => {
    await live(10);
    change(sql);
    const before = sequences();
    await expect(broker.audit.prune(before.includes(3) ? 3 * DAY : DAY)).rejects.toMatchObject({
      code: 'vault_unavailable',
      message: expect.stringMatching(where),
    });
    expect(sequences()).toEqual(before);
  });
});

describe('a daemon', () => {
  async function startResident(auditKeepMs: number | undefined): Promise<Broker> {
    const { settings, clock } = world;
    const log = createLog('silent');
    return openBroker({ settings, clock, log, create: false, isResident: true, auditKeepMs });
  }

  it('removes what is older than it is told, and nothing when it is told to keep all', async () => {
    await live(10);
    const faithful = await startResident(undefined);
    await world.clock.advance(61_000);
    await faithful.close();
    expect(sequences()).toHaveLength(10);
    const forgetful = await startResident(4 * DAY);
    await world.clock.advance(61_000);
    await expect.poll(sequences).toEqual([8, 9, 10, 11]);
    await forgetful.close();
    expect(await broker.audit.verify()).toMatchObject({ intact: true });
  });
});

describe('retention of itself', () => {
  let vault: TestVault;

  beforeEach(async () => {
    vault = await openTestVault();
  });

  afterEach(() => vault.close());

  const append = () =>
    vault.vault.transaction(() =>
      vault.vault.audit.append({ actor: 'operator', action: 'x', outcome: 'ok' }),
    );
  const first = async () =>
    (
      await vault.vault.run(() => query<{ sequence: number }>('SELECT sequence FROM audit ORDER BY sequence'))
    )[0]?.sequence;
  const start = (keepMs: number) => startRetention({ ...vault, log: createLog('silent') }, keepMs);

  it('looks once a day, however often a daemon is started', async () => {
    for (let day = 0; day < 10; day += 1) {
      await append();
      vault.clock.jump(DAY);
    }
    const retention = start(2 * DAY);
    await vault.clock.advance(60_000);
    await expect.poll(first).toBe(10);
    await append();
    await vault.clock.advance(0.9 * DAY);
    await retention.stop();
    vault.clock.jump(0.05 * DAY);
    await append();
    const again = start(DAY / 4);
    await vault.clock.advance(60_000);
    expect(await first()).toBe(10);
    vault.clock.jump(DAY);
    await vault.clock.advance(3_600_000);
    await expect.poll(first).toBe(13);
    await again.stop();
  });
});

describe('the journal of refresh tokens', () => {
  it('loses rows as old, but not those of the newest generations', async () => {
    await signIn(broker, world.authorizationServer, world.mcp.url, { name: 'demo' });
    for (let count = 0; count < 15; count += 1) {
      await broker.refresh(OPERATOR, 'demo');
      world.clock.jump(DAY);
    }
    expect(journal(world.vaultPath)).toHaveLength(15);
    expect(await broker.audit.prune(13 * DAY)).toMatchObject({ journal_rows: 2 });
    expect(await broker.audit.prune(1)).toMatchObject({ journal_rows: 4 });
    expect(journal(world.vaultPath).map(({ generation }) => generation)[0]).toBe(7);
  });
});
