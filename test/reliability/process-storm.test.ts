/**
 * The storm at full size on real daemons: two thousand agents whose token has ended ask at the same moment, each on a
 * socket of its own. The refresh stands at a gate before the authorization server until all of them have asked.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGate, type Gate, isRefresh } from '../support/gate.ts';
import type { CallOptions, StartedCall } from '../support/http-call.ts';
import { type ProcessWorld, type RunningDaemon, startProcessWorld } from '../support/process-world.ts';
import { refreshLedger } from '../support/refresh-ledger.ts';
import { storedLogin } from '../support/stored-login.ts';
import { auditTrail, connectionRow, journal } from '../support/vault-file.ts';

const CALLERS = 2_000;
const DAEMONS = 3;

/** Of so many callers one hangs up. */
const LEAVING_EVERY = 4;

let world: ProcessWorld;
let gate: Gate;

beforeEach(async () => {
  world = await startProcessWorld();
  gate = createGate(isRefresh);
  world.authorizationServer.fail(gate.rule);
});

afterEach(() => world.close());

const startDaemons = (count: number) => Promise.all(Array.from({ length: count }, () => world.startDaemon()));

/** Resolves when the daemons have taken in all that was sent before: connections are accepted in their order. */
async function passThrough(daemons: RunningDaemon[]): Promise<void> {
  for (const daemon of daemons) expect((await daemon.ask('/v1/connections/demo')).status).toBe(200);
}

/** The callers, dealt out evenly to the daemons. All have asked when it resolves, and none has an answer. */
async function startStorm(daemons: RunningDaemon[], options?: CallOptions): Promise<StartedCall[]> {
  let answers = 0;
  const calls = Array.from({ length: CALLERS }, (_, index) => {
    const call = (daemons[index % daemons.length] as RunningDaemon).startAsking(undefined, options);
    const count = () => {
      answers += 1;
    };
    call.answered.then(count, count);
    return call;
  });
  await Promise.all(calls.map(({ sent }) => sent));
  await passThrough(daemons);
  await gate.arrived;
  expect(answers).toBe(0);
  return calls;
}

/** All of them got the one new token, which cost one refresh and is what the vault holds; each is on record. */
async function expectOneRefresh(calls: StartedCall[], attempts = [{ attempt: 1, outcome: 'success' }]) {
  const answers = await Promise.all(calls.map(({ answered }) => answered));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(new Set(answers.map(({ json }) => json.generation))).toEqual(new Set([2]));
  const held = await storedLogin(world.home);
  expect(new Set(answers.map(({ json }) => json.access_token))).toEqual(new Set([held?.accessToken]));
  expect(world.authorizationServer.refreshes()).toBe(1);
  const ledger = refreshLedger(world.authorizationServer.requests);
  expect(ledger.map(({ isAccepted }) => isAccepted)).toEqual([false, true]);
  expect(ledger.at(-1)?.fingerprint).toBe(held?.refreshToken);
  expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 2 });
  expect(journal(world.vaultPath)).toMatchObject(attempts.map((each) => ({ generation: 1, ...each })));
  const done = (action: string) => auditTrail(world.vaultPath).filter((row) => row.action === action).length;
  expect(done('refresh')).toBe(1);
  await expect.poll(() => done('token')).toBeGreaterThanOrEqual(calls.length);
}

describe(`${CALLERS} requests at the moment of expiry`, () => {
  beforeEach(() => world.expireAccessToken());

  it('cause one refresh by one daemon, and all get the same new token', async () => {
    const calls = await startStorm(await startDaemons(1));
    gate.open();
    await expectOneRefresh(calls);
    expect(gate.count()).toBe(1);
  });

  it('cause one refresh by three daemons on one vault, and none fails', async () => {
    const calls = await startStorm(await startDaemons(DAEMONS));
    gate.open();
    await expectOneRefresh(calls);
    expect(gate.count()).toBe(1);
  });

  it('cause one refresh by three daemons although every fourth caller hangs up, the first among them', async () => {
    const daemons = await startDaemons(DAEMONS);
    const calls = await startStorm(daemons);
    const leaving = calls.filter((_, index) => index % LEAVING_EVERY === 0);
    for (const call of leaving) call.hangUp();
    const left = await Promise.allSettled(leaving.map(({ answered }) => answered));
    expect(left.every(({ status }) => status === 'rejected')).toBe(true);
    await passThrough(daemons);
    gate.open();
    const staying = calls.filter((call) => !leaving.includes(call));
    expect(staying).toHaveLength(1_500);
    await expectOneRefresh(staying);
    expect(gate.count()).toBe(1);
  });

  it('cause one refresh by the two daemons that are left when the third is killed in the middle of it', async () => {
    const daemons = (await startDaemons(DAEMONS)) as [RunningDaemon, ...RunningDaemon[]];
    const [refreshing] = daemons;
    const first = refreshing.startAsking();
    await gate.arrived;
    const calls = await startStorm(daemons);
    const isLost = (index: number) => index % DAEMONS === 0;
    // What others send passes; what this one has sent is lost on the way, and the server never sees it.
    world.authorizationServer.fail(undefined);
    await refreshing.process.stop('SIGKILL');
    const lost = calls.filter((_, index) => isLost(index));
    const ends = await Promise.allSettled([first, ...lost].map(({ answered }) => answered));
    expect(ends.every(({ status }) => status === 'rejected')).toBe(true);
    gate.open({ destroyBefore: true });
    await expectOneRefresh(
      calls.filter((_, index) => !isLost(index)),
      [
        { attempt: 1, outcome: 'superseded' },
        { attempt: 2, outcome: 'success' },
      ],
    );
  });
});

describe(`${CALLERS} requests at once that reject the same living token`, () => {
  const rejection = { method: 'POST', body: { rejected_generation: 1 } };

  beforeEach(() => world.ageAccessToken());

  it('cause one refresh, and all get the new token', async () => {
    const calls = await startStorm(await startDaemons(1), rejection);
    gate.open();
    await expectOneRefresh(calls);
    expect(gate.count()).toBe(1);
  });

  it('cause one refresh by three daemons on one vault', async () => {
    const calls = await startStorm(await startDaemons(DAEMONS), rejection);
    gate.open();
    await expectOneRefresh(calls);
    expect(gate.count()).toBe(1);
  });
});
