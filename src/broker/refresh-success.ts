/**
 * What becomes of a new pair: it is kept, whatever else is the case. Only after it is on disk does anybody see it.
 */
import { inheritTokenSet, readTokenSet, type TokenSet } from '../core/token-set.ts';
import type { RefreshAnswer } from '../core/verdict.ts';
import { reached } from '../steps.ts';
import {
  findConnectionById,
  recordRotates,
  type SealedTokenSet,
  type StoredConnection,
  sealTokenSet,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { closeOlderRotations, closeRotation } from '../vault/rotations.ts';
import type { Presented, RefreshParts } from './context.ts';
import { type Place, placeLatePair } from './late-pair.ts';
import { putTokens } from './put-tokens.ts';
import { saveUntilDone } from './save.ts';
import { gone, stateError } from './state-errors.ts';

/** A new pair, sealed for the place of the old one. */
interface NewPair {
  next: SealedTokenSet;
  /** Whether the refresh token is a new one too. */
  isRotated: boolean;
}

/**
 * Saves an answered pair before it is judged. It is never discarded: should a newer login have come meanwhile,
 * it becomes the spare.
 *
 * Throws `save_failed`, `config_error` for a token agents cannot use, `login_required` for one of another account than an
 * operator demands.
 */
export async function keepAnswer(
  parts: RefreshParts,
  presented: Presented,
  answer: RefreshAnswer,
): Promise<StoredConnection> {
  const { vault, clock, log } = parts;
  const { stored, flight } = presented;
  const { id, name, generation, clientRowId } = stored;
  const fresh = readTokenSet(answer.kind === 'answer' ? (answer.body ?? {}) : {}, clock.now());
  if (!fresh) throw new TypeError('a success without an access token');
  const tokens = inheritTokenSet(fresh, presented.tokens);
  const pair: NewPair = {
    next: await sealTokenSet(vault.sealer, id, generation + 1, tokens),
    isRotated: fresh.refreshToken !== undefined,
  };
  reached('refresh.sealed');

  const unsaved = { connectionId: id, connection: name, from: generation, tokens, clientRowId };
  const kept = await saveUntilDone(parts, unsaved, () => keep(parts, presented, pair), flight.onStuck);
  reached('refresh.saved');
  const current = await vault.run(() => findConnectionById(id));
  if (!current) throw gone(stored);
  if (kept === 'spare')
    log.warn({ connection: name }, 'a newer login came first; the late pair is kept as spare');
  if (current.state === 'config_error' || current.code === 'account_mismatch')
    throw stateError(current, clock.now());
  return current;
}

async function keep(parts: RefreshParts, presented: Presented, pair: NewPair): Promise<Place> {
  for (;;) {
    const kept = await tryKeep(parts, presented, pair);
    if (kept) return kept;
  }
}

/** One transaction. Undefined when somebody wrote just before: to be looked at again. */
async function tryKeep(
  { vault, clock }: RefreshParts,
  { stored, tokens, rotation, flight }: Presented,
  { next, isRotated }: NewPair,
): Promise<Place | undefined> {
  const { id, generation } = stored;
  const seen = await vault.run(() => findConnectionById(id));
  const isAhead = seen?.generation !== generation;
  const late = isAhead ? await placeLatePair(vault.sealer, seen, stored, next.tokens) : undefined;
  return vault.transaction(function* (): Steps<Place | undefined> {
    const now = clock.now();
    const current = yield* findConnectionById(id);
    if (current?.sealed !== seen?.sealed || current?.state !== seen?.state) return undefined;
    if (late) yield* late.write(now);
    else if (current) yield* putTokens(current, next, now);
    yield* recordRotates(id, isReplaced(next.tokens, tokens));
    yield* closeRotation(rotation, isAhead ? 'late' : 'success', now);
    yield* closeOlderRotations(id, next.generation, now);
    yield* vault.audit.append({
      actor: flight.actor,
      action: 'refresh',
      connection: stored.name,
      outcome: isAhead ? 'late' : 'ok',
      detail: {
        generation: next.generation,
        rotated: isRotated,
        refresh_token: next.tokens.refreshToken?.fingerprint() ?? null,
      },
    });
    return late?.place ?? 'current';
  });
}

/** Whether the server gave another refresh token than it was shown. */
function isReplaced(fresh: TokenSet, shown: TokenSet): boolean {
  return fresh.refreshToken?.fingerprint() !== shown.refreshToken?.fingerprint();
}
