/**
 * Sealing what is stored once more, under the newest data key. A few rows at a time and each only if nobody changed
 * it meanwhile, so that it can be interrupted anywhere and go on beside everything else.
 */
import { first, query, type Steps } from './database.ts';
import { keyIdOf } from './jwe.ts';
import type { Sealer } from './seal.ts';

/** Every sealed column, with the SQL for the generation its values are bound to. */
const SEALED_COLUMNS = [
  { table: 'connections', column: 'secrets', generation: 'generation' },
  { table: 'connections', column: 'spare', generation: 'spare_generation' },
  { table: 'clients', column: 'secrets', generation: 'generation' },
  { table: 'logins', column: 'secrets', generation: '1' },
] as const;

const BATCH = 50;

interface SealedValue {
  table: string;
  column: string;
  row: string;
  generation: number;
  sealed: string;
}

/** How many values are sealed under each data key, by its id. */
export function* countByKey(): Steps<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const { sealed } of yield* listSealed()) {
    const id = keyIdOf(sealed);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

/** Some values that are sealed under another key than this. Empty: none is left. */
export function* nextToReseal(currentKeyId: string): Steps<SealedValue[]> {
  const all = yield* listSealed();
  return all.filter(({ sealed }) => keyIdOf(sealed) !== currentKeyId).slice(0, BATCH);
}

/** Seals the values again and gives back the statements that put them in place of the old ones. */
export async function resealed(sealer: Sealer, values: SealedValue[]): Promise<() => Steps<void>> {
  const fresh = await Promise.all(
    values.map(async (value) => {
      const { table, column, row, generation } = value;
      const place = { table, column, row, generation };
      return { ...value, again: await sealer.seal(await sealer.open(value.sealed, place), place) };
    }),
  );
  return function* () {
    for (const { table, column, row, sealed, again } of fresh) {
      yield* first(
        `UPDATE ${table} SET ${column} = ? WHERE id = ? AND ${column} = ? RETURNING id`,
        ...[again, row, sealed],
      );
    }
  };
}

function* listSealed(): Steps<SealedValue[]> {
  const all: SealedValue[] = [];
  for (const { table, column, generation } of SEALED_COLUMNS) {
    const rows = yield* query<{ id: string; generation: number; sealed: string }>(
      `SELECT id, ${generation} AS generation, ${column} AS sealed FROM ${table} WHERE ${column} IS NOT NULL ORDER BY id`,
    );
    for (const row of rows) {
      all.push({ table, column, row: row.id, generation: row.generation, sealed: row.sealed });
    }
  }
  return all;
}
