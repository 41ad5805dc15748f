/** Leases as somebody outside the broker sees and changes them, in the vault's file. */
import { DatabaseSync } from 'node:sqlite';
import { rowsOf } from './vault-file.ts';

/** A lease that has not been given back. */
export interface HeldLease {
  name: string;
  owner: string;
  fence: number;
  /** Epoch ms. */
  expires_at: number;
}

/** A process that writes at this moment is waited for. */
const BUSY_TIMEOUT_MS = 5_000;

/** Every lease of a connection that has not been given back, ended or not. */
export function heldLeases(path: string): HeldLease[] {
  return rowsOf(
    path,
    "SELECT name, owner, fence, expires_at FROM leases WHERE expires_at > 0 AND name LIKE 'connection:%'",
  );
}

/** Resolves when all leases are given back: every refresh, login and logout that was begun is over. */
export async function untilNoLease(path: string): Promise<void> {
  while (heldLeases(path).length > 0) await new Promise(setImmediate);
}

/** Makes the leases of connections as old as if nobody had held them for long, so that a test need not wait for their end. */
export function endLeases(path: string): void {
  changeVault(path, "UPDATE leases SET expires_at = 0 WHERE name LIKE 'connection:%'");
}

/** Gives the leases of connections to somebody who holds them until `expiresAt`, as if they had ended and been taken. */
export function takeLeasesAway(path: string, expiresAt: number): void {
  changeVault(
    path,
    "UPDATE leases SET owner = 'somebody else', fence = fence + 1, expires_at = ? WHERE name LIKE 'connection:%'",
    expiresAt,
  );
}

/** Changes the vault's file while others have it open. */
export function changeVault(path: string, sql: string, ...parameters: (string | number | null)[]): void {
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    database.prepare(sql).run(...parameters);
  } finally {
    database.close();
  }
}
