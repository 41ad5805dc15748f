/**
 * Restoring a backup: proven as a whole and made ready beside the vault, then put in its place in one step. Until then
 * nothing is changed.
 *
 * What a server has seen cannot be restored: a refresh token that was used after the backup is dead. So connections whose
 * server replaces refresh tokens start `uncertain`.
 */
import { createWriteStream, existsSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type Clock, systemClock } from '../clock.ts';
import type { Settings } from '../config.ts';
import { mayBeUsedUp, RESTORED, stateAfterRestore } from '../core/restored.ts';
import { BrokerError, systemCode } from '../errors.ts';
import type { Log } from '../log.ts';
import { reached } from '../steps.ts';
import { type BackupFacts, openBackup } from '../vault/backup-file.ts';
import { listConnections, openTokenSet, recordState, type StoredConnection } from '../vault/connections.ts';
import { query } from '../vault/database.ts';
import { createDraft, removeDraft, sync } from '../vault/draft.ts';
import { openVault, type Vault } from '../vault/index.ts';
import { findMasterKey } from '../vault/keyring.ts';
import { newestMigration } from '../vault/migrate.ts';
import { type HeldVault, holdVault, type OldConnection } from '../vault/replace.ts';
import { markRestored } from '../vault/rotations.ts';
import { listServers } from '../vault/servers.ts';
import { timeInName } from './backup-folder.ts';
import { actorOf, OPERATOR } from './context.ts';
import { openBroker } from './index.ts';

export interface RestoreOptions {
  settings: Settings;
  log: Log;
  /** Whether a vault with data in it may be replaced. */
  force: boolean;
  clock?: Clock;
}

export interface RestoreView {
  /** Path of the vault. */
  vault: string;
  made_at: string;
  connections: number;
  agents: number;
  /** Connections whose refresh token may be used up. */
  uncertain: string[];
  /** Where the vault is that was there before. Absent: there was none. */
  replaced?: string;
  /** Schema of the backup, when it was an older one. */
  migrated_from?: number;
}

/**
 * Restores the vault of these settings from a backup.
 *
 * Throws `backup_invalid`, `key_missing`, `key_wrong`, `key_unsafe`, `vault_newer`, `vault_locked` while a process has the
 * vault open, `usage` over a vault with data, `backup_failed`.
 */
export async function restore(source: AsyncIterable<Buffer>, options: RestoreOptions): Promise<RestoreView> {
  const { settings, log, clock = systemClock } = options;
  const { facts, content } = await openBackup(
    source,
    findMasterKey(settings.masterKey, 'the master key of the backup'),
  );
  const newest = newestMigration();
  if (facts.schema > newest) throw tooNew(facts);
  const replaced = await replace(facts, content, { ...options, clock }).catch((error: unknown) => {
    throw error instanceof BrokerError ? error : failed(error);
  });
  return {
    vault: settings.database,
    made_at: facts.madeAt,
    ...(await describe({ settings, log, clock })),
    ...(replaced !== undefined && { replaced }),
    ...(facts.schema < newest && { migrated_from: facts.schema }),
  };
}

/** Path of the vault before, if there was one. */
async function replace(
  facts: BackupFacts,
  content: AsyncIterable<Uint8Array>,
  { settings, force, clock }: Required<RestoreOptions>,
): Promise<string | undefined> {
  const { database: path, masterKey } = settings;
  const draft = createDraft(path);
  let held: HeldVault | undefined;
  try {
    await pipeline(content, createGunzip(), createWriteStream(draft, { flush: true }));
    held = holdVault(path, clock.now(), force);
    const vault = await openVault({ path: draft, masterKey, clock, create: false });
    try {
      await requireSound(vault);
      await mark(vault, clock, facts, held.connections);
    } finally {
      await vault.close();
    }
    sync(draft);
    reached('restore.prepared');
    const aside = held.hasData ? asidePath(path, clock.now()) : undefined;
    held.replaceBy(draft, aside);
    return aside;
  } finally {
    held?.release();
    removeDraft(draft);
  }
}

async function requireSound(vault: Vault): Promise<void> {
  const [result] = await vault.run(() => query<{ integrity_check: string }>('PRAGMA integrity_check(1)'));
  if (result?.integrity_check === 'ok') return;
  throw new BrokerError('backup_invalid', 'the vault in the backup is damaged', {
    hint: 'use another backup',
  });
}

/** Writes down, in what is to become the vault, that it was restored, and what that makes uncertain. */
async function mark(vault: Vault, clock: Clock, facts: BackupFacts, old: OldConnection[]): Promise<void> {
  const { connections, servers } = await vault.run(function* () {
    return { connections: yield* listConnections(), servers: yield* listServers() };
  });
  const recoveryOf = new Map(servers.map(({ name, settings }) => [name, settings.recovery]));
  const doubtful = connections.filter((each) => {
    const recovery = recoveryOf.get(each.server) ?? 'retry';
    return mayBeUsedUp({ ...each, recovery }) && !old.some((other) => isSame(each, other));
  });
  const tokens = await Promise.all(doubtful.map((each) => openTokenSet(vault.sealer, each)));
  const now = clock.now();
  await vault.transaction(function* () {
    for (const [index, each] of doubtful.entries()) {
      const fingerprint = tokens[index]?.refreshToken?.fingerprint() ?? '';
      yield* markRestored(each.id, each.generation, fingerprint, now);
      yield* recordState(each.id, each.generation, stateAfterRestore(each, now), now);
    }
    yield* vault.audit.append({
      actor: actorOf(OPERATOR),
      action: 'restore',
      outcome: 'ok',
      detail: { backup: facts.backup, made_at: facts.madeAt, uncertain: doubtful.length },
    });
  });
}

/** Whether the vault that is replaced has the very same, and nobody has used it since. */
function isSame(stored: StoredConnection, old: OldConnection): boolean {
  return (
    old.id === stored.id &&
    old.generation === stored.generation &&
    old.secrets === stored.sealed &&
    old.state === stored.state &&
    old.failures === stored.failures &&
    old.unanswered === 0
  );
}

/** Opens the vault as every command does: tokens that were put aside are taken in. */
async function describe(
  parts: Required<Pick<RestoreOptions, 'settings' | 'log' | 'clock'>>,
): Promise<Pick<RestoreView, 'connections' | 'agents' | 'uncertain'>> {
  const broker = await openBroker({ ...parts, create: false });
  try {
    const connections = await broker.list(OPERATOR);
    const agents = await broker.agents.list();
    return {
      connections: connections.length,
      agents: agents.filter(({ status }) => status !== 'revoked').length,
      uncertain: connections.filter(({ code }) => code === RESTORED).map(({ name }) => name),
    };
  } finally {
    await broker.close();
  }
}

function asidePath(path: string, now: number): string {
  const named = `${path}.before-restore-${timeInName(now)}`;
  for (let count = 1; ; count += 1) {
    const free = count === 1 ? named : `${named}-${count}`;
    if (!existsSync(free)) return free;
  }
}

function tooNew({ schema }: BackupFacts): BrokerError {
  return new BrokerError('vault_newer', `this backup was made by a newer broker (its schema is ${schema})`, {
    hint: 'install that version or a later one; nothing was changed',
  });
}

function failed(error: unknown): BrokerError {
  const code = systemCode(error);
  // What gunzip says of bytes that were proven is a fault of whoever made them.
  if (code?.startsWith('Z_')) {
    return new BrokerError('backup_invalid', 'what is in the backup is no vault', {
      hint: 'use another backup',
      cause: error,
    });
  }
  return new BrokerError('backup_failed', `the backup could not be restored (${code ?? 'it broke off'})`, {
    hint: 'check permissions and free space of the place of the vault; nothing was changed',
    cause: error,
  });
}
