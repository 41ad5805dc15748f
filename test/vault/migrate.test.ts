import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { query } from '../../src/vault/database.ts';
import { migrate } from '../../src/vault/migrate.ts';
import { runBroker } from '../support/broker-process.ts';
import { openTestDatabase, type TestDatabase } from '../support/sqlite.ts';

const SHIPPED = fileURLToPath(new URL('../../migrations/', import.meta.url));
const MIGRATE_SCRIPT = fileURLToPath(new URL('../support/migrate-process.ts', import.meta.url));

let test: TestDatabase;
let directory: URL;

beforeEach(async () => {
  test = await openTestDatabase();
  const path = join(dirname(test.path), 'migrations');
  mkdirSync(path);
  for (const name of readdirSync(SHIPPED)) copyFileSync(join(SHIPPED, name), join(path, name));
  directory = pathToFileURL(`${path}/`);
});

afterEach(() => test.close());

/** Adds or replaces a migration. */
function write(name: string, sql: string): void {
  writeFileSync(new URL(name, directory), sql);
}

async function tables(): Promise<string[]> {
  const rows = await test.database.run(() =>
    query<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"),
  );
  return rows.map(({ name }) => name);
}

function applied(): Promise<{ number: number; applied_at: number }[]> {
  return test.database.run(() =>
    query<{ number: number; applied_at: number }>(
      'SELECT number, applied_at FROM migrations ORDER BY number',
    ),
  );
}

describe('migrating', () => {
  it('brings a fresh vault to the tables of the shipped files', async () => {
    migrate(test.database, 1);
    expect(await tables()).toEqual(
      expect.arrayContaining(['agents', 'audit', 'connections', 'keys', 'leases', 'rotations']),
    );
    expect(await applied()).toHaveLength(readdirSync(SHIPPED).length);
  });

  it('does nothing the second time', async () => {
    migrate(test.database, 1, directory);
    const before = await applied();
    migrate(test.database, 2, directory);
    expect(await applied()).toEqual(before);
  });

  it('applies only what is missing, in order of number', async () => {
    migrate(test.database, 1, directory);
    write('0003_third.sql', 'ALTER TABLE extra ADD COLUMN more TEXT');
    write('0002_second.sql', 'CREATE TABLE extra (id TEXT PRIMARY KEY)');
    migrate(test.database, 2, directory);
    expect((await applied()).map(({ number, applied_at }) => [number, applied_at])).toEqual([
      [1, 1],
      [2, 2],
      [3, 2],
    ]);
  });

  it('ignores files that are no migrations', async () => {
    write('README.md', 'not SQL');
    write('0002_Draft.sql.orig', 'not SQL');
    migrate(test.database, 1, directory);
    expect(await applied()).toHaveLength(1);
  });

  it('refuses an old migration that was edited, and changes nothing', async () => {
    migrate(test.database, 1, directory);
    const [name = ''] = readdirSync(SHIPPED);
    write(name, `${readFileSync(new URL(name, directory), 'utf8')}\n-- harmless?`);
    write('0002_second.sql', 'CREATE TABLE extra (id TEXT PRIMARY KEY)');
    expect(() => migrate(test.database, 2, directory)).toThrow(
      expect.objectContaining({ code: 'vault_unavailable', message: expect.stringContaining(name) }),
    );
    expect(await tables()).not.toContain('extra');
  });

  it('refuses a vault of a newer program, and changes nothing', async () => {
    write('0002_from_the_future.sql', 'CREATE TABLE future (id TEXT PRIMARY KEY)');
    migrate(test.database, 1, directory);
    expect(() => migrate(test.database, 2)).toThrow(
      expect.objectContaining({
        code: 'vault_newer',
        message: expect.stringContaining('0002_from_the_future.sql'),
      }),
    );
    expect(await applied()).toHaveLength(2);
  });

  it('rolls a broken file back wholly, and the files before it', async () => {
    write('0002_good.sql', 'CREATE TABLE good (id TEXT PRIMARY KEY)');
    write(
      '0003_broken.sql',
      'CREATE TABLE half (id TEXT PRIMARY KEY); CREATE TABLE half (id TEXT PRIMARY KEY)',
    );
    expect(() => migrate(test.database, 1, directory)).toThrow('half');
    expect(await tables()).toEqual([]);
    write('0003_broken.sql', 'CREATE TABLE half (id TEXT PRIMARY KEY)');
    migrate(test.database, 2, directory);
    expect(await tables()).toEqual(expect.arrayContaining(['good', 'half']));
  });

  it('is done by exactly one of four processes that start at once', async () => {
    const starts = ['1', '2', '3', '4'].map((now) =>
      runBroker([test.path, now], { env: {}, script: MIGRATE_SCRIPT }),
    );
    const results = await Promise.all(starts);
    expect(results).toEqual(Array(4).fill(expect.objectContaining({ code: 0 })));
    const rows = await applied();
    expect(rows).toHaveLength(readdirSync(SHIPPED).length);
    expect(new Set(rows.map(({ applied_at }) => applied_at)).size).toBe(1);
  });
});
