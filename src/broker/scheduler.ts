/**
 * Refreshes nobody asked for: ahead of expiry for connections in use, keep-alive for idle ones, and the next
 * attempt of those that fail.
 *
 * It decides afresh at every turn from what is stored, and sleeps at most 30 s, so that a suspended machine or a
 * clock that jumps costs it one turn and nothing else. It owns no refresh: it calls the one path.
 */
import { hash } from 'node:crypto';
import type { Connection } from '../core/connection.ts';
import { aheadAt, dueAt } from '../core/schedule.ts';
import { BrokerError } from '../errors.ts';
import { listIssuers } from '../vault/clients.ts';
import { listConnections } from '../vault/connections.ts';
import { listUnanswered } from '../vault/rotations.ts';
import { listServers } from '../vault/servers.ts';
import type { Context } from './context.ts';
import { endLeasesOfTheGone, LEASE_MS } from './lease.ts';

/** Longest sleep. */
const LONGEST_SLEEP_MS = 30_000;
/** Shortest sleep, so that a refresh that cannot even begin does not spin. */
const SHORTEST_SLEEP_MS = 250;

/** Refreshes at once for one authorization server; the rest wait for the next turn. */
const MAX_PER_ISSUER = 4;

export interface Scheduler {
  /** When it last looked, epoch ms. Null: not yet. */
  lastTurnAt(): number | null;
  /** Stops looking. Refreshes begun go on. */
  stop(): Promise<void>;
}

/** Starts looking after all connections until stopped. */
export function startScheduler(context: Context): Scheduler {
  const { clock, log } = context;
  const stopping = new AbortController();
  const running = new Map<string, string>();
  let lastTurnAt: number | null = null;
  let ended = new AbortController();

  async function turn(): Promise<number> {
    await endLeasesOfTheGone(context);
    const now = clock.now();
    const plan = await look(context, now);
    lastTurnAt = now;
    for (const { connection, issuer } of plan.due) {
      const atIssuer = [...running.values()].filter((each) => each === issuer).length;
      if (running.has(connection.id) || atIssuer >= MAX_PER_ISSUER) continue;
      running.set(connection.id, issuer);
      void refresh(context, connection).finally(() => {
        running.delete(connection.id);
        ended.abort();
      });
    }
    const sleep = plan.nextAt === null ? LONGEST_SLEEP_MS : plan.nextAt - now;
    return Math.min(Math.max(sleep, SHORTEST_SLEEP_MS), LONGEST_SLEEP_MS);
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const sleepMs = await turn().catch((error: unknown) => {
        log.error({ err: error }, 'the scheduler could not look at the vault');
        return LONGEST_SLEEP_MS;
      });
      await clock.wait(SHORTEST_SLEEP_MS, stopping.signal).catch(() => {});
      // A new token may end sooner than this sleep, and what waited for its turn may have it now.
      const signal = AbortSignal.any([stopping.signal, ended.signal]);
      await clock.wait(sleepMs - SHORTEST_SLEEP_MS, signal).catch(() => {});
      ended = new AbortController();
    }
  }

  const looping = loop();
  return {
    lastTurnAt: () => lastTurnAt,
    async stop() {
      stopping.abort();
      await looping;
    },
  };
}

interface Plan {
  due: { connection: Connection; issuer: string }[];
  /** The next instant at which something is due. Null: nothing is planned. */
  nextAt: number | null;
}

async function look({ vault }: Context, now: number): Promise<Plan> {
  const { connections, unanswered, issuers, servers } = await vault.run(function* () {
    return {
      connections: yield* listConnections(),
      unanswered: yield* listUnanswered(now, now + LEASE_MS),
      issuers: yield* listIssuers(),
      servers: new Map((yield* listServers()).map(({ name, settings }) => [name, settings])),
    };
  });
  const plan: Plan = { due: [], nextAt: null };
  for (const connection of connections) {
    const jitter = jitterOf(connection.id);
    const idleLimitMs = servers.get(connection.server)?.idleLimitMs ?? null;
    const at = dueAt(connection, { isUnanswered: unanswered.has(connection.id), jitter, idleLimitMs }, now);
    if (at === null) continue;
    if (at <= now) plan.due.push({ connection, issuer: issuers.get(connection.clientRowId ?? '') ?? '' });
    // By the time a refresh ahead makes sense, the connection may be in use.
    const ahead = aheadAt(connection, jitter);
    for (const instant of [at, ahead]) {
      if (instant !== null && instant > now) plan.nextAt = Math.min(plan.nextAt ?? instant, instant);
    }
  }
  return plan;
}

/** The outcome is stored by the refresh itself; here it is only told. */
async function refresh({ refresher, log }: Context, connection: Connection): Promise<void> {
  try {
    await refresher.refresh(connection, 'scheduler');
  } catch (error) {
    const code = error instanceof BrokerError ? error.code : 'internal';
    log.warn(
      { connection: connection.name, code, ...(code === 'internal' ? { err: error } : {}) },
      'refresh failed',
    );
  }
}

/** From 0 to 1, the same for a connection at every turn, so that its due instant does not wander. */
function jitterOf(id: string): number {
  return Number.parseInt(hash('sha256', id, 'hex').slice(0, 8), 16) / 0xffffffff;
}
