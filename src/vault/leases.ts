/**
 * Leases: who may work on a thing now, across processes and hosts.
 *
 * A lease ends by itself, so a killed process blocks nobody for longer than that. Each taking raises the
 * fence; work that outlived its lease finds a higher fence and must not present a token any more.
 */
import { first, query, type Steps } from './database.ts';

export interface Lease {
  name: string;
  owner: string;
  /** Rises with every taking. */
  fence: number;
}

export interface TakenLease extends Lease {
  /** The owner before, who has not given it back: it died, sleeps, or the clock was set. Undefined: nobody. */
  leftBy: string | undefined;
}

/**
 * Takes the lease if it is free or has ended, or ends after `latestEnd`. Undefined while somebody else holds it.
 */
export function* takeLease(
  name: string,
  owner: string,
  now: number,
  lengthMs: number,
  latestEnd = Number.MAX_SAFE_INTEGER,
): Steps<TakenLease | undefined> {
  const before = yield* first<{ owner: string }>(
    'SELECT owner FROM leases WHERE name = ? AND expires_at > 0',
    name,
  );
  const row = yield* first<{ fence: number }>(
    `INSERT INTO leases (name, owner, fence, expires_at) VALUES (?, ?, 1, ?)
     ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, fence = leases.fence + 1, expires_at = excluded.expires_at
     WHERE leases.expires_at <= ? OR leases.expires_at > ?
     RETURNING fence`,
    ...[name, owner, now + lengthMs, now, latestEnd],
  );
  return row && { name, owner, fence: row.fence, leftBy: before?.owner };
}

/** Makes it last longer. False when it is no longer ours. */
export function* renewLease(lease: Lease, now: number, lengthMs: number): Steps<boolean> {
  const row = yield* first(
    'UPDATE leases SET expires_at = ? WHERE name = ? AND owner = ? AND fence = ? RETURNING fence',
    ...[now + lengthMs, lease.name, lease.owner, lease.fence],
  );
  return row !== undefined;
}

/** The leases that run at this moment and whose names begin with `prefix`. */
export function* listLeases(now: number, prefix = ''): Steps<Lease[]> {
  return yield* query<Lease>(
    'SELECT name, owner, fence FROM leases WHERE expires_at > ? AND substr(name, 1, ?) = ? ORDER BY name',
    ...[now, prefix.length, prefix],
  );
}

/** Whether it is still ours and running: to be asked in the transaction that depends on it. */
export function* holdsLease(lease: Lease, now: number): Steps<boolean> {
  const row = yield* first(
    'SELECT fence FROM leases WHERE name = ? AND owner = ? AND fence = ? AND expires_at > ?',
    ...[lease.name, lease.owner, lease.fence, now],
  );
  return row !== undefined;
}

/** Gives it back. Keeps the row, because the fence must go on rising. */
export function* releaseLease(lease: Lease): Steps<void> {
  yield* first(
    'UPDATE leases SET expires_at = 0 WHERE name = ? AND owner = ? AND fence = ? RETURNING fence',
    ...[lease.name, lease.owner, lease.fence],
  );
}

/** Forgets it, fence and all: for a name that nobody will take again. */
export function* deleteLease({ name, owner, fence }: Lease): Steps<void> {
  yield* query('DELETE FROM leases WHERE name = ? AND owner = ? AND fence = ?', name, owner, fence);
}
