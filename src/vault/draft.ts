/** Files made beside the vault that become something, or nothing: only their owner may read them. */
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Whoever made one that is older died with it. */
const LEFT_BEHIND_MS = 24 * 60 * 60_000;

/**
 * Makes an empty file (0600) beside `path`, in a directory that is made (0700) if need be. What others left behind there
 * is removed.
 */
export function createDraft(path: string): string {
  const directory = dirname(path);
  const prefix = `${basename(path)}.draft-`;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(directory)) {
    const each = join(directory, name);
    const { mtimeMs } = (name.startsWith(prefix) && statSync(each, { throwIfNoEntry: false })) || {};
    if (mtimeMs !== undefined && Date.now() - mtimeMs > LEFT_BEHIND_MS) rmSync(each, { force: true });
  }
  const draft = join(directory, prefix + randomUUID());
  closeSync(openSync(draft, 'wx', 0o600));
  return draft;
}

/** Removes a draft, with what SQLite keeps beside it. */
export function removeDraft(draft: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(draft + suffix, { force: true });
}

/** Waits until file or directory is on disk. A rename is lasting only when its directory is. */
export function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
