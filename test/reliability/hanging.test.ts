/**
 * Callers that wait for what cannot come. Who has to wait is told so in time, with when to come again; and what is
 * wrong with one thing holds up nothing else.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { LEASE_MS } from '../../src/broker/lease.ts';
import { createGate } from '../support/gate.ts';
import { changeVault } from '../support/leases.ts';
import { type ProcessWorld, startProcessWorld } from '../support/process-world.ts';
import { signIn } from '../support/sign-in.ts';
import { auditTrail } from '../support/vault-file.ts';
import { leaseToTheDead, lockVault } from '../support/vault-hold.ts';
import { startWorld, type World } from '../support/world.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

/** As `src/vault/sqlite.ts` has it: longer than a lock is waited for, the pause between two tries included. */
const LOCK_DEADLINE_MS = 10 * SECOND_MS;

/** Longer than the pause between two looks at a lease that is taken. */
const LEASE_PAUSE_MS = 100;

/** No caller should have to wait longer for an answer, whatever it is. */
const PATIENCE_MS = 30 * SECOND_MS;

/** Far below the 30 s after which a request to a server that does not answer is given up. */
const REAL_DEADLINE_MS = 10 * SECOND_MS;

const UNKNOWN = '/v1/connections/unknown/token';

/** Each of them is one more that waits for the lock. */
const REFUSED = 20;

describe('a broker whose connection has an ended token', () => {
  let world: World;
  let broker: Broker;

  const ask = () => broker.token(OPERATOR, 'demo');

  /** How the promise ends within `ms` of the manual clock. Undefined: it is pending still. */
  async function endWithin<T>(promise: Promise<T>, ms: number): Promise<PromiseSettledResult<T> | undefined> {
    let result: PromiseSettledResult<T> | undefined;
    const ended = Promise.allSettled([promise]).then(([settled]) => {
      result = settled;
    });
    for (let passed = 0; result === undefined && passed < ms; passed += SECOND_MS) {
      await Promise.race([ended, world.clock.untilWaiting()]);
      await world.clock.advance(SECOND_MS);
    }
    return result;
  }

  beforeEach(async () => {
    world = await startWorld();
    broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    world.clock.jump(2 * HOUR_MS);
  });

  afterEach(async () => {
    changeVault(world.vaultPath, 'UPDATE leases SET expires_at = 0');
    const closed = world.close();
    await endWithin(closed, LEASE_MS);
    await closed;
  });

  it('tells its callers to come again while the lease is held by a process that was killed', async () => {
    leaseToTheDead(world.vaultPath, world.clock.now() + LEASE_MS);
    const refused = {
      status: 'rejected',
      reason: { code: 'upstream_unavailable', retryAfterSeconds: expect.any(Number) },
    };
    expect(await endWithin(ask(), PATIENCE_MS)).toMatchObject(refused);
    // It is known by now that nobody can be served.
    expect(await endWithin(ask(), SECOND_MS)).toMatchObject(refused);
  });

  it('tells its callers the verdict of another process as soon as that is stored, held lease or not', async () => {
    leaseToTheDead(world.vaultPath, world.clock.now() + LEASE_MS);
    const asked = ask();
    asked.catch(() => undefined);
    await world.clock.untilWaiting();
    changeVault(world.vaultPath, "UPDATE connections SET state = 'login_required', next_attempt_at = NULL");
    await world.clock.advance(LEASE_PAUSE_MS);
    expect(await endWithin(asked, SECOND_MS)).toMatchObject({
      status: 'rejected',
      reason: { code: 'login_required' },
    });
  });

  it('gets past the lease of a dead process although the clock was set back by an hour', async () => {
    const leaseEndsAt = world.clock.now() + LEASE_MS;
    leaseToTheDead(world.vaultPath, leaseEndsAt);
    world.clock.jump(-HOUR_MS);
    let outcome = await endWithin(ask(), LEASE_MS);
    // Those who asked were told to come again.
    while (outcome?.status !== 'fulfilled') outcome = await endWithin(ask(), LEASE_MS);
    expect(world.clock.now()).toBeLessThan(leaseEndsAt);
    expect(outcome).toMatchObject({ status: 'fulfilled', value: { generation: 2 } });
  });

  it('refreshes without waiting for a well-known page that does not answer', async () => {
    const gate = createGate(({ path }) => path.startsWith('/.well-known/'));
    world.authorizationServer.fail(gate.rule);
    // The cache may be lost at any time, and ends once a day.
    changeVault(world.vaultPath, 'DELETE FROM cache');
    const deadline = AbortSignal.timeout(REAL_DEADLINE_MS);
    const late = new Promise((resolve) => {
      deadline.onabort = () => resolve('still waiting for the page');
    });
    const asked = ask();
    const outcome = await Promise.race([asked, late]);
    gate.open();
    await asked;
    expect(outcome).toMatchObject({ generation: 2 });
  });
});

describe('while another process keeps the vault locked', () => {
  let world: ProcessWorld;

  beforeEach(async () => {
    world = await startProcessWorld();
  });

  afterEach(() => world.close());

  it('a daemon goes on handing out a living token, although refused callers wait to be recorded', async () => {
    const daemon = await world.startDaemon();
    const lock = lockVault(world.vaultPath);
    try {
      const refused = Array.from({ length: REFUSED }, () => daemon.startAsking(UNKNOWN));
      await Promise.all(refused.map(({ sent }) => sent));
      const served = (async () => {
        for (let calls = 0; calls < 5; calls += 1) expect((await daemon.ask()).status).toBe(200);
        return 'served';
      })();
      const given = refused.map(({ answered }) => answered.then(() => 'the lock was given up first'));
      expect(await Promise.race([served, ...given])).toBe('served');
    } finally {
      lock.release();
    }
  });
});

describe('hand-outs while another process keeps the vault locked', () => {
  it('are on record in the end, however long it takes', async () => {
    const world = await startWorld();
    try {
      const broker = await world.openBroker();
      await signIn(broker, world.authorizationServer, world.mcp.url);
      const lock = lockVault(world.vaultPath);
      await broker.token(OPERATOR, 'demo');
      await world.clock.untilWaiting();
      await world.clock.advance(2.5 * LOCK_DEADLINE_MS);
      lock.release();
      const closed = broker.close();
      // The next try.
      await world.clock.advance(LEASE_PAUSE_MS);
      await closed;
      expect(auditTrail(world.vaultPath).filter(({ action }) => action === 'token')).toHaveLength(1);
    } finally {
      await world.close();
    }
  });
});
