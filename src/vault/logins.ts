/**
 * Logins in flight: what must be remembered between sending a person to the authorization server and getting
 * them back. A row is used once, and dies by itself.
 *
 * Either a terminal waits for the answer, or the daemon takes it; a login of one kind is never found by the other.
 * What the daemon took leaves its outcome for an hour (`web-logins.ts`).
 */
import { createHash } from 'node:crypto';
import type { ServerSettings } from '../core/server-settings.ts';
import { Secret } from '../secret.ts';
import { first, query, type Steps } from './database.ts';
import type { Place, Sealer } from './seal.ts';

/** What is to be made of a login once it is answered. */
export interface LoginPurpose {
  /** Name of the connection that will be made or renewed. */
  connection: string;
  server: string;
  account: string | null;
  url: string;
  /** RFC 8707 resource, to the letter. */
  resource: string;
  /** What was asked for, space separated. Undefined: nothing, the server decides. */
  scope: string | undefined;
  /** The account it must be, or null when any will do. */
  expectedAccount: string | null;
  /** Settings of the server to be kept. What is not named stays as it was. */
  settings: Partial<ServerSettings>;
}

export interface PendingLogin {
  /** Ours, a UUID. */
  id: string;
  purpose: LoginPurpose;
  clientRowId: string;
  /** The issuer the person was sent to: only its answer counts (RFC 9207). */
  issuer: string;
  redirectUri: string;
  state: Secret;
  codeVerifier: Secret;
  /** Epoch ms. */
  expiresAt: number;
  /** Actor that began a login whose answer the daemon takes. Undefined: a terminal waits for it. */
  begunBy?: string | undefined;
}

/** How long it can be asked how a login went that the daemon took. */
export const OUTCOME_KEPT_MS = 60 * 60_000;

const place = (id: string): Place => ({ table: 'logins', row: id, column: 'secrets', generation: 1 });

/** Seals the login and gives back the statements that insert it; logins past their time go with it. */
export async function insertLogin(
  sealer: Sealer,
  login: PendingLogin,
  now: number,
): Promise<() => Steps<void>> {
  const secrets = await sealer.seal(
    JSON.stringify({
      state: login.state.reveal(),
      code_verifier: login.codeVerifier.reveal(),
      purpose: login.purpose,
    }),
    place(login.id),
  );
  return function* () {
    yield* query('DELETE FROM logins WHERE forget_at <= ?', now);
    // Nobody came back: what is left is that they did not.
    yield* query(
      'UPDATE logins SET client_row_id = NULL, secrets = NULL WHERE used_at IS NULL AND expires_at <= ?',
      now,
    );
    yield* query(
      `INSERT INTO logins (id, state_digest, connection, client_row_id, issuer, redirect_uri, begun_by, secrets,
         expires_at, forget_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[login.id, digestOf(login.state.reveal()), login.purpose.connection, login.clientRowId],
      ...[login.issuer, login.redirectUri, login.begunBy ?? null, secrets, login.expiresAt],
      login.expiresAt + (login.begunBy === undefined ? 0 : OUTCOME_KEPT_MS),
    );
  };
}

/** One that waits for its answer, or did before it ended; still sealed. */
export interface LoginRow {
  id: string;
  client_row_id: string;
  issuer: string;
  redirect_uri: string;
  begun_by: string | null;
  secrets: string;
  expires_at: number;
}

/**
 * The login of this connection, begun in a terminal, that waits for this `state` or did before it ended. Undefined:
 * none.
 */
export function findLogin(connection: string, state: string): Steps<LoginRow | undefined> {
  return first<LoginRow>(
    `SELECT * FROM logins WHERE connection = ? AND state_digest = ? AND used_at IS NULL AND ended_at IS NULL
       AND begun_by IS NULL`,
    ...[connection, digestOf(state)],
  );
}

/** When the newest login of this connection for which a terminal waits ends, epoch ms. Undefined: none waits. */
export function* latestWaiting(connection: string, now: number): Steps<number | undefined> {
  const row = yield* first<{ expires_at: number }>(
    `SELECT expires_at FROM logins WHERE connection = ? AND used_at IS NULL AND expires_at > ?
       AND begun_by IS NULL ORDER BY expires_at DESC`,
    ...[connection, now],
  );
  return row?.expires_at;
}

/** Opens a login. */
export async function openLogin(sealer: Sealer, row: LoginRow): Promise<PendingLogin> {
  const secrets = JSON.parse(await sealer.open(row.secrets, place(row.id))) as {
    state: string;
    code_verifier: string;
    purpose: LoginPurpose;
  };
  return {
    id: row.id,
    purpose: secrets.purpose,
    clientRowId: row.client_row_id,
    issuer: row.issuer,
    redirectUri: row.redirect_uri,
    state: new Secret(secrets.state),
    codeVerifier: new Secret(secrets.code_verifier),
    expiresAt: row.expires_at,
    begunBy: row.begun_by ?? undefined,
  };
}

/** How long a login that was used may take to save what it brought. Meanwhile its row keeps its client from going. */
export const SAVE_MS = 10 * 60_000;

/** Uses the login: `ok` for exactly one caller, and only before it ended. To be run as one transaction. */
export function* consumeLogin(id: string, now: number): Steps<'ok' | 'ended' | 'unknown'> {
  const row = yield* first<{ expires_at: number }>(
    'SELECT expires_at FROM logins WHERE id = ? AND used_at IS NULL',
    id,
  );
  if (row === undefined) return 'unknown';
  if (row.expires_at <= now) return 'ended';
  yield* query(
    'UPDATE logins SET used_at = ?, forget_at = CASE WHEN begun_by IS NULL THEN ? ELSE ? END WHERE id = ?',
    ...[now, now + SAVE_MS, now + OUTCOME_KEPT_MS, id],
  );
  return 'ok';
}

/** Forgets a login that failed or was given up. */
export function* deleteLogin(id: string): Steps<void> {
  yield* query('DELETE FROM logins WHERE id = ?', id);
}

/** What a login is found by: the `state` itself is sealed. */
export function digestOf(state: string): string {
  return createHash('sha256').update(state).digest('base64url');
}
