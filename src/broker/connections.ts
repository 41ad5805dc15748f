/** What there is to know about connections, without secrets: for `list`, `show` and the HTTP routes. */
import { fixingCommand, isRenewable } from '../core/connection.ts';
import { describeGrant } from '../core/grant.ts';
import type { Program } from '../core/program.ts';
import { refreshAfter } from '../core/refresh-policy.ts';
import { type ServerSettings, unusualSettings } from '../core/server-settings.ts';
import { publicJwks } from '../oauth/client-key.ts';
import { findClient, openClient } from '../vault/clients.ts';
import { listConnections, type StoredConnection } from '../vault/connections.ts';
import { findServer } from '../vault/servers.ts';
import { findFor, isVisible } from './access.ts';
import type { Caller, Context } from './context.ts';
import { listDerived, withIdentity } from './identity.ts';

/** A JWK Set (RFC 7517 §5). */
export interface PublicJwks {
  keys: Record<string, unknown>[];
}

/** A connection as shown. Instants are RFC 3339; what is unknown is left out. The same in JSON and over HTTP. */
export interface ConnectionView {
  name: string;
  server: string;
  kind: string;
  url?: string;
  resource?: string;
  account?: string;
  state: string;
  code?: string;
  cause?: string;
  since: string;
  next_attempt_at?: string;
  next_step?: string;
  expires_at?: string;
  refresh_after?: string;
  scope?: string;
  refresh_token: boolean;
  generation: number;
  issuer?: string;
  client_id?: string;
  client_source?: string;
  client_secret_expires_at?: string;
  redirect_uri?: string;
  expected_account?: string;
  auth_method?: string;
  /** Public half of the client's key. Told to the operator alone, for one connection. */
  client_jwks?: PublicJwks;
  recovery?: string;
  dead_token_errors?: string;
  pinned_issuer?: string;
  pinned_resource?: string;
  resource_parameter?: string;
  refresh_scope?: string;
  basic_encoding?: string;
  pkce?: string;
  requested_scope?: string;
  authorization_parameters?: string;
  /** What a tool's error says when the login has ended. */
  ended_login_texts?: string;
  network?: string;
  /** How long the server keeps a refresh token that nobody uses, as an operator said. */
  idle_limit_seconds?: number;
  grant?: string;
  transport?: string;
  command?: string;
  arguments?: readonly string[];
  directory?: string;
  environment?: Readonly<Record<string, string>>;
  processes?: string;
  idle_end_seconds?: number;
  created_at: string;
  last_refreshed_at: string;
  last_used_at?: string;
}

/** All connections the caller may see, by name. */
export async function listFor(context: Context, caller: Caller): Promise<ConnectionView[]> {
  const stored = await context.vault.run(function* () {
    return [...(yield* listConnections()), ...(yield* listDerived())];
  });
  const all = stored.sort((one, other) => (one.name < other.name ? -1 : 1));
  return Promise.all(
    all.filter(({ name }) => isVisible(caller, name)).map((stored) => viewFor(context, caller, stored)),
  );
}

/** One connection. Throws `not_found`. */
export async function showFor(context: Context, caller: Caller, name: string): Promise<ConnectionView> {
  const stored = await findFor(context, caller, name);
  const shown = await viewFor(context, caller, stored);
  return caller.kind === 'operator' ? { ...shown, ...(await jwksOf(context, stored)) } : shown;
}

async function jwksOf(
  { vault }: Context,
  { clientRowId }: StoredConnection,
): Promise<{ client_jwks?: PublicJwks }> {
  const row = clientRowId === null ? undefined : await vault.run(() => findClient(clientRowId));
  if (row?.auth_method !== 'private_key_jwt') return {};
  const { clientKey } = await openClient(vault.sealer, row);
  return clientKey ? { client_jwks: publicJwks(clientKey) } : {};
}

/** How a program is started on this machine is no concern of agents. */
async function viewFor(context: Context, caller: Caller, stored: StoredConnection): Promise<ConnectionView> {
  const whole = await view(context, stored);
  if (caller.kind === 'operator') return whole;
  const { command, arguments: args, directory, environment, ...told } = whole;
  return told;
}

/** The connection as shown. */
export async function view(
  { vault }: Pick<Context, 'vault'>,
  own: StoredConnection,
): Promise<ConnectionView> {
  const stored = await withIdentity({ vault }, own);
  const { server, client } = await vault.run(function* () {
    return {
      server: yield* findServer(stored.server),
      client: stored.clientRowId === null ? undefined : yield* findClient(stored.clientRowId),
    };
  });
  return {
    name: stored.name,
    server: stored.server,
    kind: stored.kind,
    ...given('url', server?.url),
    ...given('resource', server?.resource || undefined),
    ...given('account', stored.accountIdentity),
    state: stored.state,
    ...given('code', stored.code),
    ...given('cause', stored.cause),
    since: timestamp(stored.since),
    ...given('next_attempt_at', timestampOrNull(stored.nextAttemptAt)),
    ...given('next_step', fixingCommand(stored)),
    ...given('expires_at', timestampOrNull(stored.accessExpiresAt)),
    ...given('refresh_after', timestampOrNull(isRenewable(stored) ? refreshAfter(stored) : null)),
    ...given('scope', stored.scope),
    refresh_token: stored.hasRefreshToken,
    generation: stored.generation,
    ...given('issuer', client?.issuer),
    ...given('client_id', client?.client_id),
    ...given('client_source', client?.source),
    ...given('client_secret_expires_at', timestampOrNull(client?.client_secret_expires_at ?? null)),
    ...given('redirect_uri', client?.redirect_uri || null),
    ...given('expected_account', stored.expectedAccount),
    ...given('auth_method', client?.auth_method),
    ...(server ? settingsView(server.settings) : {}),
    created_at: timestamp(stored.createdAt),
    last_refreshed_at: timestamp(stored.receivedAt),
    ...given('last_used_at', timestampOrNull(stored.lastUsedAt)),
  };
}

/** How the server differs. Only `recovery` is told also when it is as usual. */
function settingsView({ recovery, ...settings }: ServerSettings): Partial<ConnectionView> {
  const unusual = unusualSettings(settings);
  return {
    recovery,
    ...given('dead_token_errors', unusual.deadTokenErrors?.join(' ')),
    ...given('pinned_issuer', unusual.pinnedIssuer),
    ...given('pinned_resource', unusual.pinnedResource),
    ...given('resource_parameter', unusual.resourceParameter),
    ...given('refresh_scope', unusual.refreshScope),
    ...given('basic_encoding', unusual.basicEncoding),
    ...given('pkce', unusual.pkce),
    ...given('requested_scope', unusual.scopes?.join(' ')),
    ...given('authorization_parameters', readable(unusual.authorizationParameters)),
    ...given('ended_login_texts', unusual.endedLoginTexts?.join(' · ')),
    ...given('network', unusual.network),
    ...(unusual.idleLimitMs ? { idle_limit_seconds: unusual.idleLimitMs / 1000 } : {}),
    ...given('grant', unusual.grant && describeGrant(unusual.grant)),
    ...given('transport', unusual.transport),
    ...(settings.program ? programView(settings.program) : {}),
  };
}

/** Where secrets go is told, and nothing of them. */
function programView({ command, args, cwd, env, processes, idleEndMs }: Program): Partial<ConnectionView> {
  const idle_end_seconds = idleEndMs / 1000;
  return { command, arguments: args, directory: cwd, environment: env, processes, idle_end_seconds };
}

function readable(parameters: Readonly<Record<string, string>> | undefined): string | undefined {
  return parameters && new URLSearchParams(parameters).toString();
}

/** RFC 3339, whole seconds. */
export function timestamp(at: number): string {
  return new Date(at).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

function timestampOrNull(at: number | null): string | null {
  return at === null ? null : timestamp(at);
}

function given<K extends string>(name: K, value: string | null | undefined): { [P in K]?: string } {
  return (value === null || value === undefined ? {} : { [name]: value }) as { [P in K]?: string };
}
