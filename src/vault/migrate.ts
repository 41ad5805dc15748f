/**
 * Brings a vault to the schema this program knows: numbered files in `migrations/`, each applied once, in
 * order, under the write lock. Forward only. Each file's checksum is kept, so that an edited old migration is
 * noticed instead of leaving two vaults that only look alike.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { BrokerError } from '../errors.ts';
import type { SqliteDatabase } from './sqlite.ts';

const MIGRATIONS = new URL('../../migrations/', import.meta.url);
const FILE_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/;

interface Migration {
  number: number;
  name: string;
  sql: string;
  checksum: string;
}

/**
 * Applies what is missing. Several processes may start at once: one applies, the others wait and find it done.
 * A file that fails leaves the vault as it was.
 *
 * Throws `vault_newer` for a vault written by a newer program, `vault_unavailable` for an edited migration.
 */
export function migrate(database: SqliteDatabase, now: number, directory: URL = MIGRATIONS): void {
  const known = readMigrations(directory);
  const { connection } = database;
  // Nothing runs beside it yet, so it may block.
  connection.exec('PRAGMA busy_timeout = 10000');
  try {
    // Usually there is nothing to do, and then nobody has to wait for the write lock.
    if (missing(connection, known).length === 0) return;
    connection.exec('BEGIN IMMEDIATE');
    connection.exec(
      'CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)',
    );
    for (const migration of missing(connection, known)) {
      connection.exec(migration.sql);
      connection
        .prepare('INSERT INTO migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)')
        .run(migration.number, migration.name, migration.checksum, now);
    }
    connection.exec('COMMIT');
  } catch (error) {
    if (connection.isTransaction) connection.exec('ROLLBACK');
    throw error;
  } finally {
    connection.exec('PRAGMA busy_timeout = 0');
  }
}

/** How far a vault is. */
export interface Schema {
  /** Number of the newest migration it has. 0: none. */
  schema: number;
  /** Number of the newest there is. */
  newest: number;
  /** Names of those it lacks, in order. */
  missing: string[];
}

/** Number of the newest migration this program knows. */
export function newestMigration(directory: URL = MIGRATIONS): number {
  return readMigrations(directory).at(-1)?.number ?? 0;
}

/** What a vault has and lacks. Throws as `migrate` does for one that it would refuse. */
export function schemaOf(connection: DatabaseSync, directory: URL = MIGRATIONS): Schema {
  const known = readMigrations(directory);
  const lacking = missing(connection, known);
  const has = known.filter((each) => !lacking.includes(each));
  return {
    schema: has.at(-1)?.number ?? 0,
    newest: known.at(-1)?.number ?? 0,
    missing: lacking.map(({ name }) => name),
  };
}

function readMigrations(directory: URL): Migration[] {
  return readdirSync(directory)
    .filter((name) => FILE_NAME.test(name))
    .sort()
    .map((name) => {
      const sql = readFileSync(new URL(name, directory), 'utf8');
      const checksum = createHash('sha256').update(sql).digest('hex');
      return { number: Number(name.slice(0, 4)), name, sql, checksum };
    });
}

/** Migrations not applied yet. Throws for a vault that is newer than we are, or was made by other files. */
function missing(connection: DatabaseSync, known: Migration[]): Migration[] {
  const hasTable = connection.prepare("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").get();
  if (!hasTable) return known;
  const applied = checkApplied(
    connection.prepare('SELECT number, name, checksum FROM migrations').all(),
    known,
  );
  return known.filter(({ number }) => !applied.has(number));
}

function checkApplied(rows: Record<string, unknown>[], known: Migration[]): Set<number> {
  const byNumber = new Map(known.map((migration) => [migration.number, migration]));
  for (const row of rows) {
    const migration = byNumber.get(row.number as number);
    if (!migration) {
      throw new BrokerError('vault_newer', `this vault was written by a newer broker (it has ${row.name})`, {
        hint: 'install that version or a later one; nothing was changed',
      });
    }
    if (migration.checksum !== row.checksum) {
      throw new BrokerError(
        'vault_unavailable',
        `the migration ${migration.name} was edited after it was applied`,
        {
          hint: 'reinstall the broker: its migrations are not those that made this vault',
        },
      );
    }
  }
  return new Set(rows.map((row) => row.number as number));
}
