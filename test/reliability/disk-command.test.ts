import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { BrokerProcess, BrokerResult } from '../support/broker-process.ts';
import { type DiskWorld, startDiskWorld } from '../support/disk-world.ts';
import { REFUSING, refuseWrites } from '../support/failing-disk.ts';
import { freePort } from '../support/free-port.ts';
import { createGate, isRefresh } from '../support/gate.ts';
import { expectFailure } from '../support/journey.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { openPage } from '../support/sign-in.ts';
import { connectionRow, journal, rowsOf } from '../support/vault-file.ts';

/** More than a rescue file and less than what SQLite has in its log by then. */
const VAULT_ONLY = 4_096;

/** A failing save is tried again for 10 s before anybody hears of it. That is real time here. */
const SLOW = { timeout: 60_000 };

const isRedemption = ({ grantType }: RecordedRequest) => grantType === 'authorization_code';

/** Starts a command, and does `harm` to it while the server has its request and has not answered. */
async function harmBeforeAnswer(
  world: DiskWorld,
  command: BrokerProcess,
  isHeld: (request: RecordedRequest) => boolean,
  harm: (pid: number | undefined) => void,
): Promise<void> {
  const gate = createGate(isHeld);
  world.authorizationServer.fail(gate.rule);
  await gate.arrived;
  harm(command.process.pid);
  gate.open();
}

/** How it ended. What it said is for people: no flood, no stack, no secret. */
async function endOf(world: DiskWorld, command: BrokerProcess): Promise<BrokerResult> {
  const result = { code: await command.exited, stdout: command.stdout(), stderr: command.stderr() };
  expect(result.stderr.split('\n').length).toBeLessThan(20);
  expect(result.stderr).not.toMatch(/\bat .*\.js:\d+/);
  world.expectNoSecret(result.stderr);
  return result;
}

interface EndedLogin extends BrokerResult {
  /** What the browser showed. */
  page: string;
}

/** A login whose person does all that is asked, and whose new tokens find no place in the vault. */
async function loginInVain(world: DiskWorld, ...args: string[]): Promise<EndedLogin> {
  const command = world.start(['login', world.mcp.url, '--no-browser', '--name', 'demo', ...args]);
  const [, url = ''] = await command.waitFor(/^ {2}(http\S+\/auth\?\S+)$/m, 'stderr');
  const redirect = await world.authorizationServer.approve(url);
  const refuse = (pid: number | undefined) => void refuseWrites(pid, VAULT_ONLY);
  const harmed = harmBeforeAnswer(world, command, isRedemption, refuse);
  const page = openPage(redirect);
  await harmed;
  const result = await endOf(world, command);
  world.authorizationServer.fail(undefined);
  return { ...result, page: await page };
}

const registrations = (world: DiskWorld) =>
  world.authorizationServer.requests.filter(({ method, path }) => method === 'POST' && path === '/reg');

describe.skipIf(REFUSING.isMissing)(`a command that cannot save a new pair${REFUSING.note}`, SLOW, () => {
  it.concurrent('broker refresh exits 70 and says where it was put aside; the next command takes it in', async (context) => {
    const world = await startDiskWorld(context);
    const command = world.start(['refresh', 'demo']);
    await harmBeforeAnswer(world, command, isRefresh, (pid) => refuseWrites(pid, VAULT_ONLY));
    const result = await endOf(world, command);
    expectFailure(result, 70, /^error: the new token of demo could not be saved$/);
    expect(result.stderr).toMatch(
      /→ check free space and permissions of the vault, then run: broker check$/m,
    );
    const [file = ''] = world.rescueFiles();
    expect(result.stderr).toContain(`it is put aside in ${file} (sealed)`);
    world.expectPutAside();

    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 1, state: 'ok' });
    expect(journal(world.vaultPath)).toMatchObject([{ attempt: 1, outcome: null }]);
    // The lease of the one that could not give it back still runs: nobody has to wait for it here.
    expect((await world.run(['check'])).code).toBe(0);
    await world.expectNothingLost(2);
    expect((await world.run(['refresh', 'demo'])).code).toBe(0);
    await world.expectNothingLost(3);
  });

  it.concurrent('broker login exits 70, the old login is served, and the next command takes in the new one with its client', async (context) => {
    const world = await startDiskWorld(context);
    const daemon = await world.startDaemon();
    const old = await world.stored();
    // Another port means another client, so that old and new could be mixed up.
    const { page, ...result } = await loginInVain(world, '--callback-port', String(await freePort()));
    expectFailure(result, 70, /^error: the new token of demo could not be saved$/);
    expect(page).toContain('the new token of demo could not be saved');
    world.expectPutAside();
    expect((await daemon.ask()).json.access_token).toBe(old.accessToken);
    expect(await world.stored()).toEqual(old);

    expect((await world.run(['list'])).code).toBe(0);
    await world.expectNothingLost(2);
    const { accessToken, clientId } = await world.stored();
    expect((await daemon.ask()).json.access_token).toBe(accessToken);
    expect(clientId).not.toBe(old.clientId);
    expect((await world.run(['refresh', 'demo'])).code).toBe(0);
    await world.expectNothingLost(3);
  });

  it.concurrent('a first broker login exits 70, and the next command finds it connected', async (context) => {
    const world = await startDiskWorld(context, { isSignedIn: false });
    const { page, ...result } = await loginInVain(world);
    expectFailure(result, 70, /^error: the new token of demo could not be saved$/);
    expect(page).toContain('the new token of demo could not be saved');
    world.expectPutAside();
    expect(rowsOf(world.vaultPath, 'SELECT * FROM connections')).toEqual([]);
    expect(rowsOf(world.vaultPath, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);

    const list = await world.run(['list']);
    expect([list.code, list.stdout]).toEqual([0, expect.stringContaining('demo')]);
    expect(registrations(world)).toHaveLength(1);
    await world.expectNothingLost(1);
    expect((await world.run(['refresh', 'demo'])).code).toBe(0);
    await world.expectNothingLost(2);
  });
});

describe('a process that has to wait for another one', () => {
  it('saves its new pair when the vault was locked at that moment, by a backup for example', async (context) => {
    const world = await startDiskWorld(context);
    const backup = new DatabaseSync(world.vaultPath);
    const command = world.trace(['refresh', 'demo']);
    await harmBeforeAnswer(world, command.process, isRefresh, () => backup.exec('BEGIN IMMEDIATE'));
    await expect.poll(() => command.steps()).toContain('refresh.sealed');
    // SQLite itself waits 100 ms. A whole command takes longer, and then it is the process that waits.
    expect((await world.run(['list'])).code).toBe(0);
    backup.exec('ROLLBACK');
    backup.close();
    expect(await command.process.exited, command.process.stderr()).toBe(0);
    await world.expectNothingLost(2);
  });

  it('ends a logout after the refresh that another one had begun', async (context) => {
    const world = await startDiskWorld(context);
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const refresh = world.start(['refresh', 'demo']);
    await gate.arrived;
    const logout = world.trace(['logout', 'demo']);
    // It has the vault open by the time this one, started later, has been through it.
    expect((await world.run(['list'])).code).toBe(0);
    expect([logout.steps(), logout.process.process.exitCode]).toEqual([[], null]);
    gate.open();
    expect(await refresh.exited).toBe(0);
    expect(await logout.process.exited, logout.process.stderr()).toBe(0);
    expect(logout.process.stderr()).toContain('demo is forgotten here');
    expect(world.ledger().filter(({ isAccepted }) => isAccepted)).toEqual([]);
  });

  it('may be told to stop: it does not wait for the lease of one on another machine', async (context) => {
    const world = await startDiskWorld(context);
    world.holdLease('elsewhere', 60_000);
    world.expireAccessToken();
    const daemon = await world.startDaemon();
    const asked = daemon.ask();
    asked.catch(() => undefined);
    expect((await daemon.ask('/v1/connections/demo')).status).toBe(200);
    const toldAt = performance.now();
    expect(await daemon.process.stop()).toBe(0);
    expect(performance.now() - toldAt).toBeLessThan(5_000);
    expect(await asked).toMatchObject({ status: 503, json: { code: 'upstream_unavailable' } });
    expect(world.ledger()).toMatchObject([{ isAccepted: true, presentations: 0 }]);
  });
});
