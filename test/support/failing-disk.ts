/**
 * Disks that really fail: full ones, read-only ones, and writes that the system refuses to a running process.
 *
 * A full or a read-only disk is a mount over a directory of the test's home. Only root may mount, or who is root of a
 * namespace: `unshare --user --map-root-user --mount npx vitest run test/reliability`. Refusing writes needs no
 * privileges: it is a limit to the size of files, which only SQLite's log and larger files run into.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemCode } from '../../src/errors.ts';

/** What the system must allow for a group of tests. Where it does not, they are skipped, and their title says why. */
export interface Means {
  isMissing: boolean;
  /** To be put behind the title. Empty when all is there. */
  note: string;
}

/** A directory that has become a small disk, with all that was in it. */
export interface SmallDisk {
  /** Takes all of its space but `freeBytes`. Default none. */
  fill(freeBytes?: number): void;
  /** Gives back what `fill` took. */
  makeRoom(): void;
}

/** Twice what a refresh wants to see free. */
const SIZE = '32m';

const mounts = new Set<string>();
// A test run that is interrupted must not leave mounts behind.
process.once('exit', () => {
  for (const path of mounted('')) spawnSync('umount', ['--lazy', path]);
});

/** Mounting. */
export const MOUNTING = means(
  canMount(),
  'not run: this user may not mount; try unshare --user --map-root-user --mount',
);

/** Refusing writes to a running process. */
export const REFUSING = means(
  spawnSync('prlimit', ['--version']).status === 0,
  'not run: there is no prlimit here (util-linux)',
);

/** Puts a directory, made when it is not there, on a small disk. To be done while nobody has its files open. */
export function toSmallDisk(directory: string): SmallDisk {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const copy = mkdtempSync(join(tmpdir(), 'broker-disk-'));
  cpSync(directory, copy, { recursive: true });
  mount(directory, '-t', 'tmpfs', '-o', `size=${SIZE},mode=700`, 'tmpfs', directory);
  cpSync(copy, directory, { recursive: true });
  rmSync(copy, { recursive: true });
  const filler = join(directory, 'filler');
  return {
    fill(freeBytes = 0) {
      const { bavail, bsize } = statfsSync(directory);
      // Meanwhile somebody else may take some, or give some back.
      tryAppend(filler, bavail * bsize - freeBytes);
      while (freeBytes === 0 && tryAppend(filler, bsize));
    },
    makeRoom: () => rmSync(filler),
  };
}

/** Makes a file, or a directory with all in it, read-only even for root. The result undoes it. */
export function makeReadOnly(path: string): () => void {
  mount(path, '--bind', path, path);
  execFileSync('mount', ['-o', 'remount,bind,ro', path]);
  return () => unmount(path);
}

/** Undoes every mount at or below `directory`. */
export function unmountAll(directory: string): void {
  for (const path of mounted(directory)) unmount(path);
}

/** Lets a running process write no file beyond its first `bytes`. The result undoes it. */
export function refuseWrites(pid: number | undefined, bytes: number): () => void {
  const limit = (value: string) => execFileSync('prlimit', [`--pid=${pid}`, `--fsize=${value}:`]);
  limit(String(bytes));
  return () => limit('unlimited');
}

function means(isThere: boolean, reason: string): Means {
  return { isMissing: !isThere, note: isThere ? '' : ` (${reason})` };
}

function canMount(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'broker-mount-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
  if (status === 0) execFileSync('umount', [directory]);
  rmdirSync(directory);
  return status === 0;
}

/** Writes as much as there is room for. False when it was not all. */
function tryAppend(file: string, bytes: number): boolean {
  try {
    writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOSPC') return false;
    throw error;
  }
}

function mount(path: string, ...args: string[]): void {
  execFileSync('mount', args);
  mounts.add(path);
}

/** Lazy: a process that still has a file open there, as after a test that failed, must not keep it. */
function unmount(path: string): void {
  execFileSync('umount', ['--lazy', path]);
  mounts.delete(path);
}

/** Last mounted first. */
function mounted(directory: string): string[] {
  return [...mounts].reverse().filter((path) => path.startsWith(directory));
}
