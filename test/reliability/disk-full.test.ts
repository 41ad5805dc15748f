import { describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { type DiskWorld, startDiskWorld } from '../support/disk-world.ts';
import { MOUNTING, makeReadOnly, toSmallDisk } from '../support/failing-disk.ts';
import { createGate } from '../support/gate.ts';
import { expectFailure } from '../support/journey.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { rowsOf } from '../support/vault-file.ts';

const MINUTE_MS = 60_000;

/** Less than a refresh wants to see free, and plenty for everything else. */
const NEARLY_FULL = 8 * 1024 * 1024;

/** SQLite's words, and ours. */
const FULL = /^error: .*( full|disk I\/O error)$/;

const isRevocation = ({ path }: RecordedRequest) => path === '/token/revocation';

const presentations = (world: DiskWorld) => world.ledger().map((entry) => entry.presentations);
const requestsTo = (world: DiskWorld, wanted: string) =>
  world.authorizationServer.requests.filter(({ method, path }) => method === 'POST' && path === wanted);
const connections = (world: DiskWorld) => rowsOf(world.vaultPath, 'SELECT * FROM connections');

/** Refused because the disk is full, in words that say so. */
async function expectFull(world: DiskWorld, ...args: string[]): Promise<void> {
  const stderr = await expectRefused(world, args, FULL);
  expect(stderr).toMatch(/→ .*(free space|make room)/);
}

/** Exit code 3; the vault is named, and what to do. What was said. */
async function expectRefused(world: DiskWorld, args: string[], why: RegExp): Promise<string> {
  const result = await world.run(args);
  expectFailure(result, 3, why);
  expect(result.stderr).toContain(world.vaultPath);
  world.expectNoSecret(result.stderr);
  return result.stderr;
}

async function expectRefresh(world: DiskWorld): Promise<void> {
  expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
}

describe.skipIf(MOUNTING.isMissing)(`a disk${MOUNTING.note}`, () => {
  it.for([
    ['nearly full', NEARLY_FULL],
    ['full', 0],
  ] as const)(
    'that is %s: a living token is served with a warning, an ended one is not refreshed',
    async ([, free], context) => {
      const world = await startDiskWorld(context);
      const disk = toSmallDisk(world.vaultDirectory);
      const daemon = await world.startDaemon();
      const { accessToken } = await world.stored();
      world.expireAccessToken(10 * MINUTE_MS);
      disk.fill(free);
      const living = await daemon.ask('/v1/connections/demo/token?min_ttl=1200');
      expect(living).toMatchObject({ status: 200, json: { access_token: accessToken, generation: 1 } });
      expect(living.json.warnings).toEqual([expect.stringMatching(/^not refreshed: .* full$/)]);

      disk.makeRoom();
      world.expireAccessToken();
      disk.fill(free);
      const { status, headers, json, text } = await daemon.ask();
      expect({ status, ...json }, text).toMatchObject({
        status: 503,
        code: 'vault_unavailable',
        retry_after: 5,
      });
      expect(headers['retry-after']).toBe('5');
      expect(json.detail).toMatch(/ full$/);
      for (const command of ['token', 'refresh']) await expectFull(world, command, 'demo');
      expect(await world.here((broker) => broker.list(OPERATOR))).toBe(0);
      expect(presentations(world)).toEqual([0]);

      disk.makeRoom();
      expect(await daemon.ask()).toMatchObject({ status: 200, json: { generation: 2 } });
      await world.expectNothingLost(2);
    },
  );

  it('that fills up before the save: the pair goes where there is room, and nothing is presented until it is back', async (context) => {
    const world = await startDiskWorld(context);
    const [configDirectory, runtimeDirectory] = world.rescueDirectories;
    const disks = [world.vaultDirectory, configDirectory].map(toSmallDisk);
    const stopped = await world.startWaitingDaemon();
    for (const disk of disks) disk.fill();
    stopped.answer();
    await stopped.process.waitFor(/a new token could not be saved yet/, 'stderr');
    expect(await stopped.process.stop()).toBe(0);
    expect(await stopped.asked).toMatchObject({ status: 503, json: { code: 'save_failed' } });
    world.expectPutAside(runtimeDirectory);

    // The next start can take it in as little: what is in the vault is used up, and must not be presented.
    const daemon = await world.startDaemon();
    world.expectPutAside(runtimeDirectory);
    for (const disk of disks) disk.makeRoom();
    world.endLeases();
    expect(await daemon.ask()).toMatchObject({ status: 200, json: { generation: 2 } });
    await world.expectNothingLost(2);
    expect(world.authorizationServer.refreshes()).toBe(1);
  });

  it('that is full at a first login: nothing is asked of anybody, and with room the login works', async (context) => {
    const world = await startDiskWorld(context, { isSignedIn: false });
    const disk = toSmallDisk(world.vaultDirectory);
    disk.fill();
    await expectFull(world, 'login', world.mcp.url, '--no-browser', '--name', 'demo');
    expect(world.authorizationServer.requests).toEqual([]);

    disk.makeRoom();
    expect((await world.login()).code).toBe(0);
    await expectRefresh(world);
    await world.expectNothingLost(2);
  });

  it('that is full at a logout: the login stays whole, there and here', async (context) => {
    const world = await startDiskWorld(context);
    const disk = toSmallDisk(world.vaultDirectory);
    disk.fill();
    await expectFull(world, 'logout', 'demo');
    expect(requestsTo(world, '/token/revocation')).toEqual([]);

    disk.makeRoom();
    await expectRefresh(world);
    await world.expectNothingLost(2);
  });

  it('that fills up after the revocation of a logout: it is all still here, and given again the logout ends', async (context) => {
    const world = await startDiskWorld(context);
    const disk = toSmallDisk(world.vaultDirectory);
    const before = connections(world);
    const gate = createGate(isRevocation);
    world.authorizationServer.fail(gate.rule);
    const logout = world.start(['logout', 'demo']);
    await gate.arrived;
    disk.fill();
    gate.open();
    const result = { code: await logout.exited, stdout: logout.stdout(), stderr: logout.stderr() };
    expectFailure(result, 3, FULL);
    expect(connections(world)).toEqual(before);

    disk.makeRoom();
    world.endLeases();
    const { code, stderr } = await world.run(['logout', 'demo']);
    expect(code, stderr).toBe(0);
    expect(connections(world)).toEqual([]);
    expect(world.ledger()).toMatchObject([{ isAccepted: false, presentations: 0 }]);
  });
});

describe.skipIf(MOUNTING.isMissing)(`a vault that is read-only${MOUNTING.note}`, () => {
  it.for([
    ['its directory', 'vaultDirectory', 3],
    ['its file alone', 'vaultPath', 0],
  ] as const)('%s: no command begins what it cannot save', async ([, what, list], context) => {
    const world = await startDiskWorld(context);
    const before = await world.stored();
    const undo = makeReadOnly(world[what]);
    for (const args of [
      ['token', 'demo'],
      ['refresh', 'demo'],
      ['logout', 'demo'],
      ['login', 'demo', '--no-browser'],
      ['serve', '--listen', '127.0.0.1:0'],
    ])
      await expectRefused(
        world,
        args,
        /^error: the vault .*(unable to open database file|readonly database)$/,
      );
    // What can be read without writing is shown.
    expect(await world.here((broker) => broker.list(OPERATOR))).toBe(list);
    expect(requestsTo(world, '/token')).toHaveLength(1);
    expect(requestsTo(world, '/token/revocation')).toEqual([]);

    undo();
    expect(await world.stored()).toEqual(before);
    await expectRefresh(world);
    await world.expectNothingLost(2);
  });
});
