/**
 * Who we are at each authorization server: client registrations, keyed by issuer and redirect URI.
 *
 * The redirect URI carries the loopback port drawn at the first registration, so that later logins use the one
 * the server knows. A row stays as long as a connection refreshes with it.
 */
import { Secret } from '../secret.ts';
import { first, query, type Steps } from './database.ts';
import type { Place, Sealer } from './seal.ts';

export type ClientSource = 'configured' | 'metadata_document' | 'registered';

export interface Client {
  /** Ours, a UUID. */
  rowId: string;
  /** +1 each time the row changes. */
  generation: number;
  issuer: string;
  redirectUri: string;
  /** Whether browsers come back to the daemon, not to a listener of one login. */
  isWeb: boolean;
  source: ClientSource;
  clientId: string;
  /** `token_endpoint_auth_method` (RFC 7591 §2). */
  authMethod: string;
  clientSecret: Secret | undefined;
  /** Private key of a client that authenticates with `private_key_jwt`. */
  clientKey: Secret | undefined;
  /** Epoch ms. Null: does not end, or there is no secret. */
  clientSecretExpiresAt: number | null;
  /** RFC 7592. Undefined where the server offers no management of registrations. */
  registrationClientUri: string | undefined;
  registrationAccessToken: Secret | undefined;
  /** The issuer's metadata as last validated: what a refresh falls back on when discovery fails. */
  serverMetadata: Record<string, unknown>;
  createdAt: number;
}

interface ClientRow {
  id: string;
  issuer: string;
  redirect_uri: string;
  is_web: 0 | 1;
  source: ClientSource;
  client_id: string;
  auth_method: string;
  generation: number;
  secrets: string;
  client_secret_expires_at: number | null;
  registration_client_uri: string | null;
  server_metadata: string;
  created_at: number;
}

const place = (rowId: string, generation: number): Place => ({
  table: 'clients',
  row: rowId,
  column: 'secrets',
  generation,
});

/** Seals the client and gives back the statements that insert it. */
export async function insertClient(sealer: Sealer, client: Client): Promise<() => Steps<void>> {
  const secrets = await sealSecrets(sealer, client, client.generation);
  return function* () {
    yield* query(
      `INSERT INTO clients (id, issuer, redirect_uri, is_web, source, client_id, auth_method, generation, secrets,
         client_secret_expires_at, registration_client_uri, server_metadata, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[client.rowId, client.issuer, client.redirectUri, client.isWeb ? 1 : 0],
      ...[client.source, client.clientId, client.authMethod],
      ...[client.generation, secrets, client.clientSecretExpiresAt, client.registrationClientUri ?? null],
      ...[JSON.stringify(client.serverMetadata), client.createdAt],
    );
  };
}

/**
 * Seals what has changed about a client and gives back the statements that put it in place of the old. They do
 * nothing when somebody else was faster.
 */
export async function updateClient(sealer: Sealer, client: Client): Promise<() => Steps<boolean>> {
  const next = client.generation + 1;
  const secrets = await sealSecrets(sealer, client, next);
  return function* () {
    const row = yield* first(
      `UPDATE clients SET auth_method = ?, generation = ?, secrets = ?, client_secret_expires_at = ?,
         registration_client_uri = ?, server_metadata = ? WHERE id = ? AND generation = ? RETURNING id`,
      ...[client.authMethod, next, secrets, client.clientSecretExpiresAt],
      ...[client.registrationClientUri ?? null, JSON.stringify(client.serverMetadata)],
      ...[client.rowId, client.generation],
    );
    return row !== undefined;
  };
}

function sealSecrets(sealer: Sealer, client: Client, generation: number): Promise<string> {
  const secrets = {
    client_secret: client.clientSecret?.reveal(),
    client_key: client.clientKey?.reveal(),
    registration_access_token: client.registrationAccessToken?.reveal(),
  };
  return sealer.seal(JSON.stringify(secrets), place(client.rowId, generation));
}

/** All clients for this issuer, newest first; still sealed, open with `openClient`. */
export function findClientsByIssuer(issuer: string): Steps<ClientRow[]> {
  return query<ClientRow>('SELECT * FROM clients WHERE issuer = ? ORDER BY created_at DESC', issuer);
}

/** One client, still sealed. */
export function findClient(rowId: string): Steps<ClientRow | undefined> {
  return first<ClientRow>('SELECT * FROM clients WHERE id = ?', rowId);
}

/** Issuer of each client, by the client's row id. */
export function* listIssuers(): Steps<Map<string, string>> {
  const rows = yield* query<{ id: string; issuer: string }>('SELECT id, issuer FROM clients');
  return new Map(rows.map(({ id, issuer }) => [id, issuer]));
}

/** When secrets end that do, epoch ms, by row. */
export function* listSecretEnds(): Steps<Map<string, number>> {
  const rows = yield* query<{ id: string; ends: number }>(
    'SELECT id, client_secret_expires_at AS ends FROM clients WHERE client_secret_expires_at IS NOT NULL',
  );
  return new Map(rows.map(({ id, ends }) => [id, ends]));
}

/** Forgets the client unless a connection or a login in flight still needs it. True when it is gone. */
export function* deleteUnusedClient(rowId: string): Steps<boolean> {
  const row = yield* first(
    `DELETE FROM clients WHERE id = ?
       AND NOT EXISTS (SELECT 1 FROM connections WHERE client_row_id = clients.id)
       AND NOT EXISTS (SELECT 1 FROM logins WHERE client_row_id = clients.id)
     RETURNING id`,
    rowId,
  );
  return row !== undefined;
}

/** Opens the client's secrets. */
export async function openClient(sealer: Sealer, row: ClientRow): Promise<Client> {
  const secrets = JSON.parse(await sealer.open(row.secrets, place(row.id, row.generation))) as {
    client_secret?: string;
    client_key?: string;
    registration_access_token?: string;
  };
  return {
    rowId: row.id,
    generation: row.generation,
    issuer: row.issuer,
    redirectUri: row.redirect_uri,
    isWeb: row.is_web === 1,
    source: row.source,
    clientId: row.client_id,
    authMethod: row.auth_method,
    clientSecret: optionalSecret(secrets.client_secret),
    clientKey: optionalSecret(secrets.client_key),
    clientSecretExpiresAt: row.client_secret_expires_at,
    registrationClientUri: row.registration_client_uri ?? undefined,
    registrationAccessToken: optionalSecret(secrets.registration_access_token),
    serverMetadata: JSON.parse(row.server_metadata) as Record<string, unknown>,
    createdAt: row.created_at,
  };
}

function optionalSecret(value: string | undefined): Secret | undefined {
  return value === undefined ? undefined : new Secret(value);
}
