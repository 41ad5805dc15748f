import { type Clock, systemClock } from '../clock.ts';
import type { Settings } from '../config.ts';
import { parseConnectionName } from '../core/names.ts';
import { DEFAULT_AUTH_FAILURES, type RateLimit } from '../core/rate-limit.ts';
import type { StepUp } from '../core/step-up.ts';
import type { Log } from '../log.ts';
import { type Metrics, NO_METRICS } from '../metrics.ts';
import { createFetch, type Fetch, type FetchFor } from '../oauth/http.ts';
import type { Secret } from '../secret.ts';
import { listConnections } from '../vault/connections.ts';
import { openVault } from '../vault/index.ts';
import { findServer } from '../vault/servers.ts';
import { type AddedMachineView, add, type NewConnection } from './add.ts';
import { addIdentityServer, type IdentityServerView, type NewIdentityServer } from './add-identity.ts';
import { addProgram, type NewProgram } from './add-program.ts';
import { type AddedView, addStatic, type NewStaticConnection } from './add-static.ts';
import { type RotatedKey, rotateKey } from './agent-keys.ts';
import type { AgentDetail, AgentView } from './agent-view.ts';
import {
  type AgentWishes,
  addAgent,
  type ChangedAgent,
  listAgentViews,
  type NewAgent,
  revoke,
  setAgent,
  showAgent,
} from './agents.ts';
import { startRetention } from './audit-retention.ts';
import { type AuditServices, createAuditServices } from './audit-services.ts';
import { createEntrance, type Entrance } from './authenticate.ts';
import { type Backups, createBackups } from './backups.ts';
import { type CheckOptions, type CheckView, check } from './check.ts';
import { type ConnectionView, listFor, showFor } from './connections.ts';
import type { Caller, Context, RefreshParts } from './context.ts';
import { createGatewayServices, type GatewayServices } from './gateway-services.ts';
import { createHandOuts } from './hand-outs.ts';
import { type GrantedHeaders, getHeaders } from './headers.ts';
import { type Readiness, readiness } from './health.ts';
import {
  type KeyStatusView,
  keyStatus,
  type RotateOptions,
  type RotationView,
  retireKey,
  rotateKeys,
} from './keys.ts';
import { type LoginRequest, login } from './login.ts';
import type { ConnectedEvent, LoginHooks } from './login-events.ts';
import { logout } from './logout.ts';
import type { LogoutView } from './logout-one.ts';
import { createMemory } from './memory.ts';
import { createMetadataSource } from './metadata.ts';
import { createNoticeServices, type NoticeServices } from './notice-services.ts';
import { createObservability, type Observability } from './observability.ts';
import { announce } from './presence.ts';
import { createRefresher } from './refresh.ts';
import { refreshNow } from './refresh-now.ts';
import { createRescue } from './rescue.ts';
import { startScheduler } from './scheduler.ts';
import { stepUp, type UpstreamRefusal } from './step-up.ts';
import { type ClientWish, tokenForClient } from './token-for-client.ts';
import { type GrantedToken, getToken, type TokenQuery } from './tokens.ts';
import { createWebLogins, type WebLogins } from './web-login.ts';

export interface BrokerOptions {
  settings: Settings;
  log: Log;
  /** Whether a vault may be made where there is none. */
  create: boolean;
  /** A daemon: it refreshes on its own, and never gives up saving. Default false. */
  isResident?: boolean;
  /** How long a daemon keeps the audit trail. Undefined: for ever. */
  auditKeepMs?: number | undefined;
  /** Keys an address may have refused; null: any number. Default 10 a minute. */
  authFailures?: RateLimit | null | undefined;
  /** Who counts. Default: nobody. */
  metrics?: Metrics;
  /** Seams, for tests. */
  clock?: Clock;
  fetch?: Fetch;
}

/** Everything a door can ask of the broker. Errors are `BrokerError`s; each service's file lists its codes. */
export interface Broker {
  login(request: LoginRequest, hooks: LoginHooks): Promise<ConnectedEvent>;
  /** Logins whose answer the daemon takes. */
  webLogins: Omit<WebLogins, 'idle'>;
  /** A connection without a person. */
  add(wanted: NewConnection): Promise<AddedMachineView>;
  /** A credential that was entered by hand. */
  addStatic(wanted: NewStaticConnection): Promise<AddedView>;
  /** A server that is a program on this machine. */
  addProgram(wanted: NewProgram): Promise<AddedView>;
  /** A server whose connections are made from users' identities. */
  addIdentity(wanted: NewIdentityServer): Promise<IdentityServerView>;
  /** URL of the server of this connection name. Undefined: it is not known. */
  urlOf(name: string): Promise<string | undefined>;
  logout(caller: Caller, name: string): Promise<LogoutView>;
  token(caller: Caller, name: string, query?: TokenQuery): Promise<GrantedToken>;
  /** The headers to send, for every kind of credential. */
  headers(caller: Caller, name: string, query?: Pick<TokenQuery, 'minTtlSeconds'>): Promise<GrantedHeaders>;
  /** The token a stock OAuth client means, which does not know our names. */
  tokenForClient(caller: Caller, wish: ClientWish): Promise<GrantedToken>;
  /** Refreshes now, whatever the token's age. */
  refresh(caller: Caller, name: string): Promise<ConnectionView>;
  list(caller: Caller): Promise<ConnectionView[]>;
  show(caller: Caller, name: string): Promise<ConnectionView>;
  check(caller: Caller, name: string, options?: CheckOptions): Promise<CheckView>;
  /** What to do when the server says that the login's rights do not suffice. Undefined: it said something else. */
  stepUp(caller: Caller, name: string, refusal: UpstreamRefusal): Promise<StepUp | undefined>;
  /** What the gateway asks for. */
  gateway: GatewayServices;
  /** What happened, and whether that is still what was written. */
  audit: AuditServices;
  agents: {
    add(agent: NewAgent): Promise<{ agent: AgentView; key: Secret }>;
    list(): Promise<AgentView[]>;
    show(name: string): Promise<AgentDetail>;
    set(name: string, wishes: AgentWishes): Promise<ChangedAgent>;
    rotate(name: string, overlapMs?: number): Promise<RotatedKey>;
    revoke(name: string): Promise<void>;
  } & Omit<Entrance, 'close'>;
  observability: Observability;
  keys: {
    status(): Promise<KeyStatusView>;
    rotate(options: RotateOptions): Promise<RotationView>;
    retire(id: string): Promise<void>;
  };
  backups: Backups;
  /** Telling people what becomes of connections. */
  notices: NoticeServices;
  readiness(): Promise<Readiness>;
  /** Says that the end is near: nobody waits for others any more, and what cannot be saved is put aside at once. */
  beginStop(): void;
  /** Finishes what was begun: refreshes in flight and records not yet written. Then closes the vault. */
  close(): Promise<void>;
}

/** Opens the vault and wires the services. Throws what `openVault` throws. */
export async function openBroker(options: BrokerOptions): Promise<Broker> {
  const { settings, log, create, isResident = false, clock = systemClock, metrics = NO_METRICS } = options;
  const fetchFor = options.fetch ? () => options.fetch as Fetch : networks(settings);
  const { database: path, masterKey } = settings;
  const vault = await openVault({ path, masterKey, clock, create });
  const metadata = createMetadataSource(vault.cache('server-metadata'), fetchFor);
  const stop = new AbortController();
  const lifetime = { isResident, stopping: stop.signal };
  const rescue = createRescue({ vault, clock, log }, settings.rescueDirectories);
  const unsaved = new Set<string>();
  const parts = { vault, clock, fetchFor, log, metrics, metadata, rescue, lifetime, unsaved };
  const refresher = createRefresher(parts);
  const handOuts = createHandOuts(vault, clock, log);
  const context: Context = { ...parts, refresher, handOuts, memory: createMemory(vault) };
  const { close: closeEntrance, ...entrance } = createEntrance(
    context,
    options.authFailures === undefined ? DEFAULT_AUTH_FAILURES : options.authFailures,
  );
  const webLogins = createWebLogins(context);
  const notices = createNoticeServices(context);
  const presence = isResident ? await announceOrClose(parts) : undefined;
  await rescue.adoptAll();
  const scheduler = isResident ? startScheduler(context) : undefined;
  const keepMs = isResident ? options.auditKeepMs : undefined;
  const retention = keepMs === undefined ? undefined : startRetention(context, keepMs);
  return {
    login: (request, hooks) => login(context, request, hooks),
    webLogins,
    add: (wanted) => add(context, wanted),
    addStatic: (wanted) => addStatic(context, wanted),
    addProgram: (wanted) => addProgram(context, wanted),
    addIdentity: (wanted) => addIdentityServer(context, wanted),
    urlOf: async (name) =>
      (await vault.run(() => findServer(parseConnectionName(name)?.server ?? '')))?.url ?? undefined,
    logout: (caller, name) => logout(context, caller, name),
    token: (caller, name, query) => getToken(context, caller, name, query),
    headers: (caller, name, query) => getHeaders(context, caller, name, query),
    tokenForClient: (caller, wish) => tokenForClient(context, caller, wish),
    refresh: (caller, name) => refreshNow(context, caller, name),
    list: (caller) => listFor(context, caller),
    show: (caller, name) => showFor(context, caller, name),
    check: (caller, name, checkOptions) => check(context, caller, name, checkOptions),
    stepUp: (caller, name, refusal) => stepUp(context, caller, name, refusal),
    gateway: createGatewayServices(context, settings),
    audit: createAuditServices(context),
    agents: {
      add: (agent) => addAgent(context, agent),
      list: () => listAgentViews(context),
      show: (name) => showAgent(context, name),
      set: (name, wishes) => setAgent(context, name, wishes),
      rotate: (name, overlapMs) => rotateKey(context, name, overlapMs),
      revoke: (name) => revoke(context, name),
      ...entrance,
    },
    observability: createObservability(context, scheduler),
    keys: {
      status: () => keyStatus(context),
      rotate: (options) => rotateKeys(context, options),
      retire: (id) => retireKey(context, id),
    },
    backups: createBackups(context),
    notices,
    readiness: () => readiness(context, scheduler),
    beginStop: () => stop.abort(),
    async close() {
      stop.abort();
      await scheduler?.stop();
      await retention?.stop();
      await refresher.idle();
      await webLogins.idle();
      await notices.stop();
      try {
        await closeEntrance();
        await handOuts.close();
        await presence?.leave();
      } finally {
        await vault.close();
      }
    },
  };
}

/** The way to providers, one for each network. */
export function networks({ proxy, caFile }: Settings): FetchFor {
  const ways = {
    public: createFetch({ proxy, caFile, network: 'public' }),
    private: createFetch({ proxy, caFile, network: 'private' }),
  };
  return (network) => ways[network];
}

async function announceOrClose(parts: RefreshParts): ReturnType<typeof announce> {
  try {
    // Who cannot read the vault whole should not write to it.
    await parts.vault.run(() => listConnections());
    return await announce(parts);
  } catch (error) {
    await parts.vault.close();
    throw error;
  }
}
