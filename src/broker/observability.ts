/** What can be seen of the broker at a moment, for whoever watches it from outside. */
import type { ConnectionState } from '../core/connection.ts';
import { isRenewable } from '../core/connection.ts';
import type { Metrics } from '../metrics.ts';
import { listSecretEnds } from '../vault/clients.ts';
import { listConnections } from '../vault/connections.ts';
import { requireAdmin } from './admin.ts';
import type { Caller, Context } from './context.ts';
import { readiness } from './health.ts';
import type { Scheduler } from './scheduler.ts';

/** A connection as it stands. Seconds may be negative: then it has happened. */
export interface ObservedConnection {
  name: string;
  state: ConnectionState;
  /** Until its access token ends. Null: nobody knows. */
  expiresInSeconds: number | null;
  /** Whether a newer token can be had without a person. */
  isRenewable: boolean;
  /** Since the present refresh token was received. Null: there is none. */
  refreshTokenAgeSeconds: number | null;
  /** Until the secret of its client ends. Null: never, or there is none. */
  clientSecretExpiresInSeconds: number | null;
}

export interface Observation {
  /** Connections, by name. Undefined: the vault could not be read. */
  connections: ObservedConnection[] | undefined;
  isReady: boolean;
  /** Epoch ms. Null: not yet, or there is none. */
  schedulerLastTurnAt: number | null;
  /** New tokens that wait to be saved. */
  unsavedPairs: number;
  /** Records of the audit trail that wait to be written. */
  auditWaiting: number;
}

export interface Observability {
  /** Where the doors count. */
  metrics: Metrics;
  /** For the operator and agents with the admin right. Throws `forbidden`. */
  requireAllowed(caller: Caller): Promise<void>;
  /** Waits for the vault no longer than some seconds. Never rejects: what cannot be told is left out. */
  observe(): Promise<Observation>;
}

/** Whoever asks gives up after 10 s, as a rule. */
const DEADLINE_MS = 5_000;

export function createObservability(context: Context, scheduler: Scheduler | undefined): Observability {
  const { clock, log, metrics, unsaved, handOuts } = context;
  return {
    metrics,
    requireAllowed: (caller) => requireAdmin(context, caller, 'metrics'),
    async observe() {
      const [connections, isReady] = await Promise.all([
        inTime(context, observeConnections(context)),
        inTime(context, isReadyNow()),
      ]);
      return {
        connections,
        isReady: isReady ?? false,
        schedulerLastTurnAt: scheduler?.lastTurnAt() ?? null,
        unsavedPairs: unsaved.size,
        auditWaiting: handOuts.waiting(),
      };
    },
  };

  async function isReadyNow(): Promise<boolean> {
    return (await readiness(context, scheduler)).isReady;
  }

  /** Undefined: it failed, or took too long. */
  async function inTime<T>(
    { clock: { wait } }: Pick<Context, 'clock'>,
    work: Promise<T>,
  ): Promise<T | undefined> {
    const enough = new AbortController();
    const late = wait(DEADLINE_MS, enough.signal).then(
      () => undefined,
      () => undefined,
    );
    const done = work.catch((error: unknown) => {
      log.warn({ err: error }, 'a part of the metrics could not be read');
      return undefined;
    });
    const first = await Promise.race([done, late]);
    enough.abort();
    return first;
  }

  async function observeConnections({ vault }: Pick<Context, 'vault'>): Promise<ObservedConnection[]> {
    const { stored, secretEnds } = await vault.run(function* () {
      return { stored: yield* listConnections(), secretEnds: yield* listSecretEnds() };
    });
    const now = clock.now();
    return stored.map((each) => ({
      ...{ name: each.name, state: each.state, isRenewable: isRenewable(each) },
      expiresInSeconds: until(each.accessExpiresAt, now),
      refreshTokenAgeSeconds: since(each.refreshReceivedAt, now),
      clientSecretExpiresInSeconds: until(secretEnds.get(each.clientRowId ?? '') ?? null, now),
    }));
  }
}

function since(at: number | null, now: number): number | null {
  return at === null ? null : (now - at) / 1000;
}

function until(at: number | null, now: number): number | null {
  return at === null ? null : (at - now) / 1000;
}
