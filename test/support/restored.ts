/** Backups of a test's vault, restored in places of their own. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { BackupView } from '../../src/broker/backups.ts';
import type { Broker } from '../../src/broker/index.ts';
import { type RestoreView, restore } from '../../src/broker/restore.ts';
import { createLog } from '../../src/log.ts';
import { findConnection, openTokenSet } from '../../src/vault/connections.ts';
import { openVault } from '../../src/vault/index.ts';
import type { World } from './world.ts';

/** Makes a backup in this file. */
export function backUp(broker: Broker, path: string): Promise<BackupView> {
  return broker.backups.make({ path, force: false, keep: undefined });
}

/** Restores a backup over the vault of the world, or over another one. */
export function restoreHere(
  { settings, clock }: World,
  file: string,
  { force = true, database = settings.database } = {},
): Promise<RestoreView> {
  const options = { settings: { ...settings, database }, log: createLog('silent'), force, clock };
  return restore(createReadStream(file), options);
}

/** A restored vault, and what `demo` is in it. */
export interface Elsewhere {
  path: string;
  view: RestoreView;
  generation: number;
  /** Of the refresh token. */
  fingerprint: string | undefined;
}

/** Restores a backup in a new place with the same master key. */
export async function restoreElsewhere(world: World, file: string): Promise<Elsewhere> {
  const path = join(world.home.path, `elsewhere-${randomUUID()}`, 'broker.db');
  const view = await restoreHere(world, file, { force: false, database: path });
  const { masterKey } = world.settings;
  const vault = await openVault({ path, masterKey, clock: world.clock, create: false });
  try {
    const stored = await vault.run(() => findConnection('demo'));
    if (!stored) throw new Error('demo is not in the backup');
    const { refreshToken } = await openTokenSet(vault.sealer, stored);
    return { path, view, generation: stored.generation, fingerprint: refreshToken?.fingerprint() };
  } finally {
    await vault.close();
  }
}
