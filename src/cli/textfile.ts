/** Files that others read, replaced as a whole. */
import { randomUUID } from 'node:crypto';
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BrokerError, systemCode } from '../errors.ts';

/** Everybody may read it: the collector runs as another user. */
const MODE = 0o644;

/**
 * Writes the file with mode 0644, on disk before this returns. Whoever reads it meanwhile sees the old content or the
 * new one, never a part. The draft beside it does not end in `.prom`: a collector would read it too.
 *
 * Throws `usage`.
 */
export function writeTextfile(path: string, text: string): void {
  const draft = join(dirname(path), `.${basename(path)}.${randomUUID()}.draft`);
  try {
    const file = openSync(draft, 'wx', MODE);
    try {
      // The umask may have taken away what the collector needs.
      fchmodSync(file, MODE);
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw new BrokerError('usage', `${path} cannot be written (${systemCode(error)})`, {
      hint: '--prometheus-file takes the path of a file in a directory that this user may write to',
      cause: error,
    });
  }
}
