/** A pair that came when a newer one had taken its place: a login was faster, or the pair had been put aside. */
import { isBearer, type TokenSet } from '../core/token-set.ts';
import { findClient } from '../vault/clients.ts';
import { holds, type StoredConnection, sealTokenSet } from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import type { Sealer } from '../vault/seal.ts';
import { saveSpare, sealSpare } from '../vault/spare.ts';
import { putTokens } from './put-tokens.ts';

/**
 * - `current`: it is the pair that is served.
 * - `spare`: it is tried should the newer one die.
 * - `held`: it is there already. A grace window answered twice, or another process took in what was put aside.
 */
export type Place = 'current' | 'spare' | 'held';

/** What a late pair belongs to: the connection and client it was asked for, at this generation. */
export interface Origin {
  id: string;
  generation: number;
  clientRowId: string | null;
}

/**
 * Where it goes beside what is there now, with the statements that put it there. They must be run in a transaction that
 * has seen that `current` is still there.
 */
export async function placeLatePair(
  sealer: Sealer,
  current: StoredConnection | undefined,
  { id, generation, clientRowId }: Origin,
  tokens: TokenSet,
): Promise<{ place: Place; write(now: number): Steps<void> }> {
  if (current && (await holds(sealer, current, tokens))) return { place: 'held', *write() {} };
  const spare = await sealSpare(sealer, id, generation, { tokens, clientRowId });
  // A newer one that is dead already leaves its place to this one, if agents can use it.
  const isNeeded = current?.state === 'login_required' && isBearer(tokens.tokenType);
  if (!isNeeded) return { place: 'spare', write: () => saveSpare(id, spare, generation) };
  const next = await sealTokenSet(sealer, id, current.generation + 1, tokens);
  return {
    place: 'current',
    *write(now) {
      const isUsable = clientRowId === null || (yield* findClient(clientRowId)) !== undefined;
      if (isUsable) yield* putTokens(current, next, now, clientRowId);
      else yield* saveSpare(id, spare, generation);
    },
  };
}
