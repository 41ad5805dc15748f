/**
 * Putting another file in the place of the vault: only while nobody has it open, and so that whoever is killed on the way
 * leaves the old vault or the new one.
 *
 * Leaving WAL mode wants the file for oneself: it fails while any other process has it open, and else leaves no `-wal`
 * beside it, which SQLite would take for that of the new file. From then on the lock is held until the file is replaced.
 */
import { constants, copyFileSync, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { BrokerError } from '../errors.ts';
import { reached } from '../steps.ts';
import { createDraft, removeDraft, sync } from './draft.ts';
import { isGone, processOf } from './owner.ts';
import { isDamaged, isLocked } from './sqlite.ts';

/** A command that only reads is over by then. */
const BUSY_TIMEOUT_MS = 2_000;

/** A connection of the vault that is to be replaced: the columns that change when its refresh token is used. */
export interface OldConnection {
  id: string;
  generation: number;
  state: string;
  failures: number;
  secrets: string;
  /** Refreshes whose outcome is not known. */
  unanswered: number;
}

/** The old vault, which nobody else can open until it is let go. */
export interface HeldVault {
  /** Whether there is anything in it that could be missed. */
  hasData: boolean;
  /** Empty also when it cannot be read. */
  connections: OldConnection[];
  /**
   * Puts the draft in its place.
   *
   * @param asidePath where a copy of the old one is left; undefined: nowhere
   */
  replaceBy(draft: string, asidePath: string | undefined): void;
  release(): void;
}

/**
 * Takes the file at `path`, which need not be there, for oneself.
 *
 * @param mayHaveData whether it may be one with something in it
 * Throws `vault_locked` while a process has it open, `usage` for a vault with data that must have none.
 */
export function holdVault(path: string, now: number, mayHaveData: boolean): HeldVault {
  if (!existsSync(path) || statSync(path).size === 0) return absent(path);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    const found = look(database, now);
    if (found.hasData && !mayHaveData) throw notEmpty(path);
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('PRAGMA journal_mode = DELETE');
    database.exec('BEGIN EXCLUSIVE; COMMIT');
    return held(database, path, found);
  } catch (error) {
    database?.close();
    if (isLocked(error)) throw inUse(path, 'another process');
    if (isDamaged(error) && !mayHaveData) throw notEmpty(path);
    if (isDamaged(error)) return damaged(path);
    throw error;
  }
}

function held(
  database: DatabaseSync,
  path: string,
  found: Pick<HeldVault, 'hasData' | 'connections'>,
): HeldVault {
  let isOpen = true;
  const release = () => {
    if (isOpen) database.close();
    isOpen = false;
  };
  return {
    ...found,
    replaceBy(draft, asidePath) {
      if (asidePath !== undefined) {
        // Not by copying bytes: closing any other handle of the file would give its lock away.
        const copy = createDraft(path);
        try {
          database.prepare('VACUUM INTO ?').run(copy);
          putAside(copy, asidePath);
        } finally {
          removeDraft(copy);
        }
      }
      reached('restore.put-aside');
      moveIn(draft, path);
      release();
    },
    release,
  };
}

/** What SQLite cannot read nobody has open. Its log goes aside with it: that may be all there is to mend it with. */
function damaged(path: string): HeldVault {
  return {
    hasData: true,
    connections: [],
    replaceBy(draft, asidePath) {
      for (const suffix of ['-wal', '-shm']) {
        if (existsSync(path + suffix)) renameSync(path + suffix, `${asidePath}${suffix}`);
      }
      reached('restore.put-aside');
      if (asidePath !== undefined) copyFileSync(path, asidePath, constants.COPYFILE_EXCL);
      moveIn(draft, path);
    },
    release() {},
  };
}

function absent(path: string): HeldVault {
  return {
    hasData: false,
    connections: [],
    replaceBy(draft) {
      for (const suffix of ['-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
      reached('restore.put-aside');
      moveIn(draft, path);
    },
    release() {},
  };
}

function putAside(copy: string, asidePath: string): void {
  sync(copy);
  renameSync(copy, asidePath);
  sync(dirname(asidePath));
}

function moveIn(draft: string, path: string): void {
  renameSync(draft, path);
  sync(dirname(path));
  reached('restore.replaced');
}

function look(database: DatabaseSync, now: number): Pick<HeldVault, 'hasData' | 'connections'> {
  const rows = <R>(sql: string, ...parameters: number[]) => database.prepare(sql).all(...parameters) as R[];
  const tables = new Set(rows<{ name: string }>('SELECT name FROM sqlite_schema').map(({ name }) => name));
  if (!tables.has('keys') || !tables.has('leases')) return { hasData: tables.size > 0, connections: [] };
  const leases = rows<{ owner: string }>(
    'SELECT owner FROM leases WHERE expires_at > ? ORDER BY name DESC',
    now,
  );
  const holder = leases.find(({ owner }) => !isGone(owner));
  if (holder) {
    const id = processOf(holder.owner);
    throw inUse(database.location() ?? '', Number.isNaN(id) ? 'another process' : `the broker process ${id}`);
  }
  const connections = rows<OldConnection>(
    `SELECT id, generation, state, failures, secrets, (SELECT COUNT(*) FROM rotations WHERE connection_id = id
       AND rotations.generation = connections.generation AND finished_at IS NULL) AS unanswered FROM connections`,
  );
  return { hasData: rows('SELECT id FROM keys LIMIT 1').length > 0, connections };
}

function inUse(path: string, who: string): BrokerError {
  return new BrokerError('vault_locked', `${who} has the vault ${path} open`, {
    hint: 'stop every broker process (such as: systemctl stop broker), then restore again; nothing was changed',
  });
}

function notEmpty(path: string): BrokerError {
  return new BrokerError('usage', `there is a vault at ${path}`, {
    hint: '--force puts the backup in its place, and keeps the present vault beside it\nor restore to another place with --home',
  });
}
