/** Servers: the protected upstreams we connect to. No secrets here. */
import type { CredentialKind } from '../core/credential-kind.ts';
import { OPEN_SERVER, type ServerPolicy } from '../core/gateway-policy.ts';
import { sourceOf } from '../core/grant.ts';
import {
  DEFAULT_SETTINGS,
  type ServerSettings,
  type Transport,
  unusualSettings,
} from '../core/server-settings.ts';
import { first, query, type Steps } from './database.ts';

export interface Server {
  name: string;
  /** Null: the server is a program. */
  url: string | null;
  kind: CredentialKind;
  /** RFC 8707 resource exactly as the server's metadata spells it. Empty: it is a program. */
  resource: string;
  settings: ServerSettings;
  /** What the gateway lets agents use of it. */
  policy: ServerPolicy;
  createdAt: number;
}

interface ServerRow {
  name: string;
  transport: Transport;
  url: string | null;
  kind: CredentialKind;
  resource: string | null;
  pinned_issuer: string | null;
  /** JSON of what differs from the default. */
  settings: string;
  /** The same. */
  tool_policy: string;
  created_at: number;
}

const COLUMNS = 'name, transport, url, kind, resource, pinned_issuer, settings, tool_policy, created_at';

/** The server of this name. */
export function* findServer(name: string): Steps<Server | undefined> {
  const row = yield* first<ServerRow>(`SELECT ${COLUMNS} FROM servers WHERE name = ?`, name);
  return row && toServer(row);
}

/** All servers by name. */
export function* listServers(): Steps<Server[]> {
  const rows = yield* query<ServerRow>(`SELECT ${COLUMNS} FROM servers ORDER BY name`);
  return rows.map(toServer);
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
  settings = {},
  ...server
}: Omit<Server, 'settings' | 'policy'> & { settings?: Partial<ServerSettings> }): Steps<void> {
  const before = yield* first<ServerRow>(`SELECT ${COLUMNS} FROM servers WHERE name = ?`, server.name);
  const { pinnedIssuer, transport, ...others } = {
    ...(before ? toServer(before).settings : DEFAULT_SETTINGS),
    ...settings,
  };
  yield* query(
    `INSERT INTO servers (name, transport, url, kind, resource, pinned_issuer, settings, tool_policy, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, '{}', ?)
     ON CONFLICT (name) DO UPDATE SET transport = excluded.transport, kind = excluded.kind, resource = excluded.resource,
       pinned_issuer = excluded.pinned_issuer, settings = excluded.settings`,
    ...[server.name, transport, server.url, server.kind, server.resource, pinnedIssuer],
    ...[JSON.stringify(unusualSettings(others)), server.createdAt],
  );
}

/** Keeps settings that a fallback has proven, beside those already there. */
export function* changeSettings(name: string, learned: Partial<ServerSettings>): Steps<void> {
  const server = yield* findServer(name);
  if (server) yield* saveServer({ ...server, settings: learned });
}

/** Stores what agents may use of the server. False when there is none of that name. */
export function* saveServerPolicy(name: string, policy: ServerPolicy): Steps<boolean> {
  const row = yield* first(
    'UPDATE servers SET tool_policy = ? WHERE name = ? RETURNING name',
    ...[JSON.stringify(unusualPolicy(policy)), name],
  );
  return row !== undefined;
}

/** Forgets the server unless a connection still uses it, or may again: one of identities, and one they come from. */
export function* deleteUnusedServer(name: string): Steps<void> {
  const servers = yield* listServers();
  const isIdentity = ({ name: each, kind }: Server) => each === name && kind === 'identity';
  if (servers.some((each) => isIdentity(each) || sourceOf(each.settings.grant) === name)) return;
  yield* query(
    'DELETE FROM servers WHERE name = ? AND NOT EXISTS (SELECT 1 FROM connections WHERE server = servers.name)',
    name,
  );
}

/** Forgets the server. To be called when it has no connections. */
export function* deleteServer(name: string): Steps<void> {
  yield* query('DELETE FROM servers WHERE name = ?', name);
}

function toServer(row: ServerRow): Server {
  return {
    name: row.name,
    url: row.url,
    kind: row.kind,
    resource: row.resource ?? '',
    settings: {
      ...DEFAULT_SETTINGS,
      ...JSON.parse(row.settings),
      pinnedIssuer: row.pinned_issuer,
      transport: row.transport,
    },
    policy: { ...OPEN_SERVER, ...JSON.parse(row.tool_policy) },
    createdAt: row.created_at,
  };
}

function unusualPolicy(policy: ServerPolicy): Partial<ServerPolicy> {
  const isUsual = ([name, value]: [string, unknown]) =>
    JSON.stringify(value) === JSON.stringify(OPEN_SERVER[name as keyof ServerPolicy]);
  return Object.fromEntries(Object.entries(policy).filter((each) => !isUsual(each)));
}
