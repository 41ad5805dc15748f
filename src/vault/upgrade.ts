/** The schema of a vault, looked at and brought up to date without any key. */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { migrateOrExplain } from './index.ts';
import { type Schema, schemaOf } from './migrate.ts';
import { DAMAGED_HINT, openSqlite } from './sqlite.ts';

/** How long somebody else's migration may take. */
const BUSY_TIMEOUT_MS = 10_000;

/** What the vault at `path` has and lacks; nothing is changed. Throws `vault_missing`, `vault_newer`, `vault_unavailable`. */
export function schemaAt(path: string): Schema {
  if (!existsSync(path)) {
    throw new BrokerError('vault_missing', `there is no vault at ${path}`, {
      hint: 'sign in first with: broker login <url>',
    });
  }
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
    return schemaOf(database);
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError('vault_unavailable', `the vault ${path} cannot be read`, {
      hint: DAMAGED_HINT,
      cause: error,
    });
  } finally {
    database?.close();
  }
}

/** Applies what the vault at `path` lacks. Throws `vault_newer`, `vault_locked`, `vault_unavailable`. */
export async function upgrade(path: string, clock: Clock): Promise<void> {
  const database = openSqlite(path, clock, false);
  try {
    migrateOrExplain(database, clock, path);
  } finally {
    await database.close();
  }
}
