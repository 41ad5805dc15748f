import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { first, query, type Steps } from '../../src/vault/database.ts';
import { openSqlite } from '../../src/vault/sqlite.ts';
import { openTestDatabase, type TestDatabase } from '../support/sqlite.ts';

let test: TestDatabase;

beforeEach(async () => {
  test = await openTestDatabase();
  await test.database.run(() => query('CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)'));
});

afterEach(() => test.close());

const add = (text: string) => query('INSERT INTO notes (text) VALUES (?)', text);

function* texts(): Steps<string[]> {
  return (yield* query<{ text: string }>('SELECT text FROM notes ORDER BY id')).map(({ text }) => text);
}

const modeOf = (path: string) => statSync(path).mode & 0o777;

describe('the SQLite file', () => {
  it('is readable by its owner only, its companions and its directory too', () => {
    expect(modeOf(dirname(test.path))).toBe(0o700);
    for (const file of [test.path, `${test.path}-wal`, `${test.path}-shm`]) expect(modeOf(file)).toBe(0o600);
  });

  it('is synced at every commit, in WAL, with foreign keys enforced', async () => {
    const { database } = test;
    const pragma = async (name: string) =>
      Object.values((await database.run(() => first(`PRAGMA ${name}`))) ?? {})[0];
    expect(await pragma('journal_mode')).toBe('wal');
    expect(await pragma('synchronous')).toBe(2);
    expect(await pragma('foreign_keys')).toBe(1);
    expect(await pragma('busy_timeout')).toBeLessThanOrEqual(100);
  });

  it('is not made when it is missing and nobody wants to create one', () => {
    const path = join(dirname(test.path), 'deeper', 'other.db');
    expect(() => openSqlite(path, test.clock, false)).toThrow(
      expect.objectContaining({ code: 'vault_missing', hint: expect.stringContaining('BROKER_AGENT_KEY') }),
    );
    expect(() => statSync(dirname(path))).toThrow('ENOENT');
  });

  it('cannot be made below a file, and says which path', () => {
    const path = join(test.path, 'vault', 'broker.db');
    expect(() => openSqlite(path, test.clock, true)).toThrow(
      expect.objectContaining({ code: 'vault_unavailable', message: expect.stringContaining(path) }),
    );
  });

  it('cannot be a directory', () => {
    const path = join(dirname(test.path), 'folder');
    mkdirSync(path);
    expect(() => openSqlite(path, test.clock, true)).toThrow(
      expect.objectContaining({ code: 'vault_unavailable' }),
    );
  });

  it('is left alone when it is no database', () => {
    const path = join(dirname(test.path), 'shopping.txt');
    writeFileSync(path, 'milk, bread and a great many other things');
    expect(() => openSqlite(path, test.clock, true)).toThrow(
      expect.objectContaining({ code: 'vault_unavailable' }),
    );
    expect(statSync(path).size).toBe(41);
  });
});

describe('a transaction', () => {
  it('gives back what its steps return', async () => {
    const rows = await test.database.transaction(function* () {
      yield* add('one');
      return yield* texts();
    });
    expect(rows).toEqual(['one']);
  });

  it('is rolled back wholly when a step throws', async () => {
    const failing = test.database.transaction(function* () {
      yield* add('one');
      throw new RangeError('changed my mind');
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(await test.database.run(texts)).toEqual([]);
  });

  it('is rolled back wholly when a statement fails', async () => {
    const failing = test.database.transaction(function* () {
      yield* add('one');
      yield* query('INSERT INTO notes (text) VALUES (NULL)');
    });
    await expect(failing).rejects.toMatchObject({ code: 'vault_unavailable' });
    expect(await test.database.run(texts)).toEqual([]);
  });

  it('leaves the connection usable after it failed', async () => {
    await expect(test.database.transaction(() => query('no sql at all'))).rejects.toThrow();
    await test.database.transaction(() => add('two'));
    expect(await test.database.run(texts)).toEqual(['two']);
  });

  it('is seen by another connection once it has resolved', async () => {
    const other = test.openAgain();
    await test.database.transaction(() => add('one'));
    expect(await other.run(texts)).toEqual(['one']);
  });

  it('of many at once loses none', async () => {
    const { database } = test;
    const count = function* (): Steps<number> {
      const text = String((yield* texts()).length);
      yield* add(text);
      return Number(text);
    };
    const seen = await Promise.all(Array.from({ length: 20 }, () => database.transaction(count)));
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });
});

describe('a database that another connection keeps locked', () => {
  it('is waited for without blocking the event loop, and written once it is free', async () => {
    const other = test.openAgain();
    other.connection.exec('BEGIN IMMEDIATE');
    const writing = test.database.transaction(() => add('patient'));
    // Reached only if control comes back to us while the lock is held.
    await test.clock.untilWaiting();
    other.connection.exec('COMMIT');
    await test.clock.advance(1000);
    await writing;
    expect(await other.run(texts)).toEqual(['patient']);
  });

  it('is given up after 10 s with vault_locked', async () => {
    const other = test.openAgain();
    other.connection.exec('BEGIN IMMEDIATE');
    const writing = test.database.transaction(() => add('late'));
    const refused = expect(writing).rejects.toMatchObject({ code: 'vault_locked' });
    await test.clock.untilWaiting();
    // Whatever the wall clock does meanwhile.
    test.clock.jump(-3_600_000);
    await test.clock.advance(11_000);
    await refused;
    other.connection.exec('COMMIT');
    expect(await other.run(texts)).toEqual([]);
  });

  it('can still be read', async () => {
    await test.database.transaction(() => add('one'));
    const other = test.openAgain();
    other.connection.exec('BEGIN IMMEDIATE');
    expect(await test.database.run(texts)).toEqual(['one']);
    other.connection.exec('ROLLBACK');
  });
});

describe('closing', () => {
  it('may be done twice, and ends all work', async () => {
    await test.database.close();
    await test.database.close();
    await expect(test.database.run(texts)).rejects.toThrow();
  });
});
