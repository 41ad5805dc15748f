/** What other processes and disks do to a vault, done from a test: it is locked, leased, or not to be written. */
import { DatabaseSync } from 'node:sqlite';
import { changeVault } from './leases.ts';

/** Keeps the write lock until `release`, as a backup job does. */
export function lockVault(path: string): { release(): void } {
  const database = new DatabaseSync(path);
  database.exec('BEGIN IMMEDIATE');
  return {
    release() {
      database.exec('ROLLBACK');
      database.close();
    },
  };
}

/** Makes every save of a token fail until `mend`, as a broken disk does. */
export function breakSaves(path: string): { mend(): void } {
  const database = new DatabaseSync(path);
  database.exec(
    "CREATE TRIGGER broken BEFORE UPDATE OF secrets ON connections BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END",
  );
  return {
    mend() {
      database.exec('DROP TRIGGER broken');
      database.close();
    },
  };
}

/** Gives the lease of `demo` to a process that is no more. It ends at `expiresAt`, epoch ms. */
export function leaseToTheDead(path: string, expiresAt: number): void {
  changeVault(
    path,
    `INSERT INTO leases (name, owner, fence, expires_at) VALUES ('connection:demo', 'dead', 1, ?)
     ON CONFLICT (name) DO UPDATE SET owner = 'dead', fence = fence + 1, expires_at = excluded.expires_at`,
    expiresAt,
  );
}
