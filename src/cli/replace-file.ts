/** Files that others read, replaced as a whole. */
import { randomUUID } from 'node:crypto';
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Writes the file with this mode, whatever the umask, on disk before this returns. Whoever reads it meanwhile sees the old
 * content or the new one, never a part. Whatever was at that place before, a link too, is replaced. The draft beside it
 * ends in `.draft`, which nobody who collects files by their endings takes for one of them.
 *
 * Throws what the file system throws; then all is as it was.
 */
export function replaceFile(path: string, text: string, mode: number): void {
  const draft = join(dirname(path), `.${basename(path)}.${randomUUID()}.draft`);
  try {
    const file = openSync(draft, 'wx', 0o600);
    try {
      writeFileSync(file, text);
      fchmodSync(file, mode);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
    syncDirectory(dirname(path));
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
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
