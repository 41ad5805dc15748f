/**
 * Processes that have to wait for something: a lease, a lock, a disk. They must still be there when it comes, and say
 * how it ended. Another whole command that runs meanwhile stands for the time that passes.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LEASE_MS } from '../../src/broker/lease.ts';
import { createRescue } from '../../src/broker/rescue.ts';
import { systemClock } from '../../src/clock.ts';
import { readSettings } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { findConnection, openTokenSet } from '../../src/vault/connections.ts';
import { openVault } from '../../src/vault/index.ts';
import { createGate, type Gate, isRefresh } from '../support/gate.ts';
import { type ProcessWorld, startProcessWorld } from '../support/process-world.ts';
import { refreshLedger } from '../support/refresh-ledger.ts';
import { storedLogin } from '../support/stored-login.ts';
import { breakSaves, leaseToTheDead, lockVault } from '../support/vault-hold.ts';

let world: ProcessWorld;

/** Longer than any pause between two tries. Reads only, so that no lock is in its way. */
async function letTimePass(): Promise<void> {
  const { code, stderr } = await world.run(['show', 'demo', '--json']);
  expect(code, stderr).toBe(0);
}

/** The vault holds the newest refresh token the server has issued, and no other one was lost on the way. */
async function expectNothingLost(generation: number): Promise<void> {
  const ledger = refreshLedger(world.authorizationServer.requests);
  expect(await storedLogin(world.home)).toMatchObject({
    generation,
    refreshToken: ledger.at(-1)?.fingerprint,
  });
  expect(ledger.at(-1)).toMatchObject({ isAccepted: true, presentations: 0 });
}

beforeEach(async () => {
  world = await startProcessWorld();
});

afterEach(() => world.close());

describe('a command', () => {
  it('waits for the lease of another process, then does its work and says so', async () => {
    leaseToTheDead(world.vaultPath, Date.now() + LEASE_MS);
    const refresh = world.start(['refresh', 'demo', '--json']);
    await letTimePass();
    await letTimePass();
    world.endLeases();
    expect(await refresh.exited).toBe(0);
    expect(JSON.parse(refresh.stdout() || '{}')).toMatchObject({ generation: 2 });
    await expectNothingLost(2);
  });

  it('that waits for the lease of another process is ended by Ctrl-C', async () => {
    leaseToTheDead(world.vaultPath, Date.now() + LEASE_MS);
    const refresh = world.start(['refresh', 'demo']);
    await letTimePass();
    await letTimePass();
    expect([75, 130]).toContain(await refresh.stop('SIGINT'));
  });

  it('waits for a vault that another process keeps locked, then does its work and says so', async () => {
    const lock = lockVault(world.vaultPath);
    const refresh = world.start(['refresh', 'demo', '--json']);
    await letTimePass();
    await letTimePass();
    lock.release();
    expect(await refresh.exited).toBe(0);
    expect(JSON.parse(refresh.stdout() || '{}')).toMatchObject({ generation: 2 });
    await expectNothingLost(2);
  });
});

describe('a pair the server has answered', () => {
  let gate: Gate;

  beforeEach(() => {
    gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
  });

  it('is not lost by a command whose vault another process keeps locked at that moment', async () => {
    const refresh = world.trace(['refresh', 'demo']);
    await gate.arrived;
    const lock = lockVault(world.vaultPath);
    gate.open();
    await expect.poll(() => refresh.steps()).toContain('refresh.sealed');
    await letTimePass();
    lock.release();
    expect(await refresh.process.exited).toBe(0);
    await expectNothingLost(2);
  });

  it('is not lost by a command whose disk is broken at that moment', async () => {
    const disk = breakSaves(world.vaultPath);
    const refresh = world.trace(['refresh', 'demo']);
    await gate.arrived;
    gate.open();
    await refresh.process.waitFor(/a new token could not be saved yet/, 'stderr');
    await letTimePass();
    disk.mend();
    expect(await refresh.process.exited).toBe(0);
    await expectNothingLost(2);
  });

  it('is not lost by a daemon that is told to stop while another process keeps the vault locked', async () => {
    world.expireAccessToken();
    const daemon = await world.startDaemon();
    const asked = daemon.startAsking();
    await gate.arrived;
    asked.hangUp();
    const lock = lockVault(world.vaultPath);
    gate.open();
    await expect.poll(() => daemon.steps()).toContain('refresh.sealed');
    daemon.process.process.kill('SIGTERM');
    await letTimePass();
    lock.release();
    expect(await daemon.process.exited).toBe(0);
    expect(daemon.process.stderr()).toContain('stopped');
    await expectNothingLost(2);
  });
});

describe('a daemon', () => {
  it('that is told to stop tells those who wait for the lease of another process to come again', async () => {
    leaseToTheDead(world.vaultPath, Date.now() + LEASE_MS);
    world.expireAccessToken();
    const daemon = await world.startDaemon();
    const waiting = daemon.startAsking();
    await waiting.sent;
    expect((await daemon.ask('/v1/connections/demo')).status).toBe(200);
    daemon.process.process.kill('SIGTERM');
    expect(await waiting.answered).toMatchObject({ status: 503, json: { code: 'upstream_unavailable' } });
    expect(await daemon.process.exited).toBe(0);
    expect(daemon.process.stderr()).toContain('stopped');
  });

  it('starts although a killed process has left both a lease and a token that was put aside', async () => {
    await putAside();
    leaseToTheDead(world.vaultPath, Date.now() + LEASE_MS);
    const daemon = await world.startDaemon();
    expect((await daemon.ask()).status).toBe(200);
  });
});

/** What `demo` has is put aside as if it could not be saved. */
async function putAside(): Promise<void> {
  const { env } = world.home;
  const settings = readSettings({ home: env.BROKER_HOME as string }, { ...env });
  const { database: path, masterKey, rescueDirectories } = settings;
  const vault = await openVault({ path, masterKey, clock: systemClock, create: false });
  const stored = await vault.run(() => findConnection('demo'));
  if (!stored) throw new Error('nothing is connected');
  const tokens = await openTokenSet(vault.sealer, stored);
  const parts = { vault, clock: systemClock, log: createLog('silent') };
  const rescue = createRescue(parts, rescueDirectories);
  const pair = {
    connectionId: stored.id,
    connection: stored.name,
    from: stored.generation,
    tokens,
    clientRowId: stored.clientRowId,
  };
  expect(await rescue.write(pair)).toBeDefined();
  await vault.close();
}
