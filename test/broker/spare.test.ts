import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { createGate, isRefresh } from '../support/gate.ts';
import { changeVault } from '../support/leases.ts';
import { signIn } from '../support/sign-in.ts';
import { auditTrail, connectionRow } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const AN_HOUR_MS = 3_600_000;

let world: World;
let broker: Broker;

/** A login that was overtaken by a newer one while its refresh was on the way: its pair is the spare. */
beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url);
  const gate = createGate(isRefresh);
  world.authorizationServer.fail(gate.rule);
  const late = broker.refresh(OPERATOR, 'demo');
  await gate.arrived;
  // As after a long sleep of the machine: the lease has ended, and its heartbeat could not run.
  world.clock.jump(10 * 60_000);
  await signIn(broker, world.authorizationServer, world.mcp.url);
  gate.open();
  await late;
  world.authorizationServer.fail(undefined);
  expect(connectionRow(world.vaultPath)).toMatchObject({
    generation: 2,
    spare: expect.stringMatching(/^ey/),
  });
  world.clock.jump(2 * AN_HOUR_MS);
});

afterEach(() => world.close());

describe('a spare', () => {
  it('takes the place of a newer login that died, and nobody has to sign in again', async () => {
    const dead = new Set<string>();
    world.authorizationServer.fail((request) => {
      if (!isRefresh(request)) return undefined;
      const presented = request.form?.refresh_token ?? '';
      // The first token presented is the newer login's: from now on the server knows it no more.
      if (dead.size === 0) dead.add(presented);
      return dead.has(presented) ? { status: 400, body: { error: 'invalid_grant' } } : undefined;
    });
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'degraded', generation: 2 });
    world.clock.jump(61_000);
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 4 });
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 4, spare: null });
    expect(auditTrail(world.vaultPath).map(({ outcome }) => outcome)).toContain('invalid_grant');
    expect(world.authorizationServer.requests.filter(isRefresh)).toHaveLength(4);
  });

  it('of another account than is demanded by then takes the place too, and is handed to nobody', async () => {
    changeVault(world.vaultPath, "UPDATE connections SET expected_account = 'bob@example.com'");
    const dead = new Set<string>();
    world.authorizationServer.fail((request) => {
      if (!isRefresh(request)) return undefined;
      dead.add(request.form?.refresh_token ?? '');
      return { status: 400, body: { error: 'invalid_grant' } };
    });
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    world.clock.jump(61_000);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
    expect(connectionRow(world.vaultPath)).toMatchObject({
      ...{ state: 'login_required', code: 'account_mismatch', generation: 3, spare: null },
    });
    expect(dead.size).toBe(1);
    await expect(broker.token(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
  });

  it('is left alone while the newer login works', async () => {
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 3 });
    expect(connectionRow(world.vaultPath).spare).toMatch(/^ey/);
  });

  it('that is dead too ends in login_required', async () => {
    world.authorizationServer.fail((request) =>
      isRefresh(request) ? { status: 400, body: { error: 'invalid_grant' } } : undefined,
    );
    for (const minutes of [0, 2, 2, 2]) {
      world.clock.jump(minutes * 60_000);
      await broker.refresh(OPERATOR, 'demo').catch(() => undefined);
    }
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'login_required', spare: null });
    // Twice the newer token, twice the spare: each refusal was confirmed, and then it ends.
    expect(world.authorizationServer.requests.filter(isRefresh)).toHaveLength(5);
  });
});

describe('a late pair', () => {
  it('takes the place of a newer login that is dead already', async () => {
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const late = broker.refresh(OPERATOR, 'demo');
    await gate.arrived;
    world.clock.jump(10 * 60_000);
    await signIn(broker, world.authorizationServer, world.mcp.url);
    changeVault(world.vaultPath, "UPDATE connections SET state = 'login_required', code = 'invalid_grant'");
    gate.open();
    expect(await late).toMatchObject({ state: 'ok', generation: 4 });
    world.authorizationServer.fail(undefined);
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 5 });
  });
});
