/** A copy of the vault's file as it was at one moment, while others go on writing. */
import { DatabaseSync } from 'node:sqlite';
import { BrokerError } from '../errors.ts';
import { DAMAGED_HINT } from './sqlite.ts';

/** What belongs to processes and moments, not to what must not be lost. */
const EPHEMERAL = ['cache', 'leases', 'sessions', 'logins'] as const;

/** A writer has it for milliseconds. */
const BUSY_TIMEOUT_MS = 10_000;

/** What is in a copy. */
export interface CopiedVault {
  /** Number of its newest migration. */
  schema: number;
  connections: number;
  agents: number;
}

/**
 * Copies the vault at `path` into the empty file `to`, without what belongs to this moment, and examines the copy. Reading
 * keeps nobody from writing.
 *
 * Throws `vault_unavailable` for a damaged vault, and what SQLite throws.
 */
export function copyVault(path: string, to: string): CopiedVault {
  using(new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS }), (vault) =>
    vault.prepare('VACUUM INTO ?').run(to),
  );
  return using(new DatabaseSync(to), (copy) => {
    // What is deleted is overwritten too, so that nothing of it is in the file.
    copy.exec('PRAGMA secure_delete = ON');
    for (const table of EPHEMERAL) copy.exec(`DELETE FROM ${table}`);
    requireSound(copy, path);
    const count = (sql: string) => Number(Object.values(copy.prepare(sql).get() ?? {})[0]);
    return {
      schema: count('SELECT MAX(number) FROM migrations'),
      connections: count('SELECT COUNT(*) FROM connections'),
      agents: count('SELECT COUNT(*) FROM agents WHERE revoked_at IS NULL'),
    };
  });
}

/** Throws `vault_unavailable` unless SQLite finds nothing wrong with it. */
export function requireSound(database: DatabaseSync, path: string): void {
  const [result] = database.prepare('PRAGMA integrity_check(1)').all();
  const isSound = Object.values(result ?? {})[0] === 'ok';
  if (isSound && database.prepare('PRAGMA foreign_key_check').all().length === 0) return;
  throw new BrokerError('vault_unavailable', `the vault ${path} is damaged`, { hint: DAMAGED_HINT });
}

function using<T>(database: DatabaseSync, work: (database: DatabaseSync) => T): T {
  try {
    return work(database);
  } finally {
    database.close();
  }
}
