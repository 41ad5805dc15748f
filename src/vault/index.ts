/** The vault: everything the broker keeps, behind one opening. */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../clock.ts';
import type { MasterKeySources } from '../config.ts';
import { BrokerError } from '../errors.ts';
import { type Audit, createAudit } from './audit.ts';
import { type Cache, openCache } from './cache.ts';
import type { Database } from './database.ts';
import { findMasterKey, findOrCreateMasterKey, type MasterKey } from './keyring.ts';
import { createKeys, hasKeys } from './keys.ts';
import { migrate } from './migrate.ts';
import { createOwner } from './owner.ts';
import { openSealer, type Sealer } from './seal.ts';
import { DAMAGED_HINT, isDamaged, isLocked, openSqlite, type SqliteDatabase } from './sqlite.ts';

export interface VaultOptions {
  /** Path of the SQLite file. */
  path: string;
  masterKey: MasterKeySources;
  clock: Clock;
  /** Whether a vault may be made where there is none. Only commands that store something set it. */
  create: boolean;
}

export interface Vault {
  readonly path: string;
  readonly sealer: Sealer;
  /** The one it was opened with. */
  readonly masterKey: MasterKey;
  readonly audit: Audit;
  /** Names this process in leases and in the audit trail. */
  readonly owner: string;
  run: Database['run'];
  transaction: Database['transaction'];
  /** How often this process may have changed agents, connections, servers or keys. Costs nothing. */
  changes(): number;
  /** Another number whenever another process has changed anything. Costs some microseconds. */
  foreignVersion(): number;
  /** Throws `vault_unavailable` when the disk is too full to be sure of the next save. */
  requireSpace(): void;
  /** A namespace of the cache. */
  cache(namespace: string): Cache;
  close(): Promise<void>;
}

/**
 * Opens the vault: file, migrations, master key, data keys, in this order, so that each failure is told by its
 * own name and leaves everything as it was.
 *
 * Throws `vault_missing`, `vault_unavailable`, `vault_locked`, `vault_newer`, `key_missing`, `key_unsafe`,
 * `key_wrong`.
 */
export async function openVault({ path, masterKey, clock, create }: VaultOptions): Promise<Vault> {
  refuseOtherDatabases(path);
  const database = openSqlite(path, clock, create);
  try {
    migrateOrExplain(database, clock, path);
    const key = await openKeys(database, { path, masterKey, clock, create });
    const sealer = await openSealer(database, key);
    const owner = createOwner();
    return {
      path,
      sealer,
      masterKey: key,
      owner,
      audit: createAudit(sealer, clock, owner),
      run: (steps) => database.run(steps),
      transaction: (steps) => database.transaction(steps),
      changes: () => database.changes,
      foreignVersion: () => database.foreignVersion(),
      requireSpace: () => requireSpace(path),
      cache: (namespace) => openCache(database, namespace),
      close: () => database.close(),
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function openKeys(
  database: SqliteDatabase,
  { path, masterKey, clock, create }: VaultOptions,
): Promise<MasterKey> {
  if (await hasKeys(database)) return findMasterKey(masterKey);
  // Made a moment ago, or by a process that died before it could store its keys: there is nothing in it yet.
  if (!create) {
    throw new BrokerError('vault_missing', `the vault at ${path} is empty`, {
      hint: 'sign in first with: broker login <url>',
    });
  }
  const key = findOrCreateMasterKey(masterKey);
  await createKeys(database, key, clock.now());
  return key;
}

/** What a refresh and its journal may need many times over. */
const NEEDED_BYTES = 16 * 1024 * 1024;

function requireSpace(path: string): void {
  const { bavail, bsize } = statfsSync(dirname(path));
  if (bavail * bsize >= NEEDED_BYTES) return;
  throw new BrokerError('vault_unavailable', `the disk of the vault ${path} is nearly full`, {
    hint: 'make room: no refresh token is spent before its successor is sure to be saved',
  });
}

/** Brings the vault up to date. Throws `vault_newer`, `vault_locked`, `vault_unavailable`. */
export function migrateOrExplain(database: SqliteDatabase, clock: Clock, path: string): void {
  try {
    migrate(database, clock.now());
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    if (isLocked(error)) {
      throw new BrokerError(
        'vault_locked',
        `the vault ${path} is being brought up to date by another process`,
        {
          hint: 'try again in a moment',
          cause: error,
        },
      );
    }
    throw new BrokerError('vault_unavailable', `the vault ${path} could not be brought up to date`, {
      hint: isDamaged(error)
        ? DAMAGED_HINT
        : 'check that the file is a broker vault, is not read-only, and that the disk has space; nothing was changed',
      cause: error,
    });
  }
}

function refuseOtherDatabases(path: string): void {
  if (/^[a-z]+:\/\//.test(path)) {
    throw new BrokerError('usage', 'only an SQLite file can hold the vault for now', {
      hint: 'give --database a file path',
    });
  }
}
