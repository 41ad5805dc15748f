import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { createGate, isRefresh } from '../support/gate.ts';
import { signIn } from '../support/sign-in.ts';
import { connectionRow, journal } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const MINUTE_MS = 60_000;

let world: World;
let broker: Broker;

const refreshes = () => world.authorizationServer.requests.filter(isRefresh).length;

/** Lets time pass in steps of the scheduler, with room for network and disk in between. */
async function pass(minutes: number): Promise<void> {
  for (let step = 0; step < minutes * 2; step += 1) {
    await world.clock.untilWaiting();
    await world.clock.advance(30_000);
  }
}

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker({ isResident: true });
  await signIn(broker, world.authorizationServer, world.mcp.url);
});

afterEach(() => world.close());

describe('a resident broker', () => {
  it('refreshes a connection in use before its token ends, once', async () => {
    await broker.token(OPERATOR, 'demo');
    await pass(47);
    expect(refreshes()).toBe(0);
    await pass(5);
    await vi.waitFor(() => expect(connectionRow(world.vaultPath).generation).toBe(2));
    expect(refreshes()).toBe(1);
    const { expiresAt } = await broker.token(OPERATOR, 'demo');
    expect(expiresAt).toBeGreaterThan(world.clock.now() + 50 * MINUTE_MS);
    expect(refreshes()).toBe(1);
  });

  it('leaves a connection that nobody uses alone', async () => {
    await pass(70);
    expect(refreshes()).toBe(0);
  });

  it('notices at its next turn that the machine slept: what is due is refreshed, and keep-alive is kept', async () => {
    await world.clock.untilWaiting();
    world.clock.jump(8 * 24 * 60 * MINUTE_MS);
    await pass(1);
    await vi.waitFor(() => expect(connectionRow(world.vaultPath).generation).toBe(2));
  });

  it('asks again after a failure when its time has come, without anybody asking', async () => {
    await broker.token(OPERATOR, 'demo');
    world.clock.jump(50 * MINUTE_MS);
    world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));
    await pass(1);
    await vi.waitFor(() => expect(connectionRow(world.vaultPath).state).toBe('degraded'));
    world.authorizationServer.fail(undefined);
    await pass(2);
    await vi.waitFor(() =>
      expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 2 }),
    );
  });

  it('takes up a refresh that another process began and never finished', async () => {
    const other = await world.openBroker();
    world.authorizationServer.fail((request) => (isRefresh(request) ? { destroyBefore: true } : undefined));
    await expect(other.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(journal(world.vaultPath)).toMatchObject([{ attempt: 1, outcome: null }]);
    world.authorizationServer.fail(undefined);
    await pass(2);
    await vi.waitFor(() =>
      expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 2 }),
    );
  });

  it('is ready while it turns, and stops with a refresh in flight brought to its end', async () => {
    expect(await broker.readiness()).toEqual({ isReady: true, status: 'ready' });
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const refreshed = broker.refresh(OPERATOR, 'demo');
    await gate.arrived;
    const closed = broker.close();
    gate.open();
    expect(await refreshed).toMatchObject({ generation: 2 });
    await closed;
    expect(connectionRow(world.vaultPath).generation).toBe(2);
  });
});
