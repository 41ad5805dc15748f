/** The schema of the vault: what it has, what this program knows, and bringing it up to date without opening a key. */
import { type Clock, systemClock } from '../clock.ts';
import type { Settings } from '../config.ts';
import { schemaAt, upgrade } from '../vault/upgrade.ts';

export interface SchemaView {
  /** Number of the newest migration the vault has. 0: it is empty. */
  schema: number;
  /** Number of the newest this program knows. */
  newest: number;
  /** What is missing, in order. */
  missing: string[];
}

/** What a migration brought. */
export interface MigrationView extends Omit<SchemaView, 'missing'> {
  /** What the vault had before. */
  from: number;
  applied: string[];
}

/** Looks only. Throws `vault_missing`, `vault_newer`, `vault_unavailable`. */
export function schemaOf({ database }: Settings): SchemaView {
  return schemaAt(database);
}

/** Applies what is missing. Throws the same, and `vault_locked`. */
export async function migrateVault(
  { database }: Settings,
  clock: Clock = systemClock,
): Promise<MigrationView> {
  const before = schemaAt(database);
  await upgrade(database, clock);
  const { schema, newest } = schemaAt(database);
  return { schema, newest, from: before.schema, applied: before.missing };
}
