/**
 * Logins in flight: what must be remembered between sending a person to the authorization server and getting
 * them back. A row is used once, by deleting it, and dies by itself.
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

/** Takes the login out: `ok` for exactly one caller, and only before it ended. */
export function* consumeLogin(id: string, now: number): Steps<'ok' | 'ended' | 'unknown'> {
  const row = yield* first<{ expires_at: number }>(
    'DELETE FROM logins WHERE id = ? RETURNING expires_at',
    id,
  );
  if (row === undefined) return 'unknown';
  return row.expires_at > now ? 'ok' : 'ended';
}

/** Forgets a login that failed or was given up. */
export function* deleteLogin(id: string): Steps<void> {
  yield* query('DELETE FROM logins WHERE id = ?', id);
}

function digest(state: string): string {
  return createHash('sha256').update(state).digest('base64url');
}
