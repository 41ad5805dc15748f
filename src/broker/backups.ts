/**
 * Backups: a copy of the vault as it is at one moment, sealed as a whole under the master key. Everything goes on
 * meanwhile.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, linkSync, renameSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { BrokerError, systemCode } from '../errors.ts';
import { type CopiedVault, copyVault } from '../vault/backup.ts';
import { describeBackup, peekBackup, sealBackup } from '../vault/backup-file.ts';
import { createDraft, removeDraft, sync } from '../vault/draft.ts';
import { backupName, removeOldBackups } from './backup-folder.ts';
import { timestamp } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';

/** Where a backup goes. */
export type BackupTarget =
  /** A file, or a folder in which a dated one is made. */
  | { path: string; force: boolean; keep: number | undefined }
  /** A stream that is written to and left open. */
  | { stream: Writable };

export interface BackupView {
  /** Absent: it went to a stream. */
  file?: string;
  bytes: number;
  /** Of the file, hexadecimal. */
  sha256: string;
  made_at: string;
  /** Which master key opens it, and where that came from now. */
  master_key: { id: string; source: string };
  vault: string;
  schema: number;
  connections: number;
  agents: number;
  /** Older backups that were removed. */
  removed: string[];
}

export interface Backups {
  /** Throws `usage` for a target that cannot be, `backup_failed`, `vault_unavailable` for a damaged vault. */
  make(target: BackupTarget): Promise<BackupView>;
}

type Parts = Pick<Context, 'vault' | 'clock'>;

/** Backups of this vault. */
export function createBackups(parts: Parts): Backups {
  return { make: (target) => make(parts, target) };
}

async function make(parts: Parts, target: BackupTarget): Promise<BackupView> {
  const { vault, clock } = parts;
  const now = clock.now();
  const place = 'path' in target ? await findPlace(vault.path, target, now) : undefined;
  const copy = createDraft(vault.path);
  try {
    const copied = copyVault(vault.path, copy);
    const written = await write(parts, copy, copied, now, place ?? target);
    const { id, source } = vault.masterKey;
    const { file, sha256 } = written;
    await vault.transaction(() =>
      vault.audit.append({
        actor: actorOf(OPERATOR),
        action: 'backup',
        outcome: 'ok',
        detail: { sha256, file: file ?? '-', master_key: id },
      }),
    );
    const keep = 'keep' in target ? target.keep : undefined;
    return {
      ...written,
      made_at: timestamp(now),
      master_key: { id, source },
      vault: vault.sealer.vaultId,
      ...copied,
      removed:
        file !== undefined && keep !== undefined
          ? await removeOldBackups(dirname(file), keep, vault.sealer.vaultId, basename(file))
          : [],
    };
  } catch (error) {
    throw error instanceof BrokerError ? error : failed(error);
  } finally {
    removeDraft(copy);
  }
}

interface Place {
  path: string;
  force: boolean;
}

/** Throws `usage` before anything is copied. */
async function findPlace(
  vaultPath: string,
  { path, force, keep }: Extract<BackupTarget, { path: string }>,
  now: number,
): Promise<Place> {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (keep !== undefined && !isFolder) {
    throw new BrokerError('usage', `--keep wants a folder, and ${path} is none`, {
      hint: 'name a folder that exists: a dated file is made in it',
    });
  }
  const file = resolve(isFolder ? join(path, backupName(now)) : path);
  if (!statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory() || /[/\\]$/.test(file)) {
    throw new BrokerError('usage', `there is no folder ${dirname(file)}`, {
      hint: 'make it first, or name another',
    });
  }
  if (resolve(vaultPath) === file) throw notOver(file);
  if (!existsSync(file)) return { path: file, force };
  if (!force) {
    throw new BrokerError('usage', `${file} exists already`, {
      hint: 'choose another name, or --force to replace that backup',
    });
  }
  if (!statSync(file).isFile() || !(await peekBackup(createReadStream(file)))) throw notOver(file);
  return { path: file, force };
}

function notOver(file: string): BrokerError {
  return new BrokerError('usage', `${file} is no backup: it is not replaced`, {
    hint: '--force replaces backups only; choose another name',
  });
}

async function write(
  { vault }: Parts,
  copy: string,
  { schema }: CopiedVault,
  now: number,
  target: Place | { stream: Writable },
): Promise<Pick<BackupView, 'file' | 'bytes' | 'sha256'>> {
  const about = {
    vault: vault.sealer.vaultId,
    madeAt: timestamp(now),
    schema,
    masterKeyId: vault.masterKey.id,
  };
  const facts = describeBackup(about);
  const digest = createHash('sha256');
  let bytes = 0;
  const measured = async function* (lines: AsyncIterable<string>) {
    for await (const line of lines) {
      digest.update(line);
      bytes += line.length;
      yield line;
    }
  };
  const seal = (content: AsyncIterable<Buffer>) => sealBackup(content, facts, vault.masterKey);
  const result = () => ({ bytes, sha256: digest.digest('hex') });
  if ('stream' in target) {
    await pipeline(createReadStream(copy), createGzip(), seal, measured, target.stream, { end: false });
    return result();
  }
  const { path, force } = target;
  // Of one name for all backups, so that what a killed one left is found by the next.
  const draft = createDraft(join(dirname(path), '.broker-backup'));
  try {
    const file = createWriteStream(draft, { flush: true });
    await pipeline(createReadStream(copy), createGzip(), seal, measured, file);
    moveTo(path, draft, force);
    return { file: path, ...result() };
  } finally {
    removeDraft(draft);
  }
}

/** Somebody may have made a file there meanwhile: a link, unlike a rename, does not replace it. */
function moveTo(path: string, draft: string, force: boolean): void {
  if (force) renameSync(draft, path);
  else linkSync(draft, path);
  sync(dirname(path));
}

function failed(error: unknown): BrokerError {
  const reason = systemCode(error) === 'ERR_SQLITE_ERROR' ? (error as Error).message : systemCode(error);
  return new BrokerError('backup_failed', `the backup could not be made (${reason ?? 'it broke off'})`, {
    hint: 'check permissions and free space, also beside the vault: a copy of it is made there for a moment',
    cause: error,
  });
}
