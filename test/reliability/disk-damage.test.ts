import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Step } from '../../src/steps.ts';
import { type DiskWorld, startDiskWorld } from '../support/disk-world.ts';
import { isRefresh } from '../support/gate.ts';
import { expectFailure } from '../support/journey.ts';
import { connectionRow, journal, rowsOf } from '../support/vault-file.ts';

const PAGE_SIZE = 4_096;

/** Overwrites part of a closed vault file, as a failing disk or a wrong tool would. */
function overwrite(path: string, page: number, { value = 0xff, from = 0, bytes = PAGE_SIZE } = {}): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(bytes, value), 0, bytes, (page - 1) * PAGE_SIZE + from);
  closeSync(file);
}

/** First page of a table or an index. */
function pageOf(path: string, name: string): number {
  const [row] = rowsOf<{ rootpage: number }>(path, 'SELECT rootpage FROM sqlite_master WHERE name = ?', name);
  if (!row) throw new Error(`there is no ${name}`);
  return row.rootpage;
}

/** Puts a file in the place of the vault, with nothing of the old one beside it. */
function putBack(path: string, backup: string): void {
  for (const suffix of ['-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
  copyFileSync(backup, path);
}

describe('a vault file', () => {
  let world: DiskWorld;
  let path: string;
  let backup: string;
  let close: () => Promise<void>;

  beforeAll(async () => {
    world = await startDiskWorld({
      onTestFinished(whatCloses) {
        close = whatCloses;
      },
    });
    path = world.vaultPath;
    backup = `${path}.backup`;
    copyFileSync(path, backup);
  });

  afterAll(async () => {
    try {
      // The login that lived through it all.
      putBack(path, backup);
      expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
      await world.expectNothingLost(2);
    } finally {
      await close();
    }
  });

  beforeEach(() => putBack(path, backup));

  /** Exit code 3; the file is named, and that a backup is to be put back. */
  async function expectRefused(...args: string[]): Promise<void> {
    const result = await world.run(args);
    expectFailure(result, 3, /^error: the vault /);
    expect(result.stderr).toContain(path);
    expect(result.stderr).toContain('restore it from a backup');
  }

  it.for([
    ['its header', () => overwrite(path, 1, { bytes: 100 })],
    ['its first page, which is all zeros', () => overwrite(path, 1, { value: 0 })],
    ['its second half, which is cut off', () => truncateSync(path, 8 * PAGE_SIZE)],
    ['the page of its keys', () => overwrite(path, pageOf(path, 'keys'))],
    ['the page of its connections', () => overwrite(path, pageOf(path, 'connections'))],
    ['half of that page', () => overwrite(path, pageOf(path, 'connections'), { from: 2_048, bytes: 2_048 })],
    ['the page of their names', () => overwrite(path, pageOf(path, 'sqlite_autoindex_connections_2'))],
  ] as const)(
    'damaged in %s is refused by every command, and nothing is written over it',
    async ([, damage]) => {
      damage();
      const damaged = readFileSync(path);
      await expectRefused('refresh', 'demo');
      await expectRefused('serve', '--listen', '127.0.0.1:0');
      await expectRefused('login', 'demo', '--no-browser');
      expect(readFileSync(path)).toEqual(damaged);
      expect(world.authorizationServer.requests.filter(isRefresh)).toEqual([]);
    },
  );

  it.for(['leases', 'rotations', 'sqlite_autoindex_rotations_1', 'clients', 'migrations'])(
    'damaged in the page of %s presents nothing',
    async (name) => {
      overwrite(path, pageOf(path, name));
      await expectRefused('refresh', 'demo');
      expect(world.authorizationServer.requests.filter(isRefresh)).toEqual([]);
    },
  );
});

describe('a vault', () => {
  let world: DiskWorld;

  beforeEach(async (context) => {
    world = await startDiskWorld(context);
  });

  const isIntact = () => rowsOf(world.vaultPath, 'PRAGMA integrity_check');

  /** Tears the end off SQLite's log, as when the power fails before all of it is on the disk. */
  function tearLog(): void {
    const log = `${world.vaultPath}-wal`;
    truncateSync(log, statSync(log).size - 100);
    rmSync(`${world.vaultPath}-shm`);
  }

  async function killRefreshAt(step: Step): Promise<void> {
    const killed = world.trace(['refresh', 'demo'], { step });
    expect(await killed.process.exited).toBeNull();
    expect(existsSync(`${world.vaultPath}-wal`)).toBe(true);
  }

  it('that broke where only the save looks: the pair is put aside, and goes into the backup that is put back', async () => {
    const backup = `${world.vaultPath}.backup`;
    world.expireAccessToken();
    copyFileSync(world.vaultPath, backup);
    overwrite(world.vaultPath, pageOf(world.vaultPath, 'audit'));
    const daemon = await world.startDaemon();
    const asked = daemon.ask();
    await daemon.process.waitFor(/a new token could not be saved yet/, 'stderr');
    expect(await daemon.process.stop()).toBe(0);
    expect(await asked).toMatchObject({ status: 503, json: { code: 'save_failed' } });
    world.expectPutAside();

    // Damaged as it is, it must not present what is used up.
    world.endLeases();
    const result = await world.run(['refresh', 'demo']);
    expect(result.code, result.stderr).toBe(3);
    expect(result.stderr).toContain('restore it from a backup');
    putBack(world.vaultPath, backup);
    expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
    await world.expectNothingLost(3);
  });

  it('whose log a killed daemon left behind has all that was saved, whatever the shared memory beside it holds', async () => {
    world.expireAccessToken();
    const killed = await world.startDaemon();
    const { json } = await killed.ask();
    await killed.process.stop('SIGKILL');
    expect(statSync(`${world.vaultPath}-wal`).size).toBeGreaterThan(0);
    writeFileSync(`${world.vaultPath}-shm`, Buffer.alloc(statSync(`${world.vaultPath}-shm`).size, 0xff));

    const daemon = await world.startDaemon();
    expect((await daemon.ask()).json.access_token).toBe(json.access_token);
    expect(isIntact()).toEqual([{ integrity_check: 'ok' }]);
    expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
    await world.expectNothingLost(3);
  });

  it('whose log is torn in the journal opens as it was before, and nothing was presented', async () => {
    await killRefreshAt('refresh.journaled');
    expect(journal(world.vaultPath)).toHaveLength(1);
    tearLog();
    expect(await world.here((broker) => broker.list(OPERATOR))).toBe(0);
    expect(isIntact()).toEqual([{ integrity_check: 'ok' }]);
    expect(journal(world.vaultPath)).toEqual([]);
    expect(world.authorizationServer.requests.filter(isRefresh)).toEqual([]);

    world.endLeases();
    expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
    await world.expectNothingLost(2);
  });

  it('whose log is torn in the save opens as it was before, and the open journal tells of the presentation', async () => {
    await killRefreshAt('refresh.saved');
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 2 });
    const [, answered] = world.authorizationServer.requests.filter(({ path }) => path === '/token');
    tearLog();
    expect(await world.here((broker) => broker.list(OPERATOR))).toBe(0);
    expect(isIntact()).toEqual([{ integrity_check: 'ok' }]);
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 1, state: 'ok' });
    expect(journal(world.vaultPath)).toMatchObject([{ generation: 1, attempt: 1, outcome: null }]);

    // A server that knows of lost answers gives the same once more; the policy asks it just once more.
    world.authorizationServer.fail((request) =>
      isRefresh(request) && request.form?.refresh_token === answered?.form?.refresh_token
        ? { status: 200, body: answered?.answer as object }
        : undefined,
    );
    world.endLeases();
    expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
    expect(journal(world.vaultPath)).toMatchObject([
      { attempt: 1, outcome: 'superseded' },
      { attempt: 2, outcome: 'success' },
    ]);
    expect(world.ledger().map(({ presentations }) => presentations)).toEqual([2, 0]);
    expect((await world.stored()).refreshToken).toBe(world.ledger()[1]?.fingerprint);
  });
});
