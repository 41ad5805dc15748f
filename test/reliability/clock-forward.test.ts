/**
 * The wall clock is set forward while brokers work, or the machine wakes after a long sleep. Waits are not ended by
 * that, as with a monotonic clock. The server goes by the same clock.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { atStep } from '../support/at-step.ts';
import { heldLeases } from '../support/leases.ts';
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
import { journal } from '../support/vault-file.ts';

const FAR = [
  ['a day', DAY_MS],
  ['a year', YEAR_MS],
] as const;

let world: TimeWorld;

beforeEach(async () => {
  world = await startTimeWorld();
});

afterEach(() => world.close());

describe('a clock that is set forward', () => {
  it.each(FAR)('by %s costs one refresh, for any number of callers', async (_, far) => {
    world.clock.jump(far);
    await world.askMany();
    await world.expectFresh(2);
    await world.askMany();
    expect(world.outcomes()).toEqual(['rotated']);
  });

  it.each([
    ['50 minutes, the connection in use', 50 * MINUTE_MS],
    ['a week', 7 * DAY_MS],
    ['a year', YEAR_MS],
  ])('by %s: the scheduler notices within 30 s, and it costs one refresh', async (_, far) => {
    const resident = await world.openBroker({ isResident: true });
    await resident.token(OPERATOR, 'demo');
    await world.pass(MINUTE_MS);
    expect(world.outcomes()).toEqual([]);
    world.clock.jump(far);
    await world.pass(30 * SECOND_MS);
    await world.expectFresh(2);
    await world.pass(10 * MINUTE_MS);
    expect(world.outcomes()).toEqual(['rotated']);
    expect(await resident.readiness()).toEqual({ isReady: true, status: 'ready' });
  });

  it.each(FAR)('by %s and then right again costs two', async (_, far) => {
    await world.openBroker({ isResident: true });
    await world.clock.untilWaiting();
    world.clock.jump(far);
    await world.askMany();
    world.clock.jump(-far);
    await world.askMany();
    await world.pass(10 * MINUTE_MS);
    await world.expectFresh(3);
    expect(world.outcomes()).toEqual(['rotated', 'rotated']);
  });

  it.each(FAR)('by %s while an answer is awaited: the pair is saved, and lives from now', async (_, far) => {
    world.clock.jump(HOUR_MS);
    const { answered } = await world.askAndHold(true);
    world.clock.jump(far);
    world.hostile.letGo();
    expect(await answered).toMatchObject({ status: 200, json: { generation: 2, expires_in: 3600 } });
    await world.expectFresh(2);
    expect(heldLeases(world.vaultPath)).toEqual([]);
    expect(world.outcomes()).toEqual(['rotated']);
  });

  it('before the refresh token is presented: nothing is sent, and the next request refreshes', async () => {
    world.clock.jump(HOUR_MS);
    atStep('refresh.leased', () => world.clock.jump(HOUR_MS));
    expect(await world.askToken()).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect(world.outcomes()).toEqual([]);
    expect(journal(world.vaultPath)).toEqual([]);
    await world.askMany();
    expect(world.outcomes()).toEqual(['rotated']);
  });

  it.each([
    ['an uncommitted', false],
    ['a committed', true],
  ])('while %s refresh is not answered: others do not present its token', async (_, isCommitted) => {
    const other = await world.openBroker({ isResident: true });
    world.clock.jump(HOUR_MS);
    const { answered } = await world.askAndHold(isCommitted);
    world.clock.jump(HOUR_MS);
    const asked = other.refresh(OPERATOR, 'demo');
    await world.elapse(20 * SECOND_MS);
    world.hostile.letGo();
    expect(await answered).toMatchObject({ status: 200, json: { generation: 2 } });
    await world.clock.advance(SECOND_MS);
    expect(await asked).toMatchObject({ generation: 2 });
    expect(world.outcomes()).toEqual(['rotated']);
    await world.expectFresh(2);
  });

  it('while a person signs in: they are told that it took too long, and no code is spent', async () => {
    const login = beginLogin(world.broker, world.hostile.url);
    const redirect = await world.hostile.approve(await login.authorizationUrl);
    world.clock.jump(HOUR_MS);
    const page = openPage(redirect);
    await expect(login.done).rejects.toMatchObject({ code: 'login_timeout' });
    expect(await page).toContain('did not succeed');
    expect(world.hostile.delivered).toHaveLength(1);
    await world.askMany();
    await world.signIn();
    await world.expectFresh(3);
  });
});
