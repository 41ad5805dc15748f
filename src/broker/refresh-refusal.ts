/** What becomes of a refresh that brought nothing: it is recorded, and nothing is deleted. */
import { type NewState, type Refusal, stateAfterRefusal } from '../core/after-refusal.ts';
import type { BrokerError } from '../errors.ts';
import { findClient } from '../vault/clients.ts';
import {
  findConnectionById,
  recordState,
  type StoredConnection,
  sealTokenSet,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { closeOlderRotations, closeRotation, hasUnanswered, historyOf } from '../vault/rotations.ts';
import { clearSpare, openSpare, type Spare } from '../vault/spare.ts';
import type { Presented, RefreshParts } from './context.ts';
import { putTokens } from './put-tokens.ts';
import { gone, stateError } from './state-errors.ts';

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
    if (isPromoted && current) {
      yield* putTokens(current, promoted, now, spare?.clientRowId);
      yield* clearSpare(id);
      yield* closeOlderRotations(id, promoted.generation, now);
    } else if (current?.state !== 'login_required') {
      yield* recordState(id, generation, after, now);
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

/** Records that the server refused how it was asked. It used nothing up, and the connection stays as it is. */
export async function recordMisasked(
  { vault, clock }: RefreshParts,
  { stored, rotation, flight }: Presented,
  code: string,
): Promise<void> {
  const { name: connection, generation } = stored;
  await vault.transaction(function* () {
    yield* closeRotation(rotation, code, clock.now());
    const detail = { generation, attempt: rotation.attempt, state: 'asked in another manner' };
    yield* vault.audit.append({ actor: flight.actor, action: 'refresh', connection, outcome: code, detail });
  });
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
    yield* recordState(stored.id, stored.generation, state, now);
    yield* vault.audit.append({ actor, action: 'refresh', connection: stored.name, outcome: code });
  });
  const current = await vault.run(() => findConnectionById(stored.id));
  return current ? stateError(current, now) : gone(stored);
}
