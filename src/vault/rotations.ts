/**
 * The journal of refresh tokens presented.
 *
 * A row is on disk before the token leaves, and closed with the answer. An open row after a crash therefore
 * means: this token was shown to the server and we do not know what it did.
 */
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

/** Closes the row with what the answer meant, such as `success` or `not_processed`. */
export function* closeRotation(rotation: Rotation, outcome: string, now: number): Steps<void> {
  yield* query(
    'UPDATE rotations SET finished_at = ?, outcome = ? WHERE connection_id = ? AND generation = ? AND attempt = ?',
    ...[now, outcome, rotation.connectionId, rotation.generation, rotation.attempt],
  );
}

/** How often this generation's refresh token was presented without an answer we understood. */
export function* countOpenRotations(connectionId: string, generation: number): Steps<number> {
  const row = yield* first<{ open: number }>(
    'SELECT COUNT(*) AS open FROM rotations WHERE connection_id = ? AND generation = ? AND finished_at IS NULL',
    connectionId,
    generation,
  );
  return Number(row?.open ?? 0);
}

/** How often this generation's refresh token was answered with this outcome, and when last (epoch ms). */
export function* outcomesOf(
  connectionId: string,
  generation: number,
  outcome: string,
): Steps<{ count: number; lastAt: number | null }> {
  const row = yield* first<{ count: number; last_at: number | null }>(
    'SELECT COUNT(*) AS count, MAX(finished_at) AS last_at FROM rotations WHERE connection_id = ? AND generation = ? AND outcome = ?',
    ...[connectionId, generation, outcome],
  );
  return { count: Number(row?.count ?? 0), lastAt: row?.last_at ?? null };
}

/** Closes rows that a newer generation has answered, whatever became of them. */
export function* closeOlderRotations(connectionId: string, generation: number, now: number): Steps<void> {
  yield* query(
    `UPDATE rotations SET finished_at = ?, outcome = 'superseded'
     WHERE connection_id = ? AND generation < ? AND finished_at IS NULL`,
    ...[now, connectionId, generation],
  );
}
