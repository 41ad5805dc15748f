/** Servers: the protected upstreams we connect to. No secrets here. */
import type { RecoveryPolicy } from '../core/recovery.ts';
import { first, query, type Steps } from './database.ts';

export interface Server {
  name: string;
  url: string;
  kind: 'oauth';
  /** RFC 8707 resource exactly as the server's metadata spells it. */
  resource: string;
  /** What to do when the answer to a refresh was lost. */
  recovery: RecoveryPolicy;
  createdAt: number;
}

/** The column `settings`: what differs from the default. */
interface ServerSettings {
  recovery?: RecoveryPolicy;
}

interface ServerRow {
  name: string;
  url: string;
  kind: 'oauth';
  resource: string;
  settings: string;
  created_at: number;
}

const COLUMNS = 'name, url, kind, resource, settings, created_at';

/** The server of this name. */
export function* findServer(name: string): Steps<Server | undefined> {
  const row = yield* first<ServerRow>(`SELECT ${COLUMNS} FROM servers WHERE name = ?`, name);
  return row && toServer(row);
}

/** Servers of this URL, oldest first: there may be several names for one. */
export function* findServersByUrl(url: string): Steps<Server[]> {
  const rows = yield* query<ServerRow>(
    `SELECT ${COLUMNS} FROM servers WHERE url = ? ORDER BY created_at`,
    url,
  );
  return rows.map(toServer);
}

/**
 * Inserts the server, or updates what a new login learned about it. The URL of a name never changes, and settings
 * stay unless new ones are given.
 */
export function* saveServer({
  recovery,
  ...server
}: Omit<Server, 'recovery'> & Partial<Server>): Steps<void> {
  const settings: ServerSettings = recovery === undefined ? {} : { recovery };
  yield* query(
    `INSERT INTO servers (name, transport, url, kind, resource, settings, tool_policy, created_at)
     VALUES (?, 'http', ?, ?, ?, ?, '{}', ?)
     ON CONFLICT (name) DO UPDATE SET resource = excluded.resource,
       settings = CASE WHEN excluded.settings = '{}' THEN servers.settings ELSE excluded.settings END`,
    ...[server.name, server.url, server.kind, server.resource, JSON.stringify(settings), server.createdAt],
  );
}

/** Forgets the server unless a connection still uses it. */
export function* deleteUnusedServer(name: string): Steps<void> {
  yield* query(
    'DELETE FROM servers WHERE name = ? AND NOT EXISTS (SELECT 1 FROM connections WHERE server = servers.name)',
    name,
  );
}

function toServer(row: ServerRow): Server {
  const { recovery = 'retry' } = JSON.parse(row.settings) as ServerSettings;
  return {
    name: row.name,
    url: row.url,
    kind: row.kind,
    resource: row.resource,
    recovery,
    createdAt: row.created_at,
  };
}
