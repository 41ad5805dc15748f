/** A folder of dated backups, of which the newest are kept. */
import { createReadStream, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { peekBackup } from '../vault/backup-file.ts';

/** Names that are given here: `broker-20270131T235959Z.backup`. */
const BACKUP_NAME = /^broker-\d{8}T\d{6}Z\.backup$/;

/** `20270131T235959Z`: a time in the name of a file, UTC. Such names sort by time. */
export function timeInName(now: number): string {
  return new Date(now).toISOString().replace(/[-:]|\.\d+/g, '');
}

/** Name of a backup made at this time. */
export function backupName(now: number): string {
  return `broker-${timeInName(now)}.backup`;
}

/**
 * Removes the oldest backups of this vault beyond `keep`, and nothing else: what has another kind of name, or is of
 * another vault, stays. The names of those removed.
 *
 * @param newest is kept whatever its name: the clock may have been set back
 */
export async function removeOldBackups(
  folder: string,
  keep: number,
  vaultId: string,
  newest: string,
): Promise<string[]> {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((each) => each.isFile() && BACKUP_NAME.test(each.name) && each.name !== newest)
    .map(({ name }) => name)
    .sort()
    .reverse();
  const ours: string[] = [];
  for (const name of names) {
    const facts = await peekBackup(createReadStream(join(folder, name))).catch(() => undefined);
    if (facts?.vault === vaultId) ours.push(name);
  }
  const old = ours.slice(Math.max(0, keep - 1));
  for (const name of old) rmSync(join(folder, name), { force: true });
  return old;
}
