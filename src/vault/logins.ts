/**
 * Logins in flight: what must be remembered between sending a person to the authorization server and getting
 * them back. A row is used once, and dies by itself.
 */
import { createHash } from 'node:crypto';
import type { Secret } from '../secret.ts';
import { first, query, type Steps } from './database.ts';
import type { Place, Sealer } from './seal.ts';

export interface PendingLogin {
  /** Ours, a UUID. */
  id: string;
  /** Name of the connection that will be made or renewed. */
  connection: string;
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
    JSON.stringify({ state: login.state.reveal(), code_verifier: login.codeVerifier.reveal() }),
    place(login.id),
  );
  return function* () {
    yield* query('DELETE FROM logins WHERE expires_at <= ?', now);
    yield* query(
      `INSERT INTO logins (id, state_digest, connection, client_row_id, issuer, redirect_uri, secrets, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[login.id, digest(login.state.reveal()), login.connection, login.clientRowId],
      ...[login.issuer, login.redirectUri, secrets, login.expiresAt],
    );
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
