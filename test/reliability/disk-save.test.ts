import { describe, expect, it, vi } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { type DiskWorld, startDiskWorld, type WaitingDaemon } from '../support/disk-world.ts';
import { REFUSING, refuseWrites } from '../support/failing-disk.ts';
import type { CallAnswer } from '../support/http-call.ts';
import { auditTrail, connectionRow, journal } from '../support/vault-file.ts';

/** More than a rescue file and less than what SQLite has in its log by then. */
const VAULT_ONLY = 4_096;
/** Less than a rescue file: it fails when half of it is written. */
const EVERYTHING = 512;

/** A failing save is tried again for 10 s before anybody hears of it, and then every 5 s. That is real time here. */
const SLOW = { timeout: 60_000 };

interface StrandedDaemon extends WaitingDaemon {
  /** Lets it write again. */
  mend(): void;
}

/** A daemon with a new pair that it could not save. */
async function strand(world: DiskWorld, bytes = VAULT_ONLY): Promise<StrandedDaemon> {
  const daemon = await world.startWaitingDaemon();
  const mend = refuseWrites(daemon.pid, bytes);
  daemon.answer();
  await daemon.process.waitFor(/a new token could not be saved yet/, 'stderr');
  return { ...daemon, mend };
}

const readiness = async (daemon: WaitingDaemon) => (await daemon.ask('/readyz')).text.trim();

/** What the agent is told after 10 s: which connection, what to do, when to come again. */
function expectToldToWait(
  world: DiskWorld,
  { status, headers, json, text }: CallAnswer,
  where: RegExp,
): void {
  expect({ status, ...json }, text).toMatchObject({
    ...{ status: 503, code: 'save_failed', connection: 'demo', retry_after: 5 },
    detail: 'the new token of demo could not be saved',
  });
  expect(headers['retry-after']).toBe('5');
  expect(json.next_step).toMatch(/check free space .*\n/);
  expect(json.next_step).toMatch(where);
  world.expectNoSecret(text);
}

/** It serves the new pair, is ready again, and nothing is left to do. */
async function expectWell(world: DiskWorld, daemon: WaitingDaemon): Promise<void> {
  await vi.waitFor(async () => expect(await readiness(daemon)).toBe('ready'), {
    timeout: 15_000,
    interval: 100,
  });
  const answer = await daemon.ask();
  expect(answer).toMatchObject({ status: 200, json: { generation: 2 } });
  expect(answer.json.access_token).toBe((await world.stored()).accessToken);
  expect(journal(world.vaultPath)).toMatchObject([{ attempt: 1, finished_at: expect.any(Number) }]);
  await world.expectNothingLost(2);
  expect(world.authorizationServer.refreshes()).toBe(1);
}

describe.skipIf(REFUSING.isMissing)(`a daemon that cannot save a new pair${REFUSING.note}`, SLOW, () => {
  it.concurrent('tells its agents after 10 s, puts the pair aside, and saves it as soon as it can', async (context) => {
    const world = await startDiskWorld(context);
    const daemon = await strand(world);
    expectToldToWait(world, await daemon.asked, /it is put aside in .*mtb-rescue-.*\(sealed\)/);
    expectToldToWait(world, await daemon.ask(), /it is put aside in .*mtb-rescue-.*\(sealed\)/);
    expect(await readiness(daemon)).toBe('save_failed');
    world.expectPutAside();
    expect(connectionRow(world.vaultPath).generation).toBe(1);

    daemon.mend();
    await expectWell(world, daemon);
    expect(auditTrail(world.vaultPath)).toContainEqual(
      expect.objectContaining({ actor: 'agent:bot', action: 'refresh', outcome: 'ok' }),
    );
    expect(await daemon.process.stop()).toBe(0);
  });

  it.concurrent('says so when no directory takes it either, keeps it in memory, and saves it as soon as it can', async (context) => {
    const world = await startDiskWorld(context);
    const daemon = await strand(world, EVERYTHING);
    expectToldToWait(world, await daemon.asked, /it could be put aside nowhere either/);
    expect(daemon.process.stderr()).toContain('a new token could be saved nowhere; it is in memory only');
    expect(await readiness(daemon)).toBe('save_failed');
    // What is half written would look like a pair that is damaged.
    expect(world.rescueFiles()).toEqual([]);

    daemon.mend();
    await expectWell(world, daemon);
  });

  it.concurrent('puts it aside at once when it is told to stop, and the next start takes it in', async (context) => {
    const world = await startDiskWorld(context);
    const stopped = await strand(world);
    const toldAt = performance.now();
    expect(await stopped.process.stop()).toBe(0);
    // Service managers kill after 10 s, and sooner.
    expect(performance.now() - toldAt).toBeLessThan(5_000);
    expectToldToWait(world, await stopped.asked, /it is put aside in/);
    world.expectPutAside();

    // The lease of the one that could not give it back still runs: the start does not wait for it.
    expect(world.heldLeases()).toHaveLength(1);
    await expectWell(world, { ...stopped, ...(await world.startDaemon()) });
    world.endLeases();
    expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
    await world.expectNothingLost(3);
  });

  it.concurrent('may be killed after it was put aside: the next start takes it in', async (context) => {
    const world = await startDiskWorld(context);
    const killed = await strand(world);
    await killed.asked;
    expect(await killed.process.stop('SIGKILL')).toBeNull();
    world.expectPutAside();

    await expectWell(world, { ...killed, ...(await world.startDaemon()) });
    world.endLeases();
    expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
    await world.expectNothingLost(3);
  });

  it.concurrent('has nothing left to save when a command took it in meanwhile', async (context) => {
    const world = await startDiskWorld(context);
    const daemon = await strand(world);
    await daemon.asked;
    expect(await world.here((broker) => broker.list(OPERATOR))).toBe(0);
    expect(world.rescueFiles()).toEqual([]);
    const { accessToken } = await world.stored();
    expect(await world.stored()).toMatchObject({ generation: 2 });

    daemon.mend();
    await expectWell(world, daemon);
    expect((await world.stored()).accessToken).toBe(accessToken);
  });

  it.concurrent('leaves it to another daemon, which takes it in before it presents anything', async (context) => {
    const world = await startDiskWorld(context);
    const other = await world.startDaemon();
    const stopped = await strand(world);
    expect(await stopped.process.stop()).toBe(0);
    world.expectPutAside();

    // It has long been open, and now it is its turn: what it has in the vault is used up.
    world.endLeases();
    await expectWell(world, { ...stopped, ...other });
  });
});
