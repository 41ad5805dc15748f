/**
 * SQLite through Node's built-in driver: one connection per process, WAL, synced at every commit.
 *
 * `synchronous=FULL` costs a fraction of a millisecond and is what makes "saved before handed out" true across
 * a power cut. A busy wait inside SQLite would stop the event loop, so there is none: we wait between tries
 * asynchronously.
 */
import { closeSync, existsSync, mkdirSync, openSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Clock } from '../clock.ts';
import { BrokerError, systemCode } from '../errors.ts';
import type { Database, Steps } from './database.ts';

/** While opening, nothing runs beside it yet, so it may block. */
const OPEN_TIMEOUT_MS = 10_000;
const LOCK_DEADLINE_MS = 10_000;
const LOCK_RETRY_MS = 25;
/** Tries at switching a new file to WAL, with a pause each: ten seconds at most. */
const WAL_TRIES = 400;

/** SQLITE_BUSY and SQLITE_LOCKED; extended codes carry them in the low byte. */
const BUSY = 5;
const LOCKED = 6;
/** SQLITE_CORRUPT and SQLITE_NOTADB. */
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

/** WAL needs shared memory, which these filesystems (NFS, SMB, CIFS, SMB2, AFS, Ceph, 9p) do not give. */
const NETWORK_FILESYSTEMS = new Set([
  0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f, 0x00c36400, 0x01021997,
]);

/** What Keyv and the migrations need beyond the seam: the connection itself. */
export interface SqliteDatabase extends Database {
  readonly connection: DatabaseSync;
  /** Runs one statement through the cache of prepared statements. */
  execute(sql: string, parameters: unknown[]): unknown[];
  /** How often this process may have changed what `REMEMBERED` names. */
  readonly changes: number;
  /** Another number whenever another process has changed anything. */
  foreignVersion(): number;
}

interface Prepared {
  statement: StatementSync;
  /** Whether running it makes what others remember wrong. */
  isChange: boolean;
}

/** Tables whose rows are worth remembering; that somebody used one changes nothing about it. */
const REMEMBERED = /^\s*(INSERT INTO|UPDATE|DELETE FROM) (agents|connections|servers|keys)\b/;
const MERE_USE = /^UPDATE \w+ SET last_used_at = \? WHERE/;

/**
 * Opens the file, creating it (0600, in a 0700 directory) when `create` is set.
 *
 * Throws `vault_missing` when it is not there and may not be created, `vault_unavailable` when it cannot be
 * opened, written or locked.
 */
export function openSqlite(path: string, clock: Clock, create: boolean): SqliteDatabase {
  try {
    prepareFile(path, create);
    return openCurrent(path, clock);
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError('vault_unavailable', `the vault ${path} cannot be opened: ${reason(error)}`, {
      hint: isDamaged(error)
        ? DAMAGED_HINT
        : `check that ${dirname(path)} exists, has free space, and that this user may write there, or choose another place with --home`,
      cause: error,
    });
  }
}

/** While one waits for its lock, the file may be replaced by a restored one: then it is opened once more. */
function openCurrent(path: string, clock: Clock): SqliteDatabase {
  let database = new SqliteConnection(path, clock);
  for (; !database.isCurrent; database = new SqliteConnection(path, clock)) database.connection.close();
  return database;
}

function prepareFile(path: string, create: boolean): void {
  if (!existsSync(path)) {
    if (!create) {
      throw new BrokerError('vault_missing', `there is no vault at ${path}`, {
        hint:
          'sign in first with: broker login <url>\n' +
          'or, to ask a running daemon instead, set BROKER_AGENT_KEY (and BROKER_URL)',
      });
    }
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // The -wal and -shm files take the mode of this one.
    closeSync(openSync(path, 'a', 0o600));
  }
  if (NETWORK_FILESYSTEMS.has(statfsSync(dirname(path)).type)) {
    throw new BrokerError('vault_unavailable', `the vault ${path} is on a network filesystem`, {
      hint: 'SQLite would corrupt it there; choose a local directory with --home',
    });
  }
}

class SqliteConnection implements SqliteDatabase {
  readonly connection: DatabaseSync;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #prepared = new Map<string, Prepared>();
  #closed = false;
  #changes = 0;

  /** Whether the file at the path is the one that was opened. */
  readonly isCurrent: boolean;

  constructor(path: string, clock: Clock) {
    const { ino } = statSync(path);
    this.#path = path;
    this.#clock = clock;
    this.connection = new DatabaseSync(path, { timeout: OPEN_TIMEOUT_MS, enableForeignKeyConstraints: true });
    try {
      this.connection.exec('PRAGMA synchronous = FULL');
      // Waits for a lock, and makes no file beside this one yet.
      this.connection.exec('SELECT 1 FROM sqlite_schema LIMIT 1');
      this.isCurrent = statSync(path).ino === ino;
      if (this.isCurrent) switchToWal(this.connection);
      // Several that wait for a lock, each blocking the loop for a moment, would leave nothing of it.
      this.connection.exec('PRAGMA busy_timeout = 0');
    } catch (error) {
      this.connection.close();
      throw error;
    }
  }

  run<T>(steps: () => Steps<T>): Promise<T> {
    return this.#retryWhileLocked(() => this.#drive(steps()));
  }

  transaction<T>(steps: () => Steps<T>): Promise<T> {
    return this.#retryWhileLocked(() => {
      this.connection.exec('BEGIN IMMEDIATE');
      try {
        const result = this.#drive(steps());
        this.connection.exec('COMMIT');
        return result;
      } catch (error) {
        if (this.connection.isTransaction) this.connection.exec('ROLLBACK');
        throw error;
      }
    });
  }

  execute(sql: string, parameters: unknown[]): unknown[] {
    const { statement, isChange } = this.#prepare(sql);
    if (isChange) this.#changes += 1;
    return statement.all(...(parameters as (string | number | null)[]));
  }

  get changes(): number {
    return this.#changes;
  }

  foreignVersion(): number {
    const [row] = this.#prepare('PRAGMA data_version').statement.all() as { data_version: number }[];
    return row?.data_version ?? 0;
  }

  #prepare(sql: string): Prepared {
    const before = this.#prepared.get(sql);
    if (before) return before;
    const isChange = REMEMBERED.test(sql) && !MERE_USE.test(sql);
    const prepared = { statement: this.connection.prepare(sql), isChange };
    this.#prepared.set(sql, prepared);
    return prepared;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#prepared.clear();
    this.connection.close();
  }

  #drive<T>(steps: Steps<T>): T {
    let turn = steps.next();
    while (!turn.done) turn = steps.next(this.execute(turn.value.sql, turn.value.parameters));
    return turn.value;
  }

  async #retryWhileLocked<T>(work: () => T): Promise<T> {
    // Counted, not read from the clock, which may be set meanwhile.
    let waitedMs = 0;
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!isLocked(error)) throw translate(error, this.#path);
        if (waitedMs >= LOCK_DEADLINE_MS) {
          throw new BrokerError('vault_locked', 'another process keeps the vault locked', {
            hint: 'try again; if it stays so, look for a hanging broker process or backup job',
            cause: error,
          });
        }
        await this.#clock.wait(LOCK_RETRY_MS);
        waitedMs += LOCK_RETRY_MS;
      }
    }
  }
}

/** Two processes that switch a new file at the same moment block each other, and SQLite tells one of them at once. */
function switchToWal(connection: DatabaseSync): void {
  for (let tries = WAL_TRIES; ; tries -= 1) {
    try {
      connection.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (!isLocked(error) || tries === 0) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_RETRY_MS);
    }
  }
}

/** Whether another connection stood in the way. */
export function isLocked(error: unknown): boolean {
  const code = sqliteCode(error);
  return code !== undefined && ((code & 0xff) === BUSY || (code & 0xff) === LOCKED);
}

/** SQLite's own failures (disk full, I/O error, read-only) become one clear error; everything else passes. */
function translate(error: unknown, path: string): unknown {
  if (sqliteCode(error) === undefined) return error;
  return new BrokerError(
    'vault_unavailable',
    `the vault ${path} could not be read or written: ${reason(error)}`,
    {
      hint: isDamaged(error)
        ? DAMAGED_HINT
        : 'check free space, the permissions of the vault and its directory, and the disk',
      cause: error,
    },
  );
}

export const DAMAGED_HINT =
  'the file is damaged, or no broker vault: restore it from a backup, or choose another place with --home';

export function isDamaged(error: unknown): boolean {
  return [CORRUPT, NOT_A_DATABASE].includes((sqliteCode(error) ?? 0) & 0xff);
}

function sqliteCode(error: unknown): number | undefined {
  if (systemCode(error) !== 'ERR_SQLITE_ERROR') return undefined;
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === 'number' ? code : 0;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
