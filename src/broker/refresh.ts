/**
 * THE refresh path. Token requests, scheduler, checks and `broker refresh` all come through here, and nothing
 * else ever presents a refresh token.
 *
 * Rotation makes a refresh token good for one use, so losing an answer can mean losing the login. Hence the
 * order: lease (one process), re-read (somebody may have been faster), storage proven, journal on disk, only
 * then the request. What becomes of the answer is in `refresh-success.ts` and `refresh-refusal.ts`.
 */
import type { Connection } from '../core/connection.ts';
import { judgeRefresh, type RefreshAnswer } from '../core/verdict.ts';
import { BrokerError } from '../errors.ts';
import { clientAuth } from '../oauth/client-auth.ts';
import { REQUEST_DEADLINE_MS } from '../oauth/http.ts';
import { presentRefreshToken } from '../oauth/refresh.ts';
import { reached } from '../steps.ts';
import { findClient, openClient } from '../vault/clients.ts';
import { findConnectionById, openTokenSet, type StoredConnection } from '../vault/connections.ts';
import { holdsLease, type Lease, type TakenLease } from '../vault/leases.ts';
import { isLiving } from '../vault/owner.ts';
import { hasUnanswered, isOnRecord, openRotation } from '../vault/rotations.ts';
import { findServer } from '../vault/servers.ts';
import type { Flight, Refresher, RefreshParts } from './context.ts';
import { countRefresh } from './count-refresh.ts';
import { leaseOf, withLease } from './lease.ts';
import { anotherManner, type Manner, rememberManner } from './manner.ts';
import { mint } from './mint.ts';
import { endLogin, recordMisasked, recordRefusal } from './refresh-refusal.ts';
import { keepAnswer } from './refresh-success.ts';
import { gone, stateError } from './state-errors.ts';

/** It is found out again at the next refresh. */
const NOT_REMEMBERED = 'the manner of asking that worked could not be remembered';

/** The request of a sleeper that woke up is over by then, and its answer saved. */
const SLEEPER_PATIENCE_MS = REQUEST_DEADLINE_MS + 5_000;
const SLEEPER_POLL_MS = 100;

/** The refresher of this process: one flight for each connection and generation. */
export function createRefresher(parts: RefreshParts): Refresher {
  const running = new Map<
    string,
    { work: Promise<StoredConnection>; join: () => Promise<StoredConnection> }
  >();

  function start(key: string, seen: Connection, actor: string) {
    const stuck = quietly(Promise.withResolvers<never>());
    let patience = quietly(Promise.withResolvers<never>());
    const onLongWait = (error: BrokerError) => {
      patience.reject(error);
      patience = quietly(Promise.withResolvers<never>());
    };
    const flight = { seen, actor, onStuck: stuck.reject, onLongWait };
    const work = refreshUnderLease(parts, flight).finally(() => running.delete(key));
    const entry = { work, join: () => Promise.race([work, stuck.promise, patience.promise]) };
    running.set(key, entry);
    return entry;
  }

  return {
    refresh(connection, actor) {
      // With the generation: who saw a newer token rejected must not be given that one by an older flight.
      const key = `${connection.id}:${connection.generation}`;
      return (running.get(key) ?? start(key, connection, actor)).join();
    },
    async idle() {
      await Promise.allSettled([...running.values()].map(({ work }) => work));
    },
  };
}

/** Nobody need be listening when it rejects. */
function quietly<T>(resolvers: PromiseWithResolvers<T>): PromiseWithResolvers<T> {
  resolvers.promise.catch(() => {});
  return resolvers;
}

async function refreshUnderLease(parts: RefreshParts, flight: Flight): Promise<StoredConnection> {
  const { seen } = flight;
  const newer = async () => {
    const stored = await parts.vault.run(() => findConnectionById(seen.id));
    if (!stored) throw gone(seen);
    if (stored.generation !== seen.generation) return stored;
    // Another process tried meanwhile, in vain: its verdict holds for us too.
    if (stored.state !== seen.state || stored.failures !== seen.failures)
      throw stateError(stored, parts.clock.now());
    return undefined;
  };
  const work = async (lease: TakenLease) => {
    await awaitSleeper(parts, seen, lease);
    // What another process put aside is newer than what the vault has, which must then not be presented.
    await parts.rescue.adoptFor(seen.id);
    return (await newer()) ?? (await refreshOnce(parts, flight, lease));
  };
  const onLongWait = () => flight.onLongWait(busy(seen));
  const refreshed = await withLease(parts, leaseOf(seen.name), work, newer, onLongWait);
  reached('refresh.released');
  return refreshed;
}

/**
 * The holder before did not give its lease back, yet lives on this machine: it slept, or the clock was set. If it
 * presented the token, its answer is on its way, and presenting it again meanwhile would look like an attack.
 */
async function awaitSleeper(
  { vault, clock }: RefreshParts,
  seen: Connection,
  lease: TakenLease,
): Promise<void> {
  const { leftBy } = lease;
  if (leftBy === undefined || leftBy === vault.owner) return;
  for (let waitedMs = 0; waitedMs < SLEEPER_PATIENCE_MS && isLiving(leftBy); waitedMs += SLEEPER_POLL_MS) {
    const mayAnswer = await vault.run(function* () {
      const stored = yield* findConnectionById(seen.id);
      const isSame = stored?.generation === seen.generation && stored.failures === seen.failures;
      return isSame && (yield* hasUnanswered(seen.id, seen.generation));
    });
    if (!mayAnswer) return;
    await clock.wait(SLEEPER_POLL_MS);
  }
}

/** @param another the manner of asking, when the usual one was refused */
async function refreshOnce(
  parts: RefreshParts,
  flight: Flight,
  lease: Lease,
  another?: Manner,
): Promise<StoredConnection> {
  const { vault, clock, log } = parts;
  const { seen, actor } = flight;
  reached('refresh.leased');
  const { stored, tokens, server, isUnanswered, ...found } = await open(parts, seen);
  const manner = another ?? { client: found.client, settings: server.settings };
  const { client, settings } = manner;
  // A token known to be dead is not presented once more: that could only look like an attack.
  if (stored.state === 'login_required') throw stateError(stored, clock.now());
  const { grant } = settings;
  if (grant) return mint(parts, { stored, client, server, grant }, flight);
  const { refreshToken } = tokens;
  if (!refreshToken) throw await endLogin(parts, stored, actor, 'no_refresh_token');
  if (isUnanswered && settings.recovery === 'needs-login')
    throw await endLogin(parts, stored, actor, 'unanswered');
  const auth = clientAuth(client, settings.basicEncoding);
  vault.requireSpace();
  const metadata = await parts.metadata.get(client.issuer, client.serverMetadata, settings.network);

  const rotation = await vault.transaction(function* () {
    if (!(yield* holdsLease(lease, clock.now()))) throw lost(stored);
    // One whose lease was lost may have written meanwhile: then this token is not the one to be shown, or not now.
    const current = yield* findConnectionById(stored.id);
    if (!current) throw gone(stored);
    if (current.generation !== stored.generation) return current;
    if (current.state !== stored.state || current.failures !== stored.failures) {
      throw stateError(current, clock.now());
    }
    return yield* openRotation(stored.id, stored.generation, refreshToken.fingerprint(), clock.now());
  });
  if ('name' in rotation) return rotation;
  reached('refresh.journaled');
  // The last thing before the request: who slept since it wrote the row must not present the token any more.
  const { isOurs, isKept } = await vault.run(function* () {
    return { isOurs: yield* holdsLease(lease, clock.now()), isKept: yield* isOnRecord(rotation) };
  });
  if (!isKept) throw isOurs ? notKept(stored) : lost(stored);

  const presentedAt = clock.now();
  const answer = await presentRefreshToken({
    ...{ metadata, clientId: client.clientId, auth, refreshToken },
    resource: settings.resourceParameter === 'send' ? server.resource : undefined,
    scope: settings.refreshScope === 'send' ? tokens.scope : undefined,
    fetch: parts.fetchFor(settings.network),
    now: () => clock.now(),
  });
  reached('refresh.answered');
  const verdict = judgeRefresh(answer, settings.deadTokenErrors);
  log.info({ connection: stored.name, generation: stored.generation, ...verdict }, 'refresh answered');
  countRefresh(parts, stored.name, verdict, presentedAt);
  // Perhaps the server has moved: the next attempt looks for its token endpoint again.
  if (isNotFound(answer)) await parts.metadata.forget(client.issuer);
  const presented = { stored, tokens, rotation, flight, recovery: settings.recovery };
  if (verdict.verdict === 'success') {
    const kept = await keepAnswer(parts, presented, answer);
    if (another)
      await rememberManner(parts, server, another).catch((error) => log.warn({ err: error }, NOT_REMEMBERED));
    return kept;
  }
  const isMisasked = verdict.verdict === 'client_invalid' || verdict.verdict === 'config_error';
  const other = isMisasked ? anotherManner(answer, manner, metadata, tokens.scope) : undefined;
  if (other) {
    await recordMisasked(parts, presented, verdict.code);
    return refreshOnce(parts, flight, lease, other);
  }
  const outcome = await recordRefusal(parts, presented, verdict);
  if (outcome.kind === 'refused') throw outcome.error;
  if (outcome.kind === 'overtaken') return outcome.current;
  // The newer pair is dead for good, and an older one was kept for this moment.
  return refreshOnce(parts, { ...flight, seen: outcome.current }, lease);
}

/** Nobody there, or nothing there. */
function isNotFound(answer: RefreshAnswer): boolean {
  return answer.kind === 'not_sent' || (answer.kind === 'answer' && [404, 405, 410].includes(answer.status));
}

async function open(parts: RefreshParts, seen: Connection) {
  const { vault } = parts;
  const found = await vault.run(function* () {
    const stored = yield* findConnectionById(seen.id);
    const server = stored && (yield* findServer(stored.server));
    const client = stored?.clientRowId ? yield* findClient(stored.clientRowId) : undefined;
    const isUnanswered = stored ? yield* hasUnanswered(stored.id, stored.generation) : false;
    return stored && server && client ? { stored, server, client, isUnanswered } : undefined;
  });
  if (!found) throw gone(seen);
  return {
    stored: found.stored,
    tokens: await openTokenSet(vault.sealer, found.stored),
    client: await openClient(vault.sealer, found.client),
    server: found.server,
    isUnanswered: found.isUnanswered,
  };
}

function busy(connection: Connection): BrokerError {
  return new BrokerError(
    'upstream_unavailable',
    `another process is still busy with the refresh of ${connection.name}`,
    { hint: `broker show ${connection.name}`, connection: connection.name, retryAfterSeconds: 5 },
  );
}

function lost(connection: Connection): BrokerError {
  return new BrokerError(
    'upstream_unavailable',
    `another process took over the refresh of ${connection.name}`,
    {
      hint: `broker show ${connection.name}`,
      connection: connection.name,
      retryAfterSeconds: 1,
    },
  );
}

function notKept(connection: Connection): BrokerError {
  return new BrokerError('vault_unavailable', 'the vault does not keep what is written to it', {
    hint: 'the refresh token was not spent; check the disk of the vault',
    connection: connection.name,
  });
}
