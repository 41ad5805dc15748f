import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import { readSettings } from '../../src/config.ts';
import { type Daemon, startDaemon } from '../../src/daemon.ts';
import { createLog } from '../../src/log.ts';
import { abortable, createFetch, type Fetch } from '../../src/oauth/http.ts';
import { findConnection, openTokenSet } from '../../src/vault/connections.ts';
import { openVault } from '../../src/vault/index.ts';
import { DAEMON_DEFAULTS } from './daemon.ts';
import { createHome } from './home.ts';
import type { FaultName } from './hostile-faults.ts';
import { type HostileServer, type HostileServerOptions, startHostileServer } from './hostile-server.ts';
import { type CallAnswer, call } from './http-call.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';
import { beginLogin, openPage } from './sign-in.ts';

/** A real broker with a real vault and daemon, signed in as `demo` at the hostile server. All share one clock. */
export interface HostileWorld {
  clock: ManualClock;
  hostile: HostileServer;
  /** The one behind the daemon. */
  broker: Broker;
  vaultPath: string;
  /** Address of `demo`'s token, and the header of an agent that may have it. */
  tokenUrl: string;
  agentHeaders: Record<string, string>;
  /** An agent asks for the token of `demo`. */
  askToken(): Promise<CallAnswer>;
  /** A person signs in, for the first time or again. */
  signIn(): Promise<void>;
  /** Like the server's, and the broker looks the server's metadata up again. */
  fault(kind: FaultName | undefined, options?: { times?: number }): Promise<void>;
  /** Ends every request the broker waits for, as its deadline would. */
  expireDeadlines(): void;
  /** Another broker on the same vault. One that is resident refreshes without being asked. */
  openBroker(options?: { isResident?: boolean }): Promise<Broker>;
  /** Fingerprint of the refresh token in the vault, opened with the master key. */
  heldRefreshToken(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Starts all of it and signs in. The hostile server goes by the clock of the brokers. */
export async function startHostileWorld(options: HostileServerOptions = {}): Promise<HostileWorld> {
  const home = await createHome();
  const clock = createManualClock();
  const hostile = await startHostileServer({ clock, ...options });
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
    const login = beginLogin(broker, hostile.url);
    await openPage(await hostile.approve(await login.authorizationUrl));
    await login.done;
  }

  async function start(): Promise<{ daemon: Daemon; key: string }> {
    await signIn();
    const agent = { name: 'bot', allow: ['demo'], modes: ['token' as const], admin: false, expiresAt: null };
    const { key } = await broker.agents.add(agent);
    return { daemon: await startDaemon(broker, DAEMON_DEFAULTS, { clock, log }), key: key.reveal() };
  }

  const broker = await open();
  const { daemon, key } = await start();
  const tokenUrl = `${daemon.urls[0]}/v1/connections/demo/token`;
  const agentHeaders = { authorization: `Bearer ${key}` };
  return {
    ...{ clock, hostile, broker, vaultPath, tokenUrl, agentHeaders, signIn, openBroker: open },
    askToken: () => call(tokenUrl, { headers: agentHeaders }),
    async fault(kind, faultOptions) {
      await hostile.fault(kind, faultOptions);
      forgetMetadata(vaultPath);
    },
    expireDeadlines: deadlines.expire,
    async heldRefreshToken() {
      const vault = await openVault({ path: vaultPath, masterKey: settings.masterKey, clock, create: false });
      try {
        const stored = await vault.run(() => findConnection('demo'));
        return stored && (await openTokenSet(vault.sealer, stored)).refreshToken?.fingerprint();
      } finally {
        await vault.close();
      }
    },
    async close() {
      hostile.letGo();
      deadlines.expire();
      await daemon.close();
      await Promise.all(brokers.filter((each) => each !== broker).map((each) => each.close()));
      await hostile.close();
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
