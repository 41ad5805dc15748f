/**
 * Late pairs: what a refresh brought after a newer login had been saved. Kept sealed beside it, and tried only if the
 * newer one dies.
 */
import { parseTokenSet, serialiseTokenSet, type TokenSet } from '../core/token-set.ts';
import type { StoredConnection } from './connections.ts';
import { query, type Steps } from './database.ts';
import type { Place, Sealer } from './seal.ts';

const place = (id: string, generation: number): Place => ({
  table: 'connections',
  row: id,
  column: 'spare',
  generation,
});

/** A pair that came too late, and the client it was issued to: the newer login may have come with another one. */
export interface Spare {
  tokens: TokenSet;
  clientRowId: string | null;
}

/** Seals a spare for its column. `generation` is the one it was asked from. */
export function sealSpare(
  sealer: Sealer,
  id: string,
  generation: number,
  { tokens, clientRowId }: Spare,
): Promise<string> {
  const text = JSON.stringify({ tokens: serialiseTokenSet(tokens), clientRowId });
  return sealer.seal(text, place(id, generation));
}

/** Opens the spare. Undefined when there is none. */
export async function openSpare(sealer: Sealer, { id, spare }: StoredConnection): Promise<Spare | undefined> {
  if (spare === null) return undefined;
  const text = await sealer.open(spare.sealed, place(id, spare.generation));
  const { tokens, clientRowId } = JSON.parse(text) as { tokens: string; clientRowId: string | null };
  return { tokens: parseTokenSet(tokens), clientRowId };
}

/** Keeps a late pair, should the newer one die. `generation` is the one it was sealed for. */
export function* saveSpare(id: string, sealedSpare: string, generation: number): Steps<void> {
  yield* query(
    'UPDATE connections SET spare = ?, spare_generation = ? WHERE id = ?',
    sealedSpare,
    generation,
    id,
  );
}

/** Forgets the late pair: it has become the current one. */
export function* clearSpare(id: string): Steps<void> {
  yield* query('UPDATE connections SET spare = NULL, spare_generation = NULL WHERE id = ?', id);
}
