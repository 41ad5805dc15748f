/**
 * A token set that nobody has judged yet takes its place: one that a refresh brought, or that had been put aside. It is
 * kept whatever it is, and what agents must not get is marked in the same transaction: no crash can come between.
 */
import { faultOf } from '../core/token-fault.ts';
import {
  recordState,
  replaceTokenSet,
  type SealedTokenSet,
  type StoredConnection,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';

/**
 * False when the generation of `current` has moved: somebody else was first, and nothing was written.
 *
 * @param clientRowId the client it was issued to, when that may be another one than before
 */
export function* putTokens(
  current: Pick<StoredConnection, 'id' | 'generation' | 'expectedAccount'>,
  next: SealedTokenSet,
  now: number,
  clientRowId?: string | null,
): Steps<boolean> {
  const { id, generation, expectedAccount } = current;
  if (!(yield* replaceTokenSet(id, generation, next, clientRowId))) return false;
  const fault = faultOf(next.tokens, expectedAccount, now);
  if (fault) yield* recordState(id, next.generation, fault, now);
  return true;
}
