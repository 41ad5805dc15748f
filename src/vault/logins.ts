/**
 * Logins in flight: what must be remembered between sending a person to the authorization server and getting
 * them back. A row is used once, and dies by itself.
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
}

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
    yield* query('DELETE FROM logins WHERE expires_at <= ?', now);
    yield* query(
      `INSERT INTO logins (id, state_digest, connection, client_row_id, issuer, redirect_uri, secrets, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[login.id, digest(login.state.reveal()), login.purpose.connection, login.clientRowId],
      ...[login.issuer, login.redirectUri, secrets, login.expiresAt],
    );
  };
}

interface LoginRow {
  id: string;
  client_row_id: string;
  issuer: string;
  redirect_uri: string;
  secrets: string;
  expires_at: number;
}

/** The login of this connection that waits for this `state`, or did before it ended; still sealed. Undefined: none. */
export function findLogin(connection: string, state: string): Steps<LoginRow | undefined> {
  return first<LoginRow>(
    'SELECT * FROM logins WHERE connection = ? AND state_digest = ? AND used_at IS NULL',
    ...[connection, digest(state)],
  );
}

/** When the newest login of this connection that still waits ends, epoch ms. Undefined: none waits. */
export function* latestWaiting(connection: string, now: number): Steps<number | undefined> {
  const row = yield* first<{ expires_at: number }>(
    `SELECT expires_at FROM logins WHERE connection = ? AND used_at IS NULL AND expires_at > ?
     ORDER BY expires_at DESC`,
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
  };
}

/** How long a login that was used may take to save what it brought. Meanwhile its row keeps its client from going. */
const SAVE_MS = 10 * 60_000;

/** Uses the login: `ok` for exactly one caller, and only before it ended. To be run as one transaction. */
export function* consumeLogin(id: string, now: number): Steps<'ok' | 'ended' | 'unknown'> {
  const row = yield* first<{ expires_at: number }>(
    'SELECT expires_at FROM logins WHERE id = ? AND used_at IS NULL',
    id,
  );
  if (row === undefined) return 'unknown';
  if (row.expires_at <= now) return 'ended';
  yield* query('UPDATE logins SET used_at = ?, expires_at = ? WHERE id = ?', now, now + SAVE_MS, id);
  return 'ok';
}

/** Forgets a login that failed or was given up. */
export function* deleteLogin(id: string): Steps<void> {
  yield* query('DELETE FROM logins WHERE id = ?', id);
}

function digest(state: string): string {
  return createHash('sha256').update(state).digest('base64url');
}
