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
import {
  clearSpare,
  findConnectionById,
  openSpare,
  recordState,
  replaceTokenSet,
  type StoredConnection,
  saveSpare,
  sealSpare,
  sealTokenSet,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { closeOlderRotations, closeRotation, historyOf, type Rotation } from '../vault/rotations.ts';
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
  const spare = await sealSpare(vault.sealer, stored.id, stored.generation, tokens);
  reached('refresh.sealed');

  const pair = { connectionId: stored.id, connection: stored.name, from: stored.generation, tokens };
  const save = () =>
    vault.transaction(function* (): Steps<boolean> {
      const now = clock.now();
      const isReplaced = yield* replaceTokenSet(stored.id, stored.generation, next);
      if (!isReplaced) yield* saveSpare(stored.id, spare, stored.generation);
      else if (!isBearer(tokens.tokenType)) yield* recordState(stored.id, next.generation, unusableType(now));
      yield* closeRotation(rotation, isReplaced ? 'success' : 'late', now);
      yield* closeOlderRotations(stored.id, next.generation, now);
      yield* vault.audit.append({
        actor: flight.actor,
        action: 'refresh',
        connection: stored.name,
        outcome: isReplaced ? 'ok' : 'late',
        detail: {
          generation: next.generation,
          rotated: fresh.refreshToken !== undefined,
          refresh_token: tokens.refreshToken?.fingerprint() ?? null,
        },
      });
      return isReplaced;
    });
  const isCurrent = await saveUntilDone(parts, pair, save, flight.onStuck);
  reached('refresh.saved');
  if (!isCurrent)
    log.warn({ connection: stored.name }, 'a newer login came first; the late pair is kept as spare');
  const current = await vault.run(() => findConnectionById(stored.id));
  if (!current) throw gone(stored);
  if (current.state === 'config_error') throw stateError(current, clock.now());
  return current;
}

/**
 * Records what a refusal means. The result is the error for the callers; or, when the present pair is dead and a
 * spare was kept, the connection with the spare in its place, to be tried at once.
 */
export async function recordRefusal(
  { vault, clock, log }: RefreshParts,
  { stored, rotation, flight, recovery }: Presented,
  verdict: Refusal,
): Promise<BrokerError | StoredConnection> {
  const spare = verdict.verdict === 'final' ? await openSpare(vault.sealer, stored) : undefined;
  const promoted = spare && (await sealTokenSet(vault.sealer, stored.id, stored.generation + 1, spare));
  const state = await vault.transaction(function* (): Steps<NewState | 'promoted'> {
    const now = clock.now();
    const history = yield* historyOf(rotation);
    const after = stateAfterRefusal(stored, verdict, { history, recovery, now, jitter: Math.random() });
    const isPromoted = promoted !== undefined && after.state === 'login_required';
    // A row stays open while nobody knows what became of the token.
    const isSettled = verdict.verdict !== 'unknown' || recovery === 'reuse-safe';
    // However a server spells it, the journal says it in one way.
    const outcome = verdict.verdict === 'final' ? 'invalid_grant' : verdict.code;
    if (isSettled) yield* closeRotation(rotation, outcome, now);
    if (isPromoted) {
      yield* replaceTokenSet(stored.id, stored.generation, promoted);
      yield* clearSpare(stored.id);
      yield* closeOlderRotations(stored.id, promoted.generation, now);
    } else {
      yield* recordState(stored.id, stored.generation, after);
    }
    yield* vault.audit.append({
      actor: flight.actor,
      action: 'refresh',
      connection: stored.name,
      outcome: verdict.code,
      detail: {
        generation: stored.generation,
        attempt: rotation.attempt,
        state: isPromoted ? 'spare promoted' : after.state,
      },
    });
    return isPromoted ? 'promoted' : after;
  });
  if (state !== 'promoted') return stateError({ ...stored, ...state }, clock.now());
  log.warn({ connection: stored.name }, 'the newer login is dead; the spare takes its place');
  return (await vault.run(() => findConnectionById(stored.id))) ?? gone(stored);
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
    yield* recordState(stored.id, stored.generation, state);
    yield* vault.audit.append({ actor, action: 'refresh', connection: stored.name, outcome: code });
  });
  return stateError({ ...stored, ...state }, now);
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
