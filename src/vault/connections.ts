/**
 * Connections and their sealed token sets.
 *
 * Every change of the secrets is conditional on the generation it was computed from and raises it by one, so
 * of two writers exactly one wins and the other learns that it lost. Nothing here deletes on failure: a dead
 * token is marked by the connection's state.
 */

import type { NewState } from '../core/after-refusal.ts';
import type { Connection } from '../core/connection.ts';
import { parseTokenSet, serialiseTokenSet, type TokenSet } from '../core/token-set.ts';
import { type ConnectionRow, type StoredConnection, toConnection } from './connection-row.ts';
import { first, query, type Steps, type Value } from './database.ts';
import type { Place, Sealer } from './seal.ts';

export type { StoredConnection };

/** The kind is kept with the server. */
const SELECT =
  'SELECT connections.*, servers.kind FROM connections JOIN servers ON servers.name = connections.server';

/** What a login or refresh puts in place of the old token set. */
export interface SealedTokenSet {
  generation: number;
  sealed: string;
  tokens: TokenSet;
}

const place = (id: string, generation: number): Place => ({
  table: 'connections',
  row: id,
  column: 'secrets',
  generation,
});

/** Seals a token set for the generation it will become. To be called before the transaction begins. */
export async function sealTokenSet(
  sealer: Sealer,
  id: string,
  generation: number,
  tokens: TokenSet,
): Promise<SealedTokenSet> {
  return {
    generation,
    sealed: await sealer.seal(serialiseTokenSet(tokens), place(id, generation)),
    tokens,
  };
}

/** Opens the current token set. */
export async function openTokenSet(sealer: Sealer, stored: StoredConnection): Promise<TokenSet> {
  return parseTokenSet(await sealer.open(stored.sealed, place(stored.id, stored.generation)));
}

/** Whether these tokens are the current ones already. */
export async function holds(sealer: Sealer, stored: StoredConnection, tokens: TokenSet): Promise<boolean> {
  const { refreshToken, accessToken } = await openTokenSet(sealer, stored);
  return refreshToken === undefined
    ? accessToken.fingerprint() === tokens.accessToken.fingerprint()
    : refreshToken.fingerprint() === tokens.refreshToken?.fingerprint();
}

/** The connection of this name, still sealed. */
export function* findConnection(name: string): Steps<StoredConnection | undefined> {
  const row = yield* first<ConnectionRow>(`${SELECT} WHERE connections.name = ?`, name);
  return row && toConnection(row);
}

/** The connection of this id, still sealed. */
export function* findConnectionById(id: string): Steps<StoredConnection | undefined> {
  const row = yield* first<ConnectionRow>(`${SELECT} WHERE connections.id = ?`, id);
  return row && toConnection(row);
}

/** All connections by name. */
export function* listConnections(): Steps<StoredConnection[]> {
  const rows = yield* query<ConnectionRow>(`${SELECT} ORDER BY connections.name`);
  return rows.map(toConnection);
}

/** A first login: inserts the connection in state `ok`. */
export function* insertConnection(
  connection: Pick<Connection, 'id' | 'name' | 'server' | 'account' | 'clientRowId' | 'createdAt'>,
  { generation, sealed, tokens }: SealedTokenSet,
): Steps<void> {
  const { id, name, server, account, clientRowId, createdAt } = connection;
  yield* query(
    `INSERT INTO connections (id, name, server, account, client_row_id, state, since, failures, generation, scope,
       account_identity, received_at, access_expires_at, has_refresh_token, refresh_received_at, refresh_expires_at,
       refresh_is_prolonged, secrets, created_at)
     VALUES (?, ?, ?, ?, ?, 'ok', ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[id, name, server, account, clientRowId, tokens.receivedAt, generation],
    ...tokenColumns(tokens),
    ...[sealed, createdAt],
  );
}

/**
 * Puts a new token set in place of generation `from` and makes the state `ok`. False when the generation has
 * moved: somebody else was first, and nothing was written.
 *
 * @param clientRowId given by a login, which may have come with another client; a refresh keeps its client
 */
export function* replaceTokenSet(
  id: string,
  from: number,
  { generation, sealed, tokens }: SealedTokenSet,
  clientRowId?: string | null,
): Steps<boolean> {
  const row = yield* first(
    `UPDATE connections SET state = 'ok', code = NULL, cause = NULL, since = CASE state WHEN 'ok' THEN since ELSE ? END,
       next_attempt_at = NULL, ask_again_at = NULL, failures = 0, generation = ?, scope = ?, account_identity = ?, received_at = ?,
       access_expires_at = ?, has_refresh_token = ?, refresh_received_at = ?, refresh_expires_at = ?,
       refresh_is_prolonged = ?, secrets = ?, client_row_id = COALESCE(?, client_row_id)
     WHERE id = ? AND generation = ? RETURNING id`,
    ...[tokens.receivedAt, generation],
    ...tokenColumns(tokens),
    ...[sealed, clientRowId ?? null, id, from],
  );
  return row !== undefined;
}

/**
 * Records state and reason for the generation they were seen on; the reason stays as the last error when all is well
 * again. False when the generation has moved: then they no longer apply.
 *
 * @param at when it went wrong, epoch ms
 */
export function* recordState(id: string, generation: number, reason: NewState, at: number): Steps<boolean> {
  const { state, code, cause, since, nextAttemptAt, askAgainAt = null, failures } = reason;
  const row = yield* first(
    `UPDATE connections SET state = ?, code = ?, cause = ?, since = ?, next_attempt_at = ?, ask_again_at = ?,
       failures = ?, last_error_code = ?, last_error_cause = ?, last_error_at = ? WHERE id = ? AND generation = ? RETURNING id`,
    ...[state, code, cause, since, nextAttemptAt, askAgainAt, failures],
    ...[code ?? state, cause, at, id, generation],
  );
  return row !== undefined;
}

/** Remembers when a token was last handed out. */
export function* markUsed(id: string, now: number): Steps<void> {
  yield* query('UPDATE connections SET last_used_at = ? WHERE id = ?', now, id);
}

/** Remembers whether a refresh brought another refresh token. One that did is not forgotten for those that do not. */
export function* recordRotates(id: string, rotates: boolean): Steps<void> {
  yield* query(
    'UPDATE connections SET rotates = ? WHERE id = ? AND (rotates IS NULL OR rotates < ?)',
    ...[rotates ? 1 : 0, id, rotates ? 1 : 0],
  );
}

/** Pins whom logins of this connection must belong to. */
export function* expectAccount(id: string, account: string): Steps<void> {
  yield* query('UPDATE connections SET expected_account = ? WHERE id = ?', account, id);
}

/** Lets go of the OAuth client: the credential is of another kind now. */
export function* detachClient(id: string): Steps<void> {
  yield* query('UPDATE connections SET client_row_id = NULL WHERE id = ?', id);
}

/** Lets go of what only a login has, a late pair too: the credential is of another kind now. */
export function* forgetLogin(id: string): Steps<void> {
  yield* query(
    'UPDATE connections SET expected_account = NULL, spare = NULL, spare_generation = NULL WHERE id = ?',
    id,
  );
}

/** Logout: forgets the connection and its journal. */
export function* deleteConnection(id: string): Steps<void> {
  yield* query('DELETE FROM connections WHERE id = ?', id);
}

function tokenColumns(tokens: TokenSet): Value[] {
  return [
    tokens.scope ?? null,
    tokens.accountIdentity ?? null,
    tokens.receivedAt,
    tokens.accessExpiresAt ?? null,
    ...refreshColumns(tokens),
  ];
}

function refreshColumns({ refreshToken, refreshLife, receivedAt }: TokenSet): Value[] {
  if (refreshToken === undefined) return [0, null, null, 0];
  const { receivedAt: since = receivedAt, expiresAt = null, isProlonged } = refreshLife ?? {};
  return [1, since, expiresAt, isProlonged ? 1 : 0];
}
