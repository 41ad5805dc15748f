/**
 * What becomes of the answer to a refresh: a new pair is kept whatever happens, a refusal is recorded and nothing
 * is deleted.
 */
import { type NewState, type Refusal, stateAfterRefusal } from '../core/after-refusal.ts';
import type { Connection } from '../core/connection.ts';
import type { RecoveryPolicy } from '../core/recovery.ts';
import { inheritTokenSet, isBearer, readTokenSet, type TokenSet } from '../core/token-set.ts';
import type { RefreshAnswer } from '../core/verdict.ts';
import { BrokerError } from '../errors.ts';
import { reached } from '../steps.ts';
import { findClient } from '../vault/clients.ts';
import {
  clearSpare,
  findConnectionById,
  holds,
  openSpare,
  recordState,
  replaceTokenSet,
  type Spare,
  type StoredConnection,
  saveSpare,
  sealSpare,
  sealTokenSet,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import {
  closeOlderRotations,
  closeRotation,
  hasUnanswered,
  historyOf,
  type Rotation,
} from '../vault/rotations.ts';
import type { Flight, RefreshParts } from './context.ts';
import { saveUntilDone } from './save.ts';
import { stateError } from './state-errors.ts';

/** A refresh token that was presented, and what it belongs to. */
export interface Presented {
  stored: StoredConnection;
  tokens: TokenSet;
  rotation: Rotation;
  flight: Flight;
  recovery: RecoveryPolicy;
}

/**
 * Saves an answered pair before it is judged. It is never discarded: should a newer login have come meanwhile,
 * it becomes the spare.
 *
 * Throws `save_failed`, `config_error` for a token agents cannot use.
 */
export async function keepAnswer(
  parts: RefreshParts,
  { stored, tokens: previous, rotation, flight }: Presented,
  answer: RefreshAnswer,
): Promise<StoredConnection> {
  const { vault, clock, log } = parts;
  const fresh = readTokenSet(answer.kind === 'answer' ? (answer.body ?? {}) : {}, clock.now());
  if (!fresh) throw new TypeError('a success without an access token');
  const tokens = inheritTokenSet(fresh, previous);
  const next = await sealTokenSet(vault.sealer, stored.id, stored.generation + 1, tokens);
  const { clientRowId } = stored;
  const spare = await sealSpare(vault.sealer, stored.id, stored.generation, { tokens, clientRowId });
  reached('refresh.sealed');

  const pair = {
    ...{ connectionId: stored.id, connection: stored.name, from: stored.generation },
    ...{ tokens, clientRowId },
  };
  /** Undefined when somebody wrote in between: to be looked at again. */
  const trySave = async () => {
    const seen = await vault.run(() => findConnectionById(stored.id));
    const isAhead = seen?.generation !== stored.generation;
    // The same pair: a grace window answered twice, or another process took in what we had put aside.
    const isHeld = isAhead && seen !== undefined && (await holds(vault.sealer, seen, tokens));
    return vault.transaction(function* (): Steps<'current' | 'held' | 'spare' | undefined> {
      const now = clock.now();
      const current = yield* findConnectionById(stored.id);
      if (current?.sealed !== seen?.sealed) return undefined;
      const outcome = isHeld ? 'held' : isAhead ? 'spare' : 'current';
      if (outcome === 'spare') yield* saveSpare(stored.id, spare, stored.generation);
      if (outcome === 'current') yield* replaceTokenSet(stored.id, stored.generation, next);
      if (outcome === 'current' && !isBearer(tokens.tokenType)) {
        yield* recordState(stored.id, next.generation, unusableType(now));
      }
      yield* closeRotation(rotation, outcome === 'current' ? 'success' : 'late', now);
      yield* closeOlderRotations(stored.id, next.generation, now);
      yield* vault.audit.append({
        actor: flight.actor,
        action: 'refresh',
        connection: stored.name,
        outcome: outcome === 'current' ? 'ok' : 'late',
        detail: {
          generation: next.generation,
          rotated: fresh.refreshToken !== undefined,
          refresh_token: tokens.refreshToken?.fingerprint() ?? null,
        },
      });
      return outcome;
    });
  };
  const save = async () => {
    for (;;) {
      const outcome = await trySave();
      if (outcome) return outcome;
    }
  };
  const outcome = await saveUntilDone(parts, pair, save, flight.onStuck);
  reached('refresh.saved');
  const current = await vault.run(() => findConnectionById(stored.id));
  if (!current) throw gone(stored);
  if (outcome === 'spare')
    log.warn({ connection: stored.name }, 'a newer login came first; the late pair is kept as spare');
  if (current.state === 'config_error') throw stateError(current, clock.now());
  return current;
}

/** What is left after a refusal. */
export type RefusalOutcome =
  /** The error for the callers. */
  | { kind: 'refused'; error: BrokerError }
  /** Somebody else was faster: the refusal tells nothing about the present pair. */
  | { kind: 'overtaken'; current: StoredConnection }
  /** The present pair is dead, and the spare is in its place, to be tried at once. */
  | { kind: 'promoted'; current: StoredConnection };

/** Records what a refusal means. */
export async function recordRefusal(
  parts: RefreshParts,
  presented: Presented,
  verdict: Refusal,
): Promise<RefusalOutcome> {
  const { vault, clock, log } = parts;
  const { stored } = presented;
  for (;;) {
    const judged = await tryRecord(parts, presented, verdict);
    // A spare came in between: it may be what is needed.
    if (judged === 'again') continue;
    if (judged === 'promoted')
      log.warn({ connection: stored.name }, 'the newer login is dead; the spare takes its place');
    const current = await vault.run(() => findConnectionById(stored.id));
    if (!current) return { kind: 'refused', error: gone(stored) };
    if (judged === 'refused') return { kind: judged, error: stateError(current, clock.now()) };
    return { kind: judged, current };
  }
}

async function tryRecord(
  { vault, clock }: RefreshParts,
  { stored, tokens, rotation, flight, recovery }: Presented,
  verdict: Refusal,
): Promise<RefusalOutcome['kind'] | 'again'> {
  const { id, generation } = stored;
  const seen = await vault.run(() => findConnectionById(id));
  const spare = seen && verdict.verdict === 'final' ? await openSpare(vault.sealer, seen) : undefined;
  // Where tokens are not rotated, a late pair may hold the very token that is dead.
  const isHope = spare?.tokens.refreshToken?.fingerprint() !== tokens.refreshToken?.fingerprint();
  const promoted =
    spare && isHope ? await sealTokenSet(vault.sealer, id, generation + 1, spare.tokens) : undefined;
  return vault.transaction(function* (): Steps<RefusalOutcome['kind'] | 'again'> {
    const now = clock.now();
    const current = yield* findConnectionById(id);
    if (current?.spare?.sealed !== seen?.spare?.sealed) return 'again';
    const isOvertaken = current?.generation !== generation;
    const history = yield* historyOf(rotation, now);
    const facts = { history, recovery, now, jitter: Math.random() };
    const after = stateAfterRefusal(current ?? stored, verdict, facts);
    const isLast = !isOvertaken && after.state === 'login_required';
    const isPromoted = isLast && promoted !== undefined && (yield* isUsable(spare));
    // A row stays open while nobody knows what became of the token. However a server spells it, the journal has
    // one word for a dead one.
    const isSettled = verdict.verdict !== 'unknown' || recovery === 'reuse-safe';
    const outcome = verdict.verdict === 'final' ? 'invalid_grant' : verdict.code;
    if (isSettled) yield* closeRotation(rotation, outcome, now);
    if (isPromoted) {
      yield* replaceTokenSet(id, generation, promoted, spare?.clientRowId);
      yield* clearSpare(id);
      yield* closeOlderRotations(id, promoted.generation, now);
    } else if (current?.state !== 'login_required') {
      yield* recordState(id, generation, after);
    }
    yield* vault.audit.append({
      actor: flight.actor,
      action: 'refresh',
      connection: stored.name,
      outcome: verdict.code,
      detail: {
        generation,
        attempt: rotation.attempt,
        state: isOvertaken ? 'overtaken' : isPromoted ? 'spare promoted' : after.state,
      },
    });
    return isOvertaken ? 'overtaken' : isPromoted ? 'promoted' : 'refused';
  });
}

/** Whether its client is still there. */
function* isUsable(spare: Spare | undefined): Steps<boolean> {
  return spare?.clientRowId ? (yield* findClient(spare.clientRowId)) !== undefined : spare !== undefined;
}

/** Why a login is over before anything is sent. */
const ENDINGS = {
  no_refresh_token: 'the server gave no refresh token',
  unanswered: 'a refresh was never answered, and this server must not be asked twice',
} as const;

/** Records that only a person can go on. */
export async function endLogin(
  { vault, clock }: RefreshParts,
  stored: StoredConnection,
  actor: string,
  code: keyof typeof ENDINGS,
): Promise<BrokerError> {
  const now = clock.now();
  const cause = ENDINGS[code];
  const state: NewState = {
    state: 'login_required',
    code,
    cause,
    since: now,
    nextAttemptAt: null,
    failures: 0,
  };
  await vault.transaction(function* () {
    // The answer may have come after all, to one whose lease was lost.
    if (code === 'unanswered' && !(yield* hasUnanswered(stored.id, stored.generation))) return;
    yield* recordState(stored.id, stored.generation, state);
    yield* vault.audit.append({ actor, action: 'refresh', connection: stored.name, outcome: code });
  });
  const current = await vault.run(() => findConnectionById(stored.id));
  return current ? stateError(current, now) : gone(stored);
}

/** The connection was logged out while somebody worked on it. */
export function gone(connection: Connection): BrokerError {
  return new BrokerError('not_found', `${connection.name} was removed meanwhile`, {
    hint: 'broker list',
    connection: connection.name,
  });
}

function unusableType(now: number): NewState {
  const cause = 'the server now issues tokens of a type agents cannot use as Bearer';
  return {
    state: 'config_error',
    code: 'unsupported_token_type',
    cause,
    since: now,
    nextAttemptAt: null,
    failures: 1,
  };
}
