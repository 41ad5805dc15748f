import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { type HostileWorld, startHostileWorld } from '../support/hostile-world.ts';
import { type StartedCall, startCall } from '../support/http-call.ts';
import { connectionRow, journal } from '../support/vault-file.ts';

const HOUR_MS = 3_600_000;
const CALLERS = 2_000;
const LEAVING = 500;

/** So long that a refresh is due which nobody asked for. */
const IDLE_MS = 8 * 24 * HOUR_MS;

/** Longer than the pause between two looks at a lease that is taken. */
const LEASE_PAUSE_MS = 100;

let world: HostileWorld;

beforeEach(async () => {
  world = await startHostileWorld();
  world.clock.jump(HOUR_MS);
});

afterEach(() => world.close());

/** Calls, dealt out evenly to the brokers. */
function callAll(brokers: Broker[], count = CALLERS): Promise<string>[] {
  return Array.from({ length: count }, async (_, index) => {
    const broker = brokers[index % brokers.length] as Broker;
    return (await broker.token(OPERATOR, 'demo')).accessToken.reveal();
  });
}

/** All of them have the same new token, the server saw one presentation, and the chain goes on. */
async function expectOneRefresh(tokens: string[], generation = 2): Promise<void> {
  expect(new Set(tokens).size).toBe(1);
  expect(world.hostile.resourceOf(tokens[0] as string)).toBe(world.hostile.resource);
  expect(world.hostile.presentations).toHaveLength(generation - 1);
  expect(world.hostile.presentations.every(({ outcome }) => outcome === 'rotated')).toBe(true);
  expect(world.hostile.family()).toEqual({ revoked: false, generation });
  expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation });
  expect(await world.heldRefreshToken()).toBe(world.hostile.delivered.at(-1));
}

/** Requests of the agent, each on a socket of its own. All have been sent when it resolves. */
async function startCalls(count: number): Promise<StartedCall[]> {
  const calls = Array.from({ length: count }, () =>
    startCall(world.tokenUrl, { headers: world.agentHeaders }),
  );
  await Promise.all(calls.map(({ sent }) => sent));
  return calls;
}

/** They hang up, and none of them got an answer. */
async function hangUp(calls: StartedCall[]): Promise<void> {
  for (const call of calls) call.hangUp();
  const ends = await Promise.allSettled(calls.map(({ answered }) => answered));
  expect(ends.every(({ status }) => status === 'rejected')).toBe(true);
}

describe(`${CALLERS} callers at the moment of expiry`, () => {
  it('cause one presentation, and all get the same new token', async () => {
    await expectOneRefresh(await Promise.all(callAll([world.broker])));
  });

  it('cause one presentation while the server is slow, those included who come meanwhile', async () => {
    await world.fault('no answer before the deadline');
    const early = callAll([world.broker]);
    await world.hostile.untilHeld();
    const late = callAll([world.broker]);
    world.hostile.letGo();
    await expectOneRefresh(await Promise.all([...early, ...late]));
  });

  it('cause one presentation with three brokers on one vault', async () => {
    const brokers = [world.broker, await world.openBroker(), await world.openBroker()];
    await world.fault('no answer before the deadline');
    const waiting = world.clock.waiting();
    const calls = callAll(brokers);
    await world.hostile.untilHeld();
    // The heartbeat of the one that refreshes, and the two that wait for its lease.
    await world.clock.untilWaiting(waiting + brokers.length);
    world.hostile.letGo();
    await Promise.race(calls);
    await world.clock.advance(LEASE_PAUSE_MS);
    await expectOneRefresh(await Promise.all(calls));
  });

  it('cause one presentation together with the schedulers of two more brokers', async () => {
    await world.fault('no answer before the deadline');
    world.clock.jump(IDLE_MS);
    const waiting = world.clock.waiting();
    const residents = [
      await world.openBroker({ isResident: true }),
      await world.openBroker({ isResident: true }),
    ];
    const calls = callAll([world.broker, ...residents]);
    await world.hostile.untilHeld();
    // Those of the case before, and the sleep of each scheduler.
    await world.clock.untilWaiting(waiting + 5);
    world.hostile.letGo();
    await Promise.race(calls);
    await world.clock.advance(LEASE_PAUSE_MS);
    await expectOneRefresh(await Promise.all(calls));
  });

  it('cause one presentation at each of five expiries in a row', async () => {
    for (let generation = 2; generation <= 6; generation += 1) {
      await expectOneRefresh(await Promise.all(callAll([world.broker])), generation);
      world.clock.jump(HOUR_MS);
    }
  });

  it('cause one presentation when the server refuses, and none until the next attempt is due', async () => {
    await world.fault('503');
    const refused = await Promise.allSettled(callAll([world.broker]));
    await Promise.allSettled(callAll([world.broker]));
    expect(refused.every(({ status }) => status === 'rejected')).toBe(true);
    expect(world.hostile.presentations).toHaveLength(1);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'degraded', failures: 1 });
  });

  it('cause one presentation and lose nothing when its answer is lost', async () => {
    await world.fault('reset before commit', { times: 1 });
    await Promise.allSettled(callAll([world.broker]));
    expect(world.hostile.presentations).toMatchObject([{ outcome: 'unseen' }]);
    world.clock.jump((connectionRow(world.vaultPath).next_attempt_at ?? 0) - world.clock.now());
    const tokens = await Promise.all(callAll([world.broker]));
    expect(new Set(tokens).size).toBe(1);
    expect(world.hostile.presentations.map(({ outcome }) => outcome)).toEqual(['unseen', 'rotated']);
  });
});

describe('callers that hang up', () => {
  it(`cancel nothing for those who stay: ${LEAVING} of ${CALLERS}`, async () => {
    await world.fault('no answer before the deadline');
    const leaving = await startCalls(LEAVING);
    await world.hostile.untilHeld();
    const staying = await startCalls(CALLERS - LEAVING);
    await hangUp(leaving);
    world.hostile.letGo();
    const answers = await Promise.all(staying.map(({ answered }) => answered));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    await expectOneRefresh(answers.map(({ json }) => String(json.access_token)));
  });

  it(`cancel nothing even when nobody of ${CALLERS} stays: the pair is saved all the same`, async () => {
    await world.fault('no answer before the deadline, committed');
    const leaving = await startCalls(CALLERS);
    await world.hostile.untilHeld();
    await hangUp(leaving);
    world.hostile.letGo();
    // Joins the refresh that goes on, or finds what it has saved.
    const { accessToken } = await world.broker.token(OPERATOR, 'demo');
    await expectOneRefresh([accessToken.reveal()]);
    expect(journal(world.vaultPath)).toMatchObject([{ attempt: 1, outcome: 'success' }]);
  });
});
