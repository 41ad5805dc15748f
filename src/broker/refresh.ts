/**
 * THE refresh path. Token requests, checks and `broker refresh` all come through here, and nothing else ever
 * presents a refresh token.
 *
 * Rotation makes a refresh token good for one use, so losing an answer can mean losing the login. Hence the
 * order: lease (one process), re-read (somebody may have been faster), journal on disk, only then the request;
 * the answered pair is committed before anyone sees it, and before it is judged.
 */
import { type NewState, type Refusal, stateAfterRefusal } from '../core/after-refusal.ts';
import type { Connection } from '../core/connection.ts';
import { inheritTokenSet, isBearer, readTokenSet, type TokenSet } from '../core/token-set.ts';
import { judgeRefresh, type RefreshAnswer } from '../core/verdict.ts';
import { BrokerError } from '../errors.ts';
import { clientAuth } from '../oauth/client-auth.ts';
import { presentRefreshToken } from '../oauth/refresh.ts';
import { findClient, openClient } from '../vault/clients.ts';
import {
  findConnectionById,
  openTokenSet,
  recordState,
  replaceTokenSet,
  type StoredConnection,
  saveSpare,
  sealSpare,
  sealTokenSet,
} from '../vault/connections.ts';
import { holdsLease, type Lease } from '../vault/leases.ts';
import {
  closeOlderRotations,
  closeRotation,
  historyOf,
  openRotation,
  type Rotation,
} from '../vault/rotations.ts';
import { findServer } from '../vault/servers.ts';
import type { Context, Refresher } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import { saveUntilDone } from './save.ts';
import { stateError } from './state-errors.ts';

type Parts = Pick<Context, 'vault' | 'clock' | 'fetch' | 'log' | 'metadata'>;

/** The refresher of this process: one flight for each connection and generation. */
export function createRefresher(parts: Parts): Refresher {
  const running = new Map<string, Promise<StoredConnection>>();
  return {
    refresh(connection, actor) {
      // With the generation: who saw a newer token rejected must not be given that one by an older flight.
      const key = `${connection.id}:${connection.generation}`;
      let flight = running.get(key);
      if (!flight) {
        flight = refreshUnderLease(parts, connection, actor).finally(() => running.delete(key));
        running.set(key, flight);
      }
      return flight;
    },
    async idle() {
      await Promise.allSettled(running.values());
    },
  };
}

function refreshUnderLease(parts: Parts, seen: Connection, actor: string): Promise<StoredConnection> {
  const newer = async () => {
    const stored = await parts.vault.run(() => findConnectionById(seen.id));
    if (!stored) throw gone(seen);
    return stored.generation === seen.generation ? undefined : stored;
  };
  const work = async (lease: Lease) => (await newer()) ?? (await refreshOnce(parts, seen, actor, lease));
  return withLease(parts, leaseOf(seen.name), work, newer);
}

async function refreshOnce(
  parts: Parts,
  seen: Connection,
  actor: string,
  lease: Lease,
): Promise<StoredConnection> {
  const { vault, clock, fetch, log } = parts;
  const { stored, tokens, client, resource } = await open(parts, seen);
  // A token known to be dead is not presented once more: that could only look like an attack.
  if (stored.state === 'login_required') throw stateError(stored, clock.now());
  // Another process tried while we waited for the lease, in vain: its verdict holds for us too.
  if (stored.state !== seen.state || stored.failures !== seen.failures) throw stateError(stored, clock.now());
  const { refreshToken } = tokens;
  if (!refreshToken) throw await endLogin(parts, stored, actor);
  const auth = clientAuth(client);
  const metadata = await parts.metadata.get(client.issuer, client.serverMetadata);

  const rotation = await vault.transaction(function* () {
    if (!(yield* holdsLease(lease, clock.now()))) throw lost(stored);
    return yield* openRotation(stored.id, stored.generation, refreshToken.fingerprint(), clock.now());
  });
  const now = () => clock.now();
  const { clientId } = client;
  const answer = await presentRefreshToken({ metadata, clientId, auth, refreshToken, resource, fetch, now });
  const verdict = judgeRefresh(answer);
  log.info({ connection: stored.name, generation: stored.generation, ...verdict }, 'refresh answered');
  if (verdict.verdict === 'success') return keep(parts, stored, tokens, answer, rotation, actor);
  throw await settle(parts, stored, verdict, rotation, actor);
}

async function open(parts: Parts, seen: Connection) {
  const { vault } = parts;
  const found = await vault.run(function* () {
    const stored = yield* findConnectionById(seen.id);
    const server = stored && (yield* findServer(stored.server));
    const client = stored?.clientRowId ? yield* findClient(stored.clientRowId) : undefined;
    return stored && server && client ? { stored, server, client } : undefined;
  });
  if (!found) throw gone(seen);
  return {
    stored: found.stored,
    tokens: await openTokenSet(vault.sealer, found.stored),
    client: await openClient(vault.sealer, found.client),
    resource: found.server.resource,
  };
}

/** Saves an answered pair. It is never discarded: should a newer login have come meanwhile, it becomes the spare. */
async function keep(
  parts: Parts,
  stored: StoredConnection,
  previous: TokenSet,
  answer: RefreshAnswer,
  rotation: Rotation,
  actor: string,
): Promise<StoredConnection> {
  const { vault, clock, log } = parts;
  const fresh = readTokenSet(answer.kind === 'answer' ? (answer.body ?? {}) : {}, clock.now());
  if (!fresh) throw new TypeError('a success without an access token');
  const tokens = inheritTokenSet(fresh, previous);
  const next = await sealTokenSet(vault.sealer, stored.id, stored.generation + 1, tokens);
  const spare = await sealSpare(vault.sealer, stored.id, stored.generation, tokens);

  const isCurrent = await saveUntilDone(parts, stored.name, () =>
    vault.transaction(function* () {
      const now = clock.now();
      const isReplaced = yield* replaceTokenSet(stored.id, stored.generation, next);
      if (!isReplaced) yield* saveSpare(stored.id, spare, stored.generation);
      else if (!isBearer(tokens.tokenType)) yield* recordState(stored.id, next.generation, unusableType(now));
      yield* closeRotation(rotation, isReplaced ? 'success' : 'late', now);
      yield* closeOlderRotations(stored.id, next.generation, now);
      yield* vault.audit.append({
        actor,
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
    }),
  );
  if (!isCurrent)
    log.warn({ connection: stored.name }, 'a newer login came first; the late pair is kept as spare');
  const current = await vault.run(() => findConnectionById(stored.id));
  if (!current) throw gone(stored);
  if (current.state === 'config_error') throw stateError(current, clock.now());
  return current;
}

/** Records what a refusal means, and gives back the error for the callers. Nothing is deleted. */
async function settle(
  { vault, clock }: Parts,
  stored: StoredConnection,
  verdict: Refusal,
  rotation: Rotation,
  actor: string,
): Promise<BrokerError> {
  const failed = await vault.transaction(function* () {
    const now = clock.now();
    const history = yield* historyOf(rotation);
    const state = stateAfterRefusal(stored, verdict, history, now, Math.random());
    // A row stays open while nobody knows what became of the token.
    if (verdict.verdict !== 'unknown') yield* closeRotation(rotation, verdict.code, now);
    yield* recordState(stored.id, stored.generation, state);
    yield* vault.audit.append({
      actor,
      action: 'refresh',
      connection: stored.name,
      outcome: verdict.code,
      detail: { generation: stored.generation, attempt: rotation.attempt, state: state.state },
    });
    return { ...stored, ...state };
  });
  return stateError(failed, clock.now());
}

/** Without a refresh token only a person can go on. */
async function endLogin(
  { vault, clock }: Parts,
  stored: StoredConnection,
  actor: string,
): Promise<BrokerError> {
  const now = clock.now();
  const code = 'no_refresh_token';
  const cause = 'the server gave no refresh token';
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

function gone(connection: Connection): BrokerError {
  return new BrokerError('not_found', `${connection.name} was removed meanwhile`, {
    hint: 'broker list shows what is connected',
    connection: connection.name,
  });
}

function lost(connection: Connection): BrokerError {
  return new BrokerError(
    'upstream_unavailable',
    `another process took over the refresh of ${connection.name}`,
    {
      hint: 'ask again',
      connection: connection.name,
      retryAfterSeconds: 1,
    },
  );
}
