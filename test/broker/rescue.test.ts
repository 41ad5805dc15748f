import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { atStep } from '../support/at-step.ts';
import { freePort } from '../support/free-port.ts';
import { isRefresh } from '../support/gate.ts';
import { changeVault } from '../support/leases.ts';
import { type SignInOptions, signIn } from '../support/sign-in.ts';
import { auditTrail, connectionRow } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;

const files = () =>
  readdirSync(world.settings.configDirectory).filter((name) => name.startsWith('mtb-rescue-'));
const refreshes = () => world.authorizationServer.requests.filter(isRefresh).length;

/** Makes every save of a token fail as a broken disk does, until mended. */
function breakSaves(what = 'UPDATE OF secrets ON connections'): { mend(): void } {
  const database = new DatabaseSync(world.vaultPath);
  database.exec(`CREATE TRIGGER broken BEFORE ${what} BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END`);
  return {
    mend() {
      database.exec('DROP TRIGGER broken');
      database.close();
    },
  };
}

/** Advances time until the promise is settled. */
async function elapse<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  let result: PromiseSettledResult<T> | undefined;
  const settling = Promise.allSettled([promise]).then(([settled]) => {
    result = settled;
  });
  while (result === undefined) {
    await Promise.race([settling, world.clock.untilWaiting()]);
    if (result === undefined) await world.clock.advance(1_000);
  }
  return result;
}

/** A login whose save fails until it gives up. */
async function failToSignIn(
  broker: Broker,
  request: SignInOptions = {},
): Promise<PromiseSettledResult<unknown>> {
  const isSaving = new Promise<void>((resolve) => atStep('login.sealed', resolve));
  const login = signIn(broker, world.authorizationServer, world.mcp.url, request);
  await isSaving;
  return elapse(login);
}

beforeEach(async () => {
  world = await startWorld();
});

afterEach(() => world.close());

describe('a new pair that the vault cannot take', () => {
  it('is put aside sealed by a command, which then fails, and taken in by the next one', async () => {
    const broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const disk = breakSaves();
    const outcome = await elapse(broker.refresh(OPERATOR, 'demo'));
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'save_failed' } });
    const [name = ''] = files();
    const path = join(world.settings.configDirectory, name);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toMatch(/^ey[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(connectionRow(world.vaultPath).generation).toBe(1);
    disk.mend();

    const next = await world.openBroker();
    expect(files()).toEqual([]);
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 2, state: 'ok' });
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ action: 'rescue', outcome: 'ok' });
    // The rotated refresh token is the one the server wants now.
    expect(await next.refresh(OPERATOR, 'demo')).toMatchObject({ generation: 3 });
    expect(refreshes()).toBe(2);
  });

  it('is kept in memory by a resident broker, which lets its callers go and saves it as soon as it can', async () => {
    const broker = await world.openBroker({ isResident: true });
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const disk = breakSaves();
    const outcome = await elapse(broker.refresh(OPERATOR, 'demo'));
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'save_failed' } });
    expect(await broker.readiness()).toEqual({ isReady: false, status: 'save_failed' });
    // Further callers are told the same, and no refresh token is spent meanwhile.
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'save_failed' });
    expect(refreshes()).toBe(1);
    expect(files()).toHaveLength(1);
    disk.mend();
    while (connectionRow(world.vaultPath).generation === 1) {
      await world.clock.untilWaiting();
      await world.clock.advance(5_000);
    }
    expect(await broker.readiness()).toEqual({ isReady: true, status: 'ready' });
    expect(files()).toEqual([]);
    expect(await broker.token(OPERATOR, 'demo')).toMatchObject({ generation: 2 });
  });

  it('is put aside at once when a resident broker is told to stop', async () => {
    const broker: Broker = await world.openBroker({ isResident: true });
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const disk = breakSaves();
    const refreshed = broker.refresh(OPERATOR, 'demo').catch((error: unknown) => error);
    while (refreshes() === 0) await new Promise(setImmediate);
    await world.clock.untilWaiting(2);
    await broker.close();
    expect(await refreshed).toMatchObject({ code: 'save_failed' });
    expect(files()).toHaveLength(1);
    disk.mend();
    const next = await world.openBroker();
    expect(await next.token(OPERATOR, 'demo')).toMatchObject({ generation: 2 });
  });

  it('is judged by whoever takes it in: of another account than demanded, nobody gets it', async () => {
    const broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    changeVault(world.vaultPath, "UPDATE connections SET expected_account = 'bob@example.com'");
    const disk = breakSaves();
    await elapse(broker.refresh(OPERATOR, 'demo'));
    expect(files()).toHaveLength(1);
    disk.mend();
    const next = await world.openBroker();
    expect(files()).toEqual([]);
    const judged = { state: 'login_required', code: 'account_mismatch', generation: 2 };
    expect(connectionRow(world.vaultPath)).toMatchObject(judged);
    await expect(next.token(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
  });

  it('of a first login is put aside too, and the next command finds it connected', async () => {
    const broker = await world.openBroker();
    const disk = breakSaves('INSERT ON connections');
    const outcome = await failToSignIn(broker);
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'save_failed' } });
    expect(files()).toHaveLength(1);
    disk.mend();
    const next = await world.openBroker();
    expect(files()).toEqual([]);
    expect(await next.refresh(OPERATOR, 'demo')).toMatchObject({ generation: 2, state: 'ok' });
    expect(auditTrail(world.vaultPath).map(({ action }) => action)).toEqual(['rescue', 'refresh']);
  });

  it('of another login takes the place of the old one, with its own client', async () => {
    const broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const before = connectionRow(world.vaultPath).client_row_id;
    const disk = breakSaves();
    const callbackPort = await freePort();
    await failToSignIn(broker, { callbackPort });
    disk.mend();
    const next = await world.openBroker();
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 2, state: 'ok' });
    expect(connectionRow(world.vaultPath).client_row_id).not.toBe(before);
    expect(await next.refresh(OPERATOR, 'demo')).toMatchObject({ generation: 3, state: 'ok' });
  });

  it('of a first login becomes the spare when the person was faster', async () => {
    const broker = await world.openBroker();
    const disk = breakSaves('INSERT ON connections');
    await failToSignIn(broker);
    disk.mend();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    await world.openBroker();
    expect(files()).toEqual([]);
    expect(connectionRow(world.vaultPath)).toMatchObject({
      generation: 1,
      spare: expect.stringMatching(/^ey/),
    });
  });

  it('belongs to nothing after a logout, also when somebody signs in anew under that name', async () => {
    const broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const disk = breakSaves();
    await elapse(broker.refresh(OPERATOR, 'demo'));
    disk.mend();
    await broker.logout(OPERATOR, 'demo');
    await signIn(broker, world.authorizationServer, world.mcp.url);
    await world.openBroker();
    expect(files()).toEqual([]);
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 1, spare: null });
  });

  it('becomes the spare when a login was saved in its place meanwhile', async () => {
    const broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const disk = breakSaves();
    await elapse(broker.refresh(OPERATOR, 'demo'));
    disk.mend();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    await world.openBroker();
    expect(files()).toEqual([]);
    expect(connectionRow(world.vaultPath)).toMatchObject({
      generation: 2,
      spare: expect.stringMatching(/^ey/),
    });
  });
});
