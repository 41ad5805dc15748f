import { systemClock } from '../../src/clock.ts';
import { readSettings } from '../../src/config.ts';
import { findClient, openClient } from '../../src/vault/clients.ts';
import { findConnection, openTokenSet } from '../../src/vault/connections.ts';
import { openVault } from '../../src/vault/index.ts';
import { openSpare } from '../../src/vault/spare.ts';
import type { Home } from './home.ts';

/** The login of `demo` as the vault has it, opened with the master key. */
export interface StoredLogin {
  generation: number;
  state: string;
  accessToken: string;
  /** Fingerprints. */
  refreshToken: string | undefined;
  spare: string | undefined;
  /** At the authorization server. */
  clientId: string;
}

/** Reads it beside whatever else has the vault open. Undefined when there is no such connection. */
export async function storedLogin({ env }: Home): Promise<StoredLogin | undefined> {
  const { database, masterKey } = readSettings({ home: env.BROKER_HOME as string }, { ...env });
  const vault = await openVault({ path: database, masterKey, clock: systemClock, create: false });
  try {
    const { stored, row } = await vault.run(function* () {
      const found = yield* findConnection('demo');
      return { stored: found, row: found?.clientRowId ? yield* findClient(found.clientRowId) : undefined };
    });
    if (!stored) return undefined;
    if (!row) throw new Error('the connection is without a client');
    const { accessToken, refreshToken } = await openTokenSet(vault.sealer, stored);
    const spare = await openSpare(vault.sealer, stored);
    return {
      generation: stored.generation,
      state: stored.state,
      accessToken: accessToken.reveal(),
      refreshToken: refreshToken?.fingerprint(),
      spare: spare?.tokens.refreshToken?.fingerprint(),
      clientId: (await openClient(vault.sealer, row)).clientId,
    };
  } finally {
    await vault.close();
  }
}
