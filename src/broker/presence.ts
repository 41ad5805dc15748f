/**
 * Which resident processes have the vault open, and with which master key: a key is not retired under their hands.
 *
 * Commands are not on the list. They are over in a moment, and seal with the newest key there is; being on it would
 * make those wait for the vault's lock that only read.
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

/** Says that we are here, until told to leave. Throws when the vault cannot be written: who is to stay must be able to. */
export async function announce(parts: Parts): Promise<{ leave(): Promise<void> }> {
  const { vault, clock } = parts;
  const name = `${PREFIX}${vault.masterKey.id}:${vault.owner}`;
  const lease = await vault.transaction(() => takeLease(name, vault.owner, clock.now(), LEASE_MS));
  if (!lease) throw new TypeError('an owner is unique');
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
