/** A connection as its row has it. */
import type { Connection, ConnectionState } from '../core/connection.ts';
import type { CredentialKind } from '../core/credential-kind.ts';

/** The columns of `connections`, and the kind of its server. */
export interface ConnectionRow {
  id: string;
  name: string;
  server: string;
  account: string | null;
  client_row_id: string | null;
  state: ConnectionState;
  code: string | null;
  cause: string | null;
  since: number;
  next_attempt_at: number | null;
  ask_again_at: number | null;
  failures: number;
  generation: number;
  scope: string | null;
  account_identity: string | null;
  expected_account: string | null;
  received_at: number;
  access_expires_at: number | null;
  has_refresh_token: number;
  refresh_received_at: number | null;
  refresh_expires_at: number | null;
  refresh_is_prolonged: number;
  last_error_code: string | null;
  last_error_cause: string | null;
  last_error_at: number | null;
  rotates: number | null;
  kind: CredentialKind;
  secrets: string;
  spare: string | null;
  spare_generation: number | null;
  created_at: number;
  last_used_at: number | null;
}

/** A connection with its secrets still sealed. */
export interface StoredConnection extends Connection {
  readonly sealed: string;
  /** A late pair, still sealed, and the generation it was asked from. Null: none. */
  readonly spare: { sealed: string; generation: number } | null;
  /** Whether its server was seen to replace refresh tokens. Null: it was not seen yet. */
  readonly rotates: boolean | null;
}

/** The connection of a row. */
export function toConnection(row: ConnectionRow): StoredConnection {
  return {
    id: row.id,
    name: row.name,
    server: row.server,
    account: row.account,
    clientRowId: row.client_row_id,
    state: row.state,
    code: row.code,
    cause: row.cause,
    since: row.since,
    nextAttemptAt: row.next_attempt_at,
    askAgainAt: row.ask_again_at,
    failures: row.failures,
    generation: row.generation,
    scope: row.scope,
    accountIdentity: row.account_identity,
    expectedAccount: row.expected_account,
    receivedAt: row.received_at,
    accessExpiresAt: row.access_expires_at,
    hasRefreshToken: row.has_refresh_token === 1,
    refreshReceivedAt: row.refresh_received_at,
    refreshExpiresAt: row.refresh_expires_at,
    isRefreshProlonged: row.refresh_is_prolonged === 1,
    lastError: lastErrorOf(row),
    kind: row.kind,
    isMinted: row.kind === 'client_credentials' || row.kind === 'identity',
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    sealed: row.secrets,
    rotates: row.rotates === null ? null : row.rotates === 1,
    spare: row.spare === null ? null : { sealed: row.spare, generation: row.spare_generation ?? 0 },
  };
}

function lastErrorOf(row: ConnectionRow): Connection['lastError'] {
  const { last_error_code: code, last_error_cause: cause, last_error_at: at } = row;
  return code === null || at === null ? null : { code, cause, at };
}
