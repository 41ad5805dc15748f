/**
 * Which processes have the vault open, and with which master key. A key is not retired under the hands of one that
 * still needs it.
 */

import type { Steps } from '../vault/database.ts';
import { deleteLease, type Lease, listLeases, takeLease } from '../vault/leases.ts';
import { processOf } from '../vault/owner.ts';
import type { Context } from './context.ts';
import { endLeasesOfTheGone, keepAlive, LEASE_MS } from './lease.ts';

type Parts = Pick<Context, 'vault' | 'clock' | 'log'>;

const PREFIX = 'process:';

export interface Present {
  /** Process id, on its own machine. */
  process: number;
  masterKeyId: string;
  /** Whether it is this broker itself. */
  isUs: boolean;
}

/**
 * Says that we are here, until told to leave. A vault that cannot be written is no reason to stop: who cannot write
 * this cannot write anything a key would matter for.
 */
export async function announce(parts: Parts): Promise<{ leave(): Promise<void> }> {
  const { vault, clock, log } = parts;
  const name = `${PREFIX}${vault.masterKey.id}:${vault.owner}`;
  const lease = await vault
    .transaction(() => takeLease(name, vault.owner, clock.now(), LEASE_MS))
    .catch((error: unknown) => void log.info({ err: error }, 'the vault cannot be written at the moment'));
  if (!lease) return { leave: async () => {} };
  const stop = new AbortController();
  const heartbeat = keepAlive(parts, lease, stop.signal);
  return {
    async leave() {
      stop.abort();
      await heartbeat;
      await vault.transaction(() => deleteLease(lease)).catch(() => {});
    },
  };
}

/** Everybody who is here. Those who died without leaving are taken off the list. */
export async function whoIsPresent(parts: Parts): Promise<Present[]> {
  await endLeasesOfTheGone(parts);
  return parts.vault.run(() => listPresent(parts));
}

/** The statements that list them, for a transaction that depends on it. */
export function* listPresent({ vault, clock }: Pick<Parts, 'vault' | 'clock'>): Steps<Present[]> {
  const leases: Lease[] = yield* listLeases(clock.now(), PREFIX);
  return leases.map(({ name, owner }) => ({
    process: processOf(owner),
    masterKeyId: name.slice(PREFIX.length).split(':')[0] ?? '',
    isUs: owner === vault.owner,
  }));
}
