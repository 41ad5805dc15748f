/**
 * Holding a connection's lease while working on it.
 *
 * The lease outlives the longest request, is renewed by a heartbeat meanwhile, and is always given back. Who
 * finds it taken waits, looking now and then whether the wait is still worth it, or its holder gone.
 */
import { BrokerError } from '../errors.ts';
import { REQUEST_DEADLINE_MS } from '../oauth/http.ts';
import type { Vault } from '../vault/index.ts';
import {
  type Lease,
  listLeases,
  releaseLease,
  renewLease,
  type TakenLease,
  takeLease,
} from '../vault/leases.ts';
import { isGone } from '../vault/owner.ts';
import type { Context } from './context.ts';

/** Longer than one request. A holder that cannot be asked whether it lives blocks others for so long at most. */
export const LEASE_MS = 1.5 * REQUEST_DEADLINE_MS;
/** Less than a third of the lease: two heartbeats may fail before it is lost. */
const HEARTBEAT_MS = LEASE_MS / 4;
const WAIT_DEADLINE_MS = LEASE_MS;
const POLL_MS = 50;

/** Who waits longer for another process is better told to come again. */
const PATIENCE_MS = 20_000;

type Parts = Pick<Context, 'vault' | 'clock' | 'log'>;
type WaitingParts = Parts & Pick<Context, 'lifetime' | 'metrics'>;

/** The lease that guards the secrets of a connection. */
export const leaseOf = (connectionName: string) => `connection:${connectionName}`;

/**
 * Runs `work` while holding the lease.
 *
 * @param unlessDone asked before each try; a value ends the wait and is the result, without the lease
 * @param onLongWait called when it is not ours after 20 s; the wait goes on
 * Throws `upstream_unavailable` when the holder does not let go for 45 s, or when we are told to stop.
 */
export async function withLease<T>(
  parts: WaitingParts,
  name: string,
  work: (lease: TakenLease) => Promise<T>,
  unlessDone: () => Promise<T | undefined> = async () => undefined,
  onLongWait: () => void = () => {},
): Promise<T> {
  const { vault, clock, lifetime } = parts;
  // Counted, not read from the clock, which may be set meanwhile.
  let waitedMs = 0;
  for (;;) {
    const done = await unlessDone();
    if (done !== undefined) return done;
    await endLeasesOfTheGone(parts);
    const now = clock.now();
    const isPatienceOver = waitedMs >= WAIT_DEADLINE_MS;
    // One that ends later than any can was taken before the clock was set back; a holder at work had renewed it.
    const latestEnd = isPatienceOver ? now + LEASE_MS : undefined;
    const lease = await vault.transaction(() => takeLease(name, vault.owner, now, LEASE_MS, latestEnd));
    if (lease) {
      parts.metrics.leaseTaken(waitedMs);
      return hold(parts, lease, work);
    }
    if (waitedMs >= PATIENCE_MS) onLongWait();
    // Nothing was begun: who is told to stop need not wait for others.
    if (isPatienceOver || lifetime.stopping.aborted) {
      throw new BrokerError('upstream_unavailable', `another broker process is still busy with ${name}`, {
        hint: 'try again in a moment',
        retryAfterSeconds: 5,
      });
    }
    const pauseMs = POLL_MS * (1 + Math.random());
    await clock.wait(pauseMs, lifetime.stopping).catch(() => {});
    waitedMs += pauseMs;
  }
}

/** Gives back what processes hold that were killed: on this machine that can be seen. */
export async function endLeasesOfTheGone({ vault, clock, log }: Parts): Promise<void> {
  const held = await vault.run(() => listLeases(clock.now()));
  for (const lease of held.filter(({ owner }) => isGone(owner))) {
    log.warn({ lease: lease.name }, 'a process died while it held this lease; it is free again');
    await vault.transaction(() => releaseLease(lease));
  }
}

async function hold<T>(parts: Parts, lease: TakenLease, work: (lease: TakenLease) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const heartbeat = keepAlive(parts, lease, stop.signal);
  try {
    return await work(lease);
  } finally {
    stop.abort();
    await heartbeat;
    await release(parts.vault, lease);
  }
}

/** Renews the lease until told to stop, or until it is lost. Never rejects. */
export async function keepAlive(
  { vault, clock, log }: Parts,
  lease: Lease,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      await clock.wait(HEARTBEAT_MS, signal);
    } catch {
      return;
    }
    const isOurs = await vault
      .transaction(() => renewLease(lease, clock.now(), LEASE_MS))
      .catch((error: unknown) => {
        log.warn({ err: error, lease: lease.name }, 'a lease could not be renewed');
        return true;
      });
    if (!isOurs) {
      log.warn({ lease: lease.name }, 'a lease was lost to another process');
      return;
    }
  }
}

/** A lease that cannot be given back ends by itself; the work it guarded is done either way. */
async function release(vault: Vault, lease: Lease): Promise<void> {
  await vault.transaction(() => releaseLease(lease)).catch(() => {});
}
