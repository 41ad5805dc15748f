/**
 * The wall clock is set back while brokers work: what they stored then lies in the future. Nothing may wait until that
 * has come, and nothing may be done over and over because it has not.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { changeVault, heldLeases, takeLeasesAway, untilNoLease } from '../support/leases.ts';
import { beginLogin, openPage } from '../support/sign-in.ts';
import {
  DAY_MS,
  HOUR_MS,
  MINUTE_MS,
  SECOND_MS,
  startTimeWorld,
  type TimeWorld,
  YEAR_MS,
} from '../support/time-world.ts';
import { rowsOf } from '../support/vault-file.ts';

const FAR = [
  ['an hour', HOUR_MS],
  ['a day', DAY_MS],
  ['a year', YEAR_MS],
] as const;

let world: TimeWorld;

beforeEach(async () => {
  world = await startTimeWorld();
});

afterEach(() => world.close());

describe('a token, when the clock is set back', () => {
  it.each(FAR)(
    'by %s, more than its age, is refreshed once: nobody can tell when it ends',
    async (_, far) => {
      world.clock.jump(-far);
      await world.askMany();
      await world.askMany();
      await world.expectFresh(2);
      expect(world.outcomes()).toEqual(['rotated']);
    },
  );

  it.each(FAR)(
    'by %s, and nobody asks: the scheduler refreshes it within 30 s, then weekly',
    async (_, far) => {
      await world.openBroker({ isResident: true });
      await world.clock.untilWaiting();
      world.clock.jump(-far);
      await world.pass(30 * SECOND_MS);
      await world.expectFresh(2);
      await world.pass(6 * DAY_MS, 6 * 24);
      expect(world.outcomes()).toEqual(['rotated']);
      await world.pass(DAY_MS, 24);
      expect(world.outcomes()).toEqual(['rotated', 'rotated']);
    },
  );

  it.each(FAR)('by %s, is not too fresh to be rejected', async (_, far) => {
    world.clock.jump(-far);
    const reject = (rejectedGeneration: number) =>
      world.broker.token(OPERATOR, 'demo', { rejectedGeneration });
    expect(await reject(1)).toMatchObject({ generation: 2 });
    await expect(reject(2)).rejects.toMatchObject({ code: 'rate_limited', retryAfterSeconds: 30 });
    await world.expectFresh(2);
    expect(world.outcomes()).toEqual(['rotated']);
  });

  it('by less than its age, is served until it is rejected, then refreshed at once', async () => {
    world.clock.jump(40 * MINUTE_MS);
    world.clock.jump(-30 * MINUTE_MS);
    await world.askMany();
    expect(world.outcomes()).toEqual([]);
    const rejected = { rejectedGeneration: 1 };
    expect(await world.broker.token(OPERATOR, 'demo', rejected)).toMatchObject({ generation: 2 });
    await world.expectFresh(2);
  });

  it('does not count as in use when nobody has used it since', async () => {
    await world.openBroker({ isResident: true });
    await world.clock.untilWaiting();
    world.clock.jump(YEAR_MS);
    await world.askMany();
    await world.pass(MINUTE_MS);
    world.clock.jump(-YEAR_MS);
    await world.pass(10 * HOUR_MS, 40);
    expect(world.outcomes()).toEqual(['rotated', 'rotated']);
    expect(world.stored()).toMatchObject({ state: 'ok', generation: 3 });
  });
});

describe('a refresh that failed, when the clock is set back', () => {
  it.each(FAR)('by %s, is tried again by itself within a day more', async (_, far) => {
    await world.openBroker({ isResident: true });
    world.clock.jump(HOUR_MS);
    await world.fault('503');
    expect((await world.askToken()).status).toBe(503);
    await world.fault(undefined);
    world.clock.jump(-far);
    const due = far <= DAY_MS ? far + MINUTE_MS : DAY_MS + MINUTE_MS;
    const until = world.clock.now() + due;
    while (world.outcomes().length === 1 && world.clock.now() < until) await world.pass(HOUR_MS / 2, 1);
    expect(world.outcomes()).toEqual(['unseen', 'rotated']);
    await world.expectFresh(2);
  });

  it('with invalid_grant, is confirmed by two more, a minute apart, and then the login has ended', async () => {
    await world.openBroker({ isResident: true });
    world.clock.jump(HOUR_MS);
    await world.fault('invalid_grant');
    expect((await world.askToken()).status).toBe(503);
    world.clock.jump(-YEAR_MS);
    await world.pass(5 * MINUTE_MS);
    expect(world.stored()).toMatchObject({ state: 'login_required', generation: 1 });
    const [, second, third, ...more] = world.hostile.presentations.map(({ at }) => at);
    expect((third ?? 0) - (second ?? 0)).toBeGreaterThanOrEqual(MINUTE_MS);
    expect(more).toEqual([]);
  });

  it.each(FAR)('by %s, because its process died: the dead one’s lease ends all the same', async (_, far) => {
    await world.openBroker({ isResident: true });
    await world.clock.untilWaiting();
    takeLeasesAway(world.vaultPath, world.clock.now() + 90 * SECOND_MS);
    const open = `INSERT INTO rotations (connection_id, generation, attempt, refresh_token_fingerprint, started_at)
      SELECT id, 1, 1, 'fingerprint', ? FROM connections`;
    changeVault(world.vaultPath, open, world.clock.now());
    world.clock.jump(-far);
    const isInTheWay = () => heldLeases(world.vaultPath).some(({ owner }) => owner === 'somebody else');
    await world.elapse(5 * MINUTE_MS, () => !isInTheWay());
    expect(isInTheWay()).toBe(false);
    while (world.outcomes().length === 0) await world.elapse(SECOND_MS);
    await untilNoLease(world.vaultPath);
    expect(world.outcomes()).toEqual(['rotated']);
    await world.expectFresh(2);
  });
});

it('a login on its way, when the clock is set back by a year, comes to its end', async () => {
  const login = beginLogin(world.broker, world.hostile.url);
  const authorizationUrl = await login.authorizationUrl;
  world.clock.jump(-YEAR_MS);
  await openPage(await world.hostile.approve(authorizationUrl));
  expect(await login.done).toMatchObject({ connection: 'demo', refresh_token: true });
  await world.expectFresh(2);
  expect(world.outcomes()).toEqual([]);
});

describe('a refresh on its way, when the clock is set back', () => {
  it.each(FAR)('by %s, is waited for by others, and its pair is saved and lives from now', async (_, far) => {
    const other = await world.openBroker({ isResident: true });
    world.clock.jump(HOUR_MS);
    const { answered } = await world.askAndHold(true);
    world.clock.jump(-far);
    const asked = other.refresh(OPERATOR, 'demo');
    await world.clock.advance(15 * SECOND_MS);
    world.hostile.letGo();
    expect(await answered).toMatchObject({ status: 200, json: { generation: 2, expires_in: 3600 } });
    await world.clock.advance(SECOND_MS);
    expect(await asked).toMatchObject({ generation: 2 });
    expect(world.outcomes()).toEqual(['rotated']);
    await world.expectFresh(2);
  });

  it('and the vault cannot take its pair: that is put aside after 10 s all the same', async () => {
    const broken =
      "CREATE TRIGGER broken BEFORE UPDATE OF secrets ON connections BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END";
    changeVault(world.vaultPath, broken);
    const waiting = world.clock.waiting();
    const refreshed = world.broker.refresh(OPERATOR, 'demo').catch((error: unknown) => error);
    // The heartbeat, and the pause before the next try.
    await world.clock.untilWaiting(waiting + 2);
    world.clock.jump(-YEAR_MS);
    await world.elapse(15 * SECOND_MS);
    expect(await world.broker.readiness()).toEqual({ isReady: false, status: 'save_failed' });
    expect(await refreshed).toMatchObject({ code: 'save_failed' });
    changeVault(world.vaultPath, 'DROP TRIGGER broken');
    await world.openBroker();
    expect(world.stored()).toMatchObject({ state: 'ok', generation: 2 });
    expect(await world.heldRefreshToken()).toBe(world.hostile.delivered.at(-1));
    expect(world.outcomes()).toEqual(['rotated']);
  });

  it('leaves the audit trail of each writer in the order of what happened', async () => {
    world.clock.jump(HOUR_MS);
    await world.broker.refresh(OPERATOR, 'demo');
    world.clock.jump(-DAY_MS);
    await world.broker.refresh(OPERATOR, 'demo');
    const trail = rowsOf<{ action: string; at: number; sequence: number }>(
      world.vaultPath,
      'SELECT action, at, sequence FROM audit ORDER BY writer, sequence',
    );
    expect(trail.map(({ action }) => action)).toEqual(['login', 'agent.add', 'refresh', 'refresh']);
    expect(trail.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
    expect(trail[3]?.at).toBe(world.clock.now());
  });
});
