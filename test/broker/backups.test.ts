import { readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BackupTarget, BackupView } from '../../src/broker/backups.ts';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { backUp, restoreElsewhere } from '../support/restored.ts';
import { signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

const folder = () => world.home.path;
const make = (target: Partial<BackupTarget> = {}): Promise<BackupView> =>
  broker.backups.make({ path: folder(), force: false, keep: undefined, ...target });
const backups = () => readdirSync(folder()).filter((name) => name.endsWith('.backup'));

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url);
});

afterEach(() => world.close());

describe('a backup', () => {
  it('holds everything, sealed as a whole, in a file of its own', async () => {
    const made = await make();
    const { file = '' } = made;
    expect(made).toMatchObject({ connections: 1, agents: 0, schema: 1, removed: [] });
    expect(file).toBe(join(folder(), 'broker-20260101T000000Z.backup'));
    const { mode, size } = statSync(file);
    expect([mode & 0o777, size]).toEqual([0o600, made.bytes]);
    const text = readFileSync(file, 'latin1');
    for (const line of text.trimEnd().split('\n')) {
      const readable = Buffer.from(line.split('.')[0] ?? '', 'base64url').toString();
      expect(Object.keys(JSON.parse(readable))).toEqual([
        'alg',
        'enc',
        'kid',
        'typ',
        'version',
        'backup',
        'vault',
        'made_at',
        'schema',
        'part',
        'last',
      ]);
      expect(readable).not.toContain('demo');
    }
    const [row] = rowsOf<{ detail: string }>(
      world.vaultPath,
      "SELECT detail FROM audit WHERE action = 'backup'",
    );
    expect(JSON.parse(row?.detail ?? '')).toMatchObject({ sha256: made.sha256, file });
  });

  it('opens elsewhere with the master key alone, without what belonged to the moment', async () => {
    const old = statSync(dirname(world.vaultPath));
    await backUp(broker, join(folder(), 'x.backup'));
    const { path } = await restoreElsewhere(world, join(folder(), 'x.backup'));
    for (const table of ['servers', 'clients', 'agents'])
      expect(rowsOf(path, `SELECT * FROM ${table}`)).toEqual(
        rowsOf(world.vaultPath, `SELECT * FROM ${table}`),
      );
    for (const table of ['cache', 'leases', 'sessions', 'logins']) {
      if (table === 'cache') expect(rowsOf(world.vaultPath, 'SELECT * FROM cache')).not.toEqual([]);
      expect(rowsOf(path, `SELECT * FROM ${table}`), table).toEqual([]);
    }
    expect(readdirSync(dirname(world.vaultPath)).filter((name) => name.includes('draft'))).toEqual([]);
    expect(statSync(dirname(path)).mode).toBe(old.mode);
  });

  it('is consistent while a daemon and others write', async () => {
    await world.openBroker({ isResident: true });
    const others = await Promise.all(Array.from({ length: 4 }, () => world.openBroker()));
    let isOver = false;
    let refreshes = 0;
    const writing = others.map(async (each) => {
      for (; !isOver; refreshes += 1) {
        // Each of several rows of one transaction: the pair, its journal, the trail.
        await each.refresh(OPERATOR, 'demo').catch(() => {});
        await world.clock.advance(100);
      }
    });
    const files: string[] = [];
    for (let count = 1; count <= 4; count += 1) {
      const seen = refreshes;
      while (refreshes === seen) await new Promise(setImmediate);
      files.push((await make({ path: join(folder(), `${count}.backup`) })).file ?? '');
    }
    isOver = true;
    await Promise.all(writing);
    const generations: number[] = [];
    for (const file of files) {
      const { path, generation, fingerprint } = await restoreElsewhere(world, file);
      const [last] = rowsOf<{ detail: string }>(
        path,
        "SELECT detail FROM audit WHERE action IN ('refresh', 'login') AND outcome = 'ok' ORDER BY rowid DESC LIMIT 1",
      );
      // What the trail says was saved last is what was saved.
      const told = JSON.parse(last?.detail ?? '{}');
      expect([told.generation, told.refresh_token]).toEqual([generation, fingerprint]);
      generations.push(generation);
    }
    expect(new Set(generations).size).toBe(files.length);
  });

  it('goes to a stream, which is left open', async () => {
    const written: Buffer[] = [];
    const stream = new Writable({
      write(chunk, _, done) {
        written.push(chunk);
        done();
      },
    });
    const made = await broker.backups.make({ stream });
    expect(Buffer.concat(written)).toHaveLength(made.bytes);
    expect([made.file, stream.writableEnded]).toEqual([undefined, false]);
  });

  it('of a damaged vault is refused, and leaves nothing behind', async () => {
    const database = new DatabaseSync(world.vaultPath, { enableForeignKeyConstraints: false });
    database.exec("UPDATE connections SET server = 'nobody'");
    database.close();
    await expect(make()).rejects.toMatchObject({
      code: 'vault_unavailable',
      message: expect.stringMatching(/is damaged$/),
    });
    expect(backups()).toEqual([]);
    expect(readdirSync(dirname(world.vaultPath)).filter((name) => name.includes('draft'))).toEqual([]);
  });
});

describe('the place of a backup', () => {
  it('is never overwritten unless forced, and then only if it is a backup', async () => {
    const path = join(folder(), 'x.backup');
    await make({ path });
    const before = readFileSync(path);
    await expect(make({ path })).rejects.toMatchObject({ code: 'usage', message: `${path} exists already` });
    expect(readFileSync(path).equals(before)).toBe(true);
    await make({ path, force: true });
    expect(readFileSync(path).equals(before)).toBe(false);

    writeFileSync(path, 'precious');
    await expect(make({ path, force: true })).rejects.toMatchObject({ code: 'usage' });
    expect(readFileSync(path, 'utf8')).toBe('precious');
    const vault = { path: world.vaultPath, force: true };
    await expect(make(vault)).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/is no backup/),
    });
  });

  it('must be there', async () => {
    await expect(make({ path: join(folder(), 'no', 'x') })).rejects.toMatchObject({ code: 'usage' });
    await expect(make({ path: join(folder(), 'x'), keep: 2 })).rejects.toMatchObject({ code: 'usage' });
  });

  it('keeps so many of this vault’s backups, and touches nothing else', async () => {
    const other = await startWorld();
    const theirs = await other.openBroker();
    other.clock.jump(-86_400_000);
    const { file = '' } = await theirs.backups.make({ path: folder(), force: false, keep: undefined });
    await other.close();
    writeFileSync(join(folder(), 'broker-20250101T000000Z.backup'), 'not one of ours');
    await make({ path: join(folder(), 'mine.backup') });
    const made: string[] = [];
    for (let day = 0; day < 4; day += 1) {
      world.clock.jump(86_400_000);
      const { removed } = await make({ keep: 2 });
      made.push(...removed);
    }
    expect(made).toEqual(['broker-20260102T000000Z.backup', 'broker-20260103T000000Z.backup']);
    expect(backups().sort()).toEqual([
      'broker-20250101T000000Z.backup',
      file.split('/').at(-1),
      'broker-20260104T000000Z.backup',
      'broker-20260105T000000Z.backup',
      'mine.backup',
    ]);
  });

  it('is cleared of what was left behind by one that died', async () => {
    const left = `${world.vaultPath}.draft-left-behind`;
    const fresh = `${world.vaultPath}.draft-at-work`;
    for (const each of [left, fresh]) writeFileSync(each, '');
    utimesSync(left, 0, 0);
    await make();
    const drafts = readdirSync(dirname(left)).filter((name) => name.includes('draft'));
    expect(drafts).toEqual(['broker.db.draft-at-work']);
    rmSync(fresh);
  });
});
