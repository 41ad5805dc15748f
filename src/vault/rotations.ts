/**
 * The journal of refresh tokens presented.
 *
 * A row is on disk before the token leaves, and closed with the answer. An open row after a crash therefore
 * means: this token was shown to the server and we do not know what it did.
 */
import type { PresentationHistory } from '../core/after-refusal.ts';
import { RESTORED } from '../core/restored.ts';
import { first, query, type Steps } from './database.ts';

export interface Rotation {
  connectionId: string;
  generation: number;
  /** 1 for the first presentation of this generation's refresh token. */
  attempt: number;
}

/** Opens the row for the next presentation of this generation's refresh token. */
export function* openRotation(
  connectionId: string,
  generation: number,
  refreshTokenFingerprint: string,
  now: number,
): Steps<Rotation> {
  const row = yield* first<{ attempt: number }>(
    `INSERT INTO rotations (connection_id, generation, attempt, refresh_token_fingerprint, started_at)
     SELECT ?, ?, COALESCE(MAX(attempt), 0) + 1, ?, ? FROM rotations WHERE connection_id = ? AND generation = ?
     RETURNING attempt`,
    ...[connectionId, generation, refreshTokenFingerprint, now, connectionId, generation],
  );
  return { connectionId, generation, attempt: row?.attempt ?? 1 };
}

/**
 * Reads the row back: whether the vault keeps what was written, and nobody else has presented the token since.
 */
export function* isOnRecord({ connectionId, generation, attempt }: Rotation): Steps<boolean> {
  const row = yield* first(
    `SELECT attempt FROM rotations WHERE connection_id = ? AND generation = ? AND attempt = ? AND finished_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM rotations AS later WHERE later.connection_id = rotations.connection_id
         AND later.generation = rotations.generation AND later.attempt > rotations.attempt)`,
    ...[connectionId, generation, attempt],
  );
  return row !== undefined;
}

/** Closes the row with what the answer meant, such as `success` or `invalid_grant`. */
export function* closeRotation(rotation: Rotation, outcome: string, now: number): Steps<void> {
  yield* query(
    'UPDATE rotations SET finished_at = ?, outcome = ? WHERE connection_id = ? AND generation = ? AND attempt = ?',
    ...[now, outcome, rotation.connectionId, rotation.generation, rotation.attempt],
  );
}

/** Whether this generation's refresh token was presented and the answer never came. */
export function* hasUnanswered(connectionId: string, generation: number): Steps<boolean> {
  const row = yield* first(
    'SELECT attempt FROM rotations WHERE connection_id = ? AND generation = ? AND finished_at IS NULL',
    ...[connectionId, generation],
  );
  return row !== undefined;
}

/**
 * What earlier presentations of the same refresh token met with. What seems to lie ahead was written before the
 * clock was set back, and tells nothing about when.
 */
export function* historyOf(
  { connectionId, generation, attempt }: Rotation,
  now: number,
): Steps<PresentationHistory> {
  const row = yield* first<{
    unanswered: number | null;
    first_invalid_grant_at: number | null;
    restored: number | null;
  }>(
    `SELECT SUM(CASE WHEN finished_at IS NULL THEN 1 ELSE 0 END) AS unanswered,
            MIN(CASE WHEN outcome = 'invalid_grant' AND finished_at <= ? THEN finished_at END) AS first_invalid_grant_at,
            SUM(CASE WHEN outcome = '${RESTORED}' THEN 1 ELSE 0 END) AS restored
     FROM rotations WHERE connection_id = ? AND generation = ? AND attempt <> ?`,
    ...[now, connectionId, generation, attempt],
  );
  return {
    unanswered: Number(row?.unanswered ?? 0),
    firstInvalidGrantAt: row?.first_invalid_grant_at ?? null,
    ...(Number(row?.restored ?? 0) > 0 && { isRestored: true }),
  };
}

/**
 * Connections whose current refresh token was presented and never answered, by id. Those whose lease is running
 * are left out: somebody is still waiting for the answer. One that ends after `latestEnd` does not count as running.
 */
export function* listUnanswered(now: number, latestEnd = Number.MAX_SAFE_INTEGER): Steps<Set<string>> {
  const rows = yield* query<{ connection_id: string }>(
    `SELECT DISTINCT rotations.connection_id FROM rotations
     JOIN connections ON connections.id = rotations.connection_id AND connections.generation = rotations.generation
     WHERE rotations.finished_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.name = 'connection:' || connections.name 
         AND leases.expires_at > ? AND leases.expires_at <= ?)`,
    ...[now, latestEnd],
  );
  return new Set(rows.map((row) => row.connection_id));
}

/** Closes rows that a newer generation has answered, whatever became of them. */
export function* closeOlderRotations(connectionId: string, generation: number, now: number): Steps<void> {
  yield* query(
    `UPDATE rotations SET finished_at = ?, outcome = 'superseded'
     WHERE connection_id = ? AND generation < ? AND finished_at IS NULL`,
    ...[now, connectionId, generation],
  );
}

/**
 * Writes down that this generation's refresh token came from a backup: others may have presented it, and what the server
 * did then is not known here.
 */
export function* markRestored(
  connectionId: string,
  generation: number,
  refreshTokenFingerprint: string,
  now: number,
): Steps<void> {
  yield* closeRotation(
    yield* openRotation(connectionId, generation, refreshTokenFingerprint, now),
    RESTORED,
    now,
  );
}

/** Whether this generation came from a backup. */
export function* isRestored(connectionId: string, generation: number): Steps<boolean> {
  const row = yield* first(
    'SELECT attempt FROM rotations WHERE connection_id = ? AND generation = ? AND outcome = ?',
    ...[connectionId, generation, RESTORED],
  );
  return row !== undefined;
}

/** The newest generations of a connection whose rows are kept, however old. */
const KEPT_GENERATIONS = 10;

/** Removes the rows of generations long past that were written before then; how many. */
export function* removeOldRotations(connectionId: string, generation: number, before: number): Steps<number> {
  const removed = yield* query(
    `DELETE FROM rotations WHERE connection_id = ? AND generation <= ? AND COALESCE(finished_at, started_at) < ?
     RETURNING attempt`,
    ...[connectionId, generation - KEPT_GENERATIONS, before],
  );
  return removed.length;
}
