import { afterEach, describe, expect, it } from 'vitest';
import type { FaultWorld } from '../support/fault-world.ts';
import { startProviderWorld } from '../support/faulty-provider.ts';
import { startHostileWorld } from '../support/hostile-world.ts';
import { connectionRow } from '../support/vault-file.ts';

const HOUR_MS = 3_600_000;
const GRACE_MS = 30_000;

let world: FaultWorld;

afterEach(() => world.close());

const outcomes = () => world.server.presentations.map(({ outcome }) => outcome);
const held = async () => (await world.heldRefreshToken()) ?? '';
const isAlive = async (print: string) => world.server.isAlive(print);

/** Asks when the access token has ended. */
async function refresh(): Promise<Record<string, unknown>> {
  world.clock.jump(HOUR_MS);
  return (await world.askToken()).json;
}

/** Asks again as soon as that is planned. */
async function tryAgain(): Promise<Record<string, unknown>> {
  world.clock.jump((connectionRow(world.vaultPath).next_attempt_at ?? 0) - world.clock.now());
  return (await world.askToken()).json;
}

describe.each([
  ['the hostile server', startHostileWorld],
  ['oidc-provider', startProviderWorld],
] as const)('%s with its faults', (_server, start) => {
  it('says which refresh tokens it would take', async () => {
    world = await start();
    const first = await held();
    expect(await isAlive(first)).toBe(true);
    expect(await isAlive('never issued')).toBe(false);
    await refresh();
    const second = await held();
    expect([await isAlive(first), await isAlive(second)]).toEqual([false, true]);
    expect(outcomes()).toEqual(['rotated']);
    expect(world.server.delivered).toEqual([first, second]);
    expect(await world.server.family()).toEqual({ revoked: false, generation: 2 });
  });

  it('takes reuse for theft, and its access tokens open nothing any more', async () => {
    world = await start();
    const { access_token } = (await world.askToken()).json;
    expect([await world.opens(access_token), await world.opens('not-a-token')]).toEqual([true, false]);
    world.clock.jump(HOUR_MS - 1000);
    await world.fault('reset after commit', { times: 1 });
    expect((await world.askToken()).json.access_token).toBe(access_token);
    expect(await world.opens(access_token)).toBe(true);
    expect(await isAlive(await held())).toBe(false);
    expect(await tryAgain()).toMatchObject({ code: 'login_required' });
    expect(outcomes()).toEqual(['rotated', 'reused']);
    expect(await world.server.family()).toEqual({ revoked: true, generation: 2 });
    expect(await world.opens(access_token)).toBe(false);
  });

  it('meets as many faults as it was told to', async () => {
    world = await start();
    await world.fault('502', { times: 2 });
    await refresh();
    await tryAgain();
    expect(await tryAgain()).toHaveProperty('access_token');
    expect(outcomes()).toEqual(['unseen', 'unseen', 'rotated']);
  });

  it('acts on a request that was held back when it is let go', async () => {
    world = await start();
    const first = await held();
    await world.fault('no answer before the deadline');
    world.clock.jump(HOUR_MS);
    const asked = world.askToken();
    await world.server.untilHeld();
    expect([outcomes(), await isAlive(first)]).toEqual([['unseen'], true]);
    world.server.letGo();
    expect((await asked).status).toBe(200);
    expect(outcomes()).toEqual(['rotated']);
    expect(world.server.delivered).toEqual([first, await held()]);
  });

  it('has acted before it holds back an answer', async () => {
    world = await start();
    const first = await held();
    await world.fault('no answer before the deadline, committed');
    world.clock.jump(HOUR_MS);
    const asked = world.askToken();
    await world.server.untilHeld();
    expect([outcomes(), await isAlive(first)]).toEqual([['rotated'], false]);
    expect(world.server.delivered).toEqual([first]);
    world.server.letGo();
    expect((await asked).status).toBe(200);
    expect(world.server.delivered).toEqual([first, await held()]);
  });

  it.each([
    ['inside the grace window once more', GRACE_MS - 1, 'grace', { revoked: false, generation: 2 }],
    ['no more when the grace window is over', GRACE_MS, 'reused', { revoked: true, generation: 2 }],
  ] as const)('takes a used refresh token %s', async (_, laterMs, outcome, family) => {
    world = await start({ graceMs: GRACE_MS });
    const first = await held();
    await world.fault('reset after commit', { times: 1 });
    await refresh();
    world.clock.jump(laterMs);
    expect(await isAlive(first)).toBe(outcome === 'grace');
    await world.askToken();
    expect(outcomes()).toEqual(['rotated', outcome]);
    expect(await isAlive(first)).toBe(false);
    expect(await world.server.family()).toEqual(family);
    expect(world.server.delivered).toEqual(outcome === 'grace' ? [first, await held()] : [first]);
  });

  it('takes no used refresh token whose successor was used, grace window or not', async () => {
    world = await start({ graceMs: 3 * HOUR_MS });
    const first = await held();
    await refresh();
    expect([await isAlive(first), await isAlive(await held())]).toEqual([true, true]);
    await refresh();
    expect([await isAlive(first), await isAlive(await held())]).toEqual([false, true]);
  });

  it('can be reached again after it could not', async () => {
    world = await start();
    for (const fault of ['connection refused', 'DNS failure', 'TLS failure'] as const) {
      await world.fault(fault);
      expect(await refresh()).toMatchObject({ code: 'upstream_unavailable' });
      await world.fault(undefined);
      expect(await tryAgain()).toHaveProperty('access_token');
    }
    expect(outcomes()).toEqual(['rotated', 'rotated', 'rotated']);
  });
});
