/**
 * Ten lifetimes of a token, from seconds to months: how often its refresh token is presented. Each presentation is one
 * more chance to lose the login, and a token that ends in the hands of an agent is no token.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import {
  DAY_MS,
  HOUR_MS,
  MINUTE_MS,
  SECOND_MS,
  startTimeWorld,
  type TimeWorld,
} from '../support/time-world.ts';
import { auditTrail } from '../support/vault-file.ts';

const LIFETIMES = 10;
const WEEK_MS = 7 * DAY_MS;

/** Steps to a lifetime: a refresh that is due comes late by one of them at most. */
const STEPS = 40;

const ALL = [
  ['5 s', 5 * SECOND_MS],
  ['30 s', 30 * SECOND_MS],
  ['5 min', 5 * MINUTE_MS],
  ['an hour', HOUR_MS],
  ['a day', DAY_MS],
  ['90 days', 90 * DAY_MS],
] as const;
/** Those for which a fifth ahead of the end is sooner than a week. */
const SHORT = ALL.filter(([, lifetimeMs]) => lifetimeMs < WEEK_MS && lifetimeMs > 5 * SECOND_MS);

let world: TimeWorld;
let broker: Broker;

afterEach(() => world.close());

async function start(lifetimeMs: number): Promise<void> {
  world = await startTimeWorld({ accessTokenSeconds: lifetimeMs / SECOND_MS });
  broker = await world.openBroker({ isResident: true });
}

/** Lets so much time pass, and takes a token at each step: it must be one that the server accepts. */
async function use(ms: number, steps: number): Promise<void> {
  for (let step = 0; step < steps; step += 1) {
    await world.pass(ms / steps, 1);
    const { accessToken } = await broker.token(OPERATOR, 'demo');
    expect(world.hostile.resourceOf(accessToken.reveal())).toBe(world.hostile.resource);
  }
}

/** Time between one presentation and the next. */
function pauses(): number[] {
  const at = world.hostile.presentations.map((each) => each.at);
  return at.slice(1).map((each, index) => each - (at[index] as number));
}

/** No caller ever had to wait for a refresh, and none went wrong. */
function expectRefreshedAhead(): void {
  const refreshes = auditTrail(world.vaultPath).filter(({ action }) => action === 'refresh');
  expect(new Set(refreshes.map(({ actor }) => actor))).toEqual(new Set(['scheduler']));
  expect(new Set(world.outcomes())).toEqual(new Set(['rotated']));
}

describe('over ten lifetimes', () => {
  it.each(SHORT)(
    'of %s, a connection in use is refreshed 11 or 12 times, always ahead',
    async (_, lifetimeMs) => {
      await start(lifetimeMs);
      await use(LIFETIMES * lifetimeMs, LIFETIMES * STEPS);
      expectRefreshedAhead();
      expect(world.outcomes().length).toBeGreaterThanOrEqual(11);
      expect(world.outcomes().length).toBeLessThanOrEqual(12);
      expect(Math.min(...pauses())).toBeGreaterThanOrEqual(0.8 * lifetimeMs);
      expect(Math.max(...pauses())).toBeLessThanOrEqual((0.85 + 1 / STEPS) * lifetimeMs);
    },
  );

  it('of 5 s, of which a server may round one away, a connection in use is refreshed 12 to 14 times, always ahead', async () => {
    const lifetimeMs = 5 * SECOND_MS;
    await start(lifetimeMs);
    await use(LIFETIMES * lifetimeMs, LIFETIMES * STEPS);
    expectRefreshedAhead();
    expect(world.outcomes().length).toBeGreaterThanOrEqual(12);
    expect(world.outcomes().length).toBeLessThanOrEqual(14);
    expect(Math.min(...pauses())).toBeGreaterThanOrEqual(0.7 * lifetimeMs);
    expect(Math.max(...pauses())).toBeLessThanOrEqual(lifetimeMs - SECOND_MS);
  });

  it('of 90 days, a connection in use is refreshed once a week', async () => {
    await start(90 * DAY_MS);
    await use(128 * WEEK_MS, 128 * 2);
    expectRefreshedAhead();
    expect(world.outcomes()).toHaveLength(128);
    expect(new Set(pauses())).toEqual(new Set([WEEK_MS]));
  });

  it.each(ALL)('of %s, a connection nobody uses is refreshed once a week', async (_, lifetimeMs) => {
    await start(lifetimeMs);
    const stepMs = lifetimeMs / STEPS;
    await world.pass(LIFETIMES * lifetimeMs, LIFETIMES * STEPS);
    const least = Math.floor((LIFETIMES * lifetimeMs) / (WEEK_MS + stepMs));
    expect(world.outcomes().length).toBeGreaterThanOrEqual(least);
    expect(world.outcomes().length).toBeLessThanOrEqual((LIFETIMES * lifetimeMs) / WEEK_MS);
    for (const pause of pauses()) expect(pause).toBeGreaterThanOrEqual(WEEK_MS);
    expect(world.stored().state).toBe('ok');
  });

  it('of nobody knows how long, a connection in use is refreshed once a week, and when it is rejected', async () => {
    await start(HOUR_MS);
    await world.fault('expires_in missing');
    await broker.refresh(OPERATOR, 'demo');
    expect(world.stored()).toMatchObject({ generation: 2, access_expires_at: null });
    for (let step = 0; step < 20; step += 1) {
      await world.pass(WEEK_MS / 2, 1);
      await broker.token(OPERATOR, 'demo');
    }
    expect(world.outcomes()).toHaveLength(1 + 10);
    expect(new Set(pauses())).toEqual(new Set([WEEK_MS]));

    await world.pass(HOUR_MS, 1);
    const { accessToken, generation } = await broker.token(OPERATOR, 'demo');
    expect(world.hostile.resourceOf(accessToken.reveal())).toBeUndefined();
    const next = await broker.token(OPERATOR, 'demo', { rejectedGeneration: generation });
    expect(world.hostile.resourceOf(next.accessToken.reveal())).toBe(world.hostile.resource);
    expect(world.outcomes()).toHaveLength(1 + 10 + 1);
  });
});
