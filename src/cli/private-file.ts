/** Files that only their owner may read, replaced as a whole. */
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BrokerError, systemCode } from '../errors.ts';

/** Throws `usage` when no file can be at that place: it is a directory, or its directory is none. */
export function requireFilePlace(path: string, option: string): void {
  const isDirectory = (each: string) => statSync(each, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (isDirectory(dirname(path)) && !isDirectory(path)) return;
  throw new BrokerError(
    'usage',
    `${path} cannot be written: ${isDirectory(path) ? 'it is a directory' : `there is no directory ${dirname(path)}`}`,
    {
      hint: `${option} takes the path of a file in a directory that exists`,
    },
  );
}

/**
 * Writes the file with mode 0600, on disk before this returns. Whoever reads it meanwhile sees the old content or the
 * new one, never a part. Whatever was at that place before, a link too, is replaced.
 *
 * Throws `push_failed`.
 */
export function writePrivateFile(path: string, text: string): void {
  const draft = join(dirname(path), `.${basename(path)}.${randomUUID()}`);
  try {
    writeFileSync(draft, text, { flag: 'wx', mode: 0o600, flush: true });
    renameSync(draft, path);
    syncDirectory(dirname(path));
  } catch (error) {
    rmSync(draft, { force: true });
    throw new BrokerError('push_failed', `${path} cannot be written (${systemCode(error)})`, {
      hint: 'check permissions and space; what was there before is unchanged',
      cause: error,
    });
  }
}

/** A rename is lasting only when its directory is on disk. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
