/**
 * Logins whose answer the daemon takes: found by their `state` alone, and remembered for a while after their end, so
 * that whoever began them can ask how they went. What has ended holds no secret and needs no client any more.
 */
import { first, query, type Steps } from './database.ts';
import { digestOf, type LoginRow, OUTCOME_KEPT_MS } from './logins.ts';

export interface WebLogin {
  id: string;
  connection: string;
  /** The actor, as the audit trail names it. */
  begunBy: string;
  /** Epoch ms, as are all instants here. */
  expiresAt: number;
  /** When the answer came. Null: it did not. */
  usedAt: number | null;
  /** Null: not yet, or nobody was left to write it down. */
  endedAt: number | null;
  /** Who signed in, as the server told. Null: it did not, or nobody did. */
  accountIdentity: string | null;
  /** Why it failed. Null: it did not. */
  error: { code: string; message: string } | null;
  /** What an answer needs. Undefined: none is waited for any more. */
  waiting: LoginRow | undefined;
}

interface WebLoginRow extends Omit<LoginRow, 'secrets' | 'client_row_id' | 'begun_by'> {
  connection: string;
  client_row_id: string | null;
  secrets: string | null;
  begun_by: string;
  used_at: number | null;
  ended_at: number | null;
  account_identity: string | null;
  error_code: string | null;
  error_message: string | null;
}

/** The login of this id. Undefined: none, or it was forgotten. */
export function* findWebLogin(id: string, now: number): Steps<WebLogin | undefined> {
  const row = yield* first<WebLoginRow>(
    'SELECT * FROM logins WHERE id = ? AND begun_by IS NOT NULL AND forget_at > ?',
    ...[id, now],
  );
  return row && toWebLogin(row);
}

/** All that are not forgotten yet, those first that end last. */
export function* findWebLogins(now: number): Steps<WebLogin[]> {
  const rows = yield* query<WebLoginRow>(
    'SELECT * FROM logins WHERE begun_by IS NOT NULL AND forget_at > ? ORDER BY expires_at DESC, id',
    now,
  );
  return rows.map(toWebLogin);
}

/** The login an answer at this redirect URI belongs to. Undefined: none, or it was forgotten. */
export function* findWebLoginByState(
  redirectUri: string,
  state: string,
  now: number,
): Steps<WebLogin | undefined> {
  const row = yield* first<WebLoginRow>(
    `SELECT * FROM logins WHERE state_digest = ? AND redirect_uri = ? AND begun_by IS NOT NULL AND forget_at > ?`,
    ...[digestOf(state), redirectUri, now],
  );
  return row && toWebLogin(row);
}

/** How many wait, and when the first of them ends, epoch ms. */
export function* countWaiting(now: number): Steps<{ count: number; firstEndsAt: number }> {
  const row = yield* first<{ count: number; first_ends_at: number | null }>(
    `SELECT COUNT(*) AS count, MIN(expires_at) AS first_ends_at FROM logins
     WHERE begun_by IS NOT NULL AND used_at IS NULL AND expires_at > ?`,
    now,
  );
  return { count: Number(row?.count ?? 0), firstEndsAt: Number(row?.first_ends_at ?? now) };
}

/** How a login ended: for whom, if it worked and the server tells, or why not. */
export type LoginEnd = { accountIdentity: string | undefined } | { code: string; message: string };

/**
 * Writes down how a login ended, once; its secrets go. Put it into the transaction that stores what the login brought.
 * Nothing happens to one that is not there.
 */
export function* endLogin(id: string, end: LoginEnd, now: number): Steps<void> {
  const failure = 'code' in end ? end : undefined;
  yield* query(
    `UPDATE logins SET ended_at = ?, account_identity = ?, error_code = ?, error_message = ?, client_row_id = NULL,
       secrets = NULL, forget_at = CASE WHEN begun_by IS NULL THEN forget_at ELSE ? END
     WHERE id = ? AND ended_at IS NULL`,
    ...[now, ('accountIdentity' in end ? end.accountIdentity : undefined) ?? null],
    ...[failure?.code ?? null, failure?.message ?? null, now + OUTCOME_KEPT_MS, id],
  );
}

/** In place of the code of an error. */
const CANCELLED = 'cancelled';

/** Ends a login that still waits, so that nothing can use it any more; its secrets go. False: none waited. */
export function* cancelLogin(id: string, now: number): Steps<boolean> {
  const [cancelled] = yield* query<{ id: string }>(
    `UPDATE logins SET ended_at = ?, used_at = ?, error_code = ?, client_row_id = NULL, secrets = NULL, forget_at = ?
     WHERE id = ? AND begun_by IS NOT NULL AND used_at IS NULL AND ended_at IS NULL AND expires_at > ? RETURNING id`,
    ...[now, now, CANCELLED, now + OUTCOME_KEPT_MS, id, now],
  );
  return cancelled !== undefined;
}

/** Whether somebody gave it up before its person came back. */
export function isCancelled({ error }: WebLogin): boolean {
  return error?.code === CANCELLED;
}

function toWebLogin(row: WebLoginRow): WebLogin {
  const { client_row_id, secrets } = row;
  const isWaiting = row.used_at === null && client_row_id !== null && secrets !== null;
  return {
    id: row.id,
    connection: row.connection,
    begunBy: row.begun_by,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
    endedAt: row.ended_at,
    accountIdentity: row.account_identity,
    error: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' },
    waiting: isWaiting ? { ...row, client_row_id, secrets } : undefined,
  };
}
