/** What the fault matrix needs around it, the same for every authorization server it is run at. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import { readSettings } from '../../src/config.ts';
import type { TokenSet } from '../../src/core/token-set.ts';
import { type Daemon, startDaemon } from '../../src/daemon.ts';
import { createLog } from '../../src/log.ts';
import { abortable, createFetch, type Fetch } from '../../src/oauth/http.ts';
import { findConnection, openTokenSet, type StoredConnection } from '../../src/vault/connections.ts';
import { openVault } from '../../src/vault/index.ts';
import type { Sealer } from '../../src/vault/seal.ts';
import { openSpare } from '../../src/vault/spare.ts';
import { DAEMON_DEFAULTS } from './daemon.ts';
import type { FaultyRefreshes } from './faulty-refreshes.ts';
import { createHome } from './home.ts';
import type { FaultName } from './hostile-faults.ts';
import { type CallAnswer, call } from './http-call.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';
import { beginLogin, openPage } from './sign-in.ts';

/** What a server knows of the login that began last. */
export interface Family {
  revoked: boolean;
  /** 1 for the login's own pair, one more with each refresh that was granted. */
  generation: number;
}

/** An authorization server that rotates, takes reuse for theft, and can be made to fail in every way. */
export interface FaultServer
  extends Pick<FaultyRefreshes, 'presentations' | 'delivered' | 'untilHeld' | 'letGo'> {
  /** Address of the protected MCP endpoint. */
  url: string;
  /** Goes where a login leads to, as a person who approves; the redirect back, not opened. */
  approve(authorizationUrl: string): Promise<string>;
  /**
   * Every refresh meets `kind` from now on, or only the next `times`; undefined ends it. A server that cannot
   * be reached cannot count, so there `times` means nothing.
   */
  fault(kind: FaultName | undefined, options?: { times?: number }): Promise<void>;
  /** Whether the server would accept the refresh token with this fingerprint now. */
  isAlive(refreshTokenFingerprint: string): boolean | Promise<boolean>;
  family(): Family | Promise<Family>;
  close(): Promise<void>;
}

/** A real broker with a real vault and daemon, signed in as `demo` at a server that fails. */
export interface FaultWorld<S extends FaultServer = FaultServer> {
  /** The brokers' clock, and that of the faults. */
  clock: ManualClock;
  server: S;
  /** The one behind the daemon. */
  broker: Broker;
  vaultPath: string;
  /** Address of `demo`'s token, and the header of an agent that may have it. */
  tokenUrl: string;
  agentHeaders: Record<string, string>;
  /** An agent asks for the token of `demo`. */
  askToken(): Promise<CallAnswer>;
  /** Whether the access token opens the protected resource. */
  opens(accessToken: unknown): Promise<boolean>;
  /** A person signs in, for the first time or again. */
  signIn(): Promise<void>;
  /** Like the server's, and the broker looks the server's metadata up again. */
  fault: FaultServer['fault'];
  /** Ends every request the broker waits for, as its deadline would. */
  expireDeadlines(): void;
  /** Another broker on the same vault. One that is resident refreshes without being asked. */
  openBroker(options?: { isResident?: boolean }): Promise<Broker>;
  /** Fingerprint of the refresh token in the vault, opened with the master key. */
  heldRefreshToken(): Promise<string | undefined>;
  /** The same of the spare. */
  heldSpare(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Starts all of it and signs in. `request` is said at every login. */
export async function startFaultWorld<S extends FaultServer>(
  startServer: (clock: ManualClock) => Promise<S>,
  request: Partial<LoginRequest> = {},
): Promise<FaultWorld<S>> {
  const home = await createHome();
  const clock = createManualClock();
  const server = await startServer(clock);
  const vaultPath = join(home.env.BROKER_HOME as string, 'broker.db');
  const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
  const log = createLog('silent');
  const brokers: Broker[] = [];
  const deadlines = createDeadlines(createFetch({ proxy: settings.proxy, caFile: settings.caFile }));

  async function open(openOptions: { isResident?: boolean } = {}): Promise<Broker> {
    const seams = { clock, fetch: deadlines.fetch };
    const opened = await openBroker({ settings, log, create: true, ...seams, ...openOptions });
    brokers.push(opened);
    return opened;
  }

  async function signIn(): Promise<void> {
    const login = beginLogin(broker, server.url, request);
    await openPage(await server.approve(await login.authorizationUrl));
    await login.done;
  }

  async function start(): Promise<{ daemon: Daemon; key: string }> {
    await signIn();
    const agent = { name: 'bot', allow: ['demo'], modes: ['token' as const], admin: false, expiresAt: null };
    const { key } = await broker.agents.add(agent);
    return { daemon: await startDaemon(broker, DAEMON_DEFAULTS, { clock, log }), key: key.reveal() };
  }

  /** What `read` finds in the connection, in a vault opened for it. */
  async function held(read: (sealer: Sealer, stored: StoredConnection) => Promise<TokenSet | undefined>) {
    const vault = await openVault({ path: vaultPath, masterKey: settings.masterKey, clock, create: false });
    try {
      const stored = await vault.run(() => findConnection('demo'));
      return stored && (await read(vault.sealer, stored))?.refreshToken?.fingerprint();
    } finally {
      await vault.close();
    }
  }

  const broker = await open();
  const { daemon, key } = await start();
  const tokenUrl = `${daemon.urls[0]}/v1/connections/demo/token`;
  const agentHeaders = { authorization: `Bearer ${key}` };
  return {
    ...{ clock, server, broker, vaultPath, tokenUrl, agentHeaders, signIn, openBroker: open },
    askToken: () => call(tokenUrl, { headers: agentHeaders }),
    async opens(accessToken) {
      const { status } = await call(server.url, { headers: { authorization: `Bearer ${accessToken}` } });
      return status !== 401 && status !== 403;
    },
    async fault(kind, faultOptions) {
      await server.fault(kind, faultOptions);
      forgetMetadata(vaultPath);
    },
    expireDeadlines: deadlines.expire,
    heldRefreshToken: () => held(openTokenSet),
    heldSpare: () => held(async (sealer, stored) => (await openSpare(sealer, stored))?.tokens),
    async close() {
      server.letGo();
      deadlines.expire();
      await daemon.close();
      await Promise.all(brokers.filter((each) => each !== broker).map((each) => each.close()));
      await server.close();
      await home.remove();
    },
  };
}

/** The cache may be lost at any time; a test need not wait a day for its end. */
function forgetMetadata(vaultPath: string): void {
  const database = new DatabaseSync(vaultPath);
  database.exec('DELETE FROM cache');
  database.close();
}

/** The broker's own fetch, whose deadline comes when a test says so and not after thirty real seconds. */
function createDeadlines(fetch: Fetch): { fetch: Fetch; expire(): void } {
  let deadline = new AbortController();
  return {
    fetch: (url, init) => abortable(fetch, deadline.signal)(url, init),
    expire() {
      // The reason AbortSignal.timeout gives.
      deadline.abort(new DOMException('the deadline has passed', 'TimeoutError'));
      deadline = new AbortController();
    },
  };
}
