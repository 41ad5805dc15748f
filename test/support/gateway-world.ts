/** A daemon with the connection `demo` to an MCP endpoint of the test's, and agents that reach it through the gateway. */
import { DatabaseSync } from 'node:sqlite';
import type { NewAgent } from '../../src/broker/agents.ts';
import type { Broker } from '../../src/broker/index.ts';
import { type Daemon, type DaemonOptions, startDaemon } from '../../src/daemon.ts';
import { createLog } from '../../src/log.ts';
import { DAEMON_DEFAULTS } from './daemon-defaults.ts';
import { createSessionServer, createToolServer, type SessionServer } from './gateway-mcp-v1.ts';
import { createStatelessServer } from './gateway-mcp-v2.ts';
import { serveSdk } from './gateway-serve.ts';
import { createTools, type ToolEvents } from './gateway-tools.ts';
import { type GatewayUpstream, startGatewayUpstream } from './gateway-upstream.ts';
import { signIn } from './sign-in.ts';
import { rowsOf } from './vault-file.ts';
import { startWorld, type World, type WorldOptions } from './world.ts';

export interface GatewayWorld {
  world: World;
  upstream: GatewayUpstream;
  /** Address of the daemon, the same after a restart. */
  url: string;
  /** The endpoint of `demo` at the gateway. */
  endpoint: string;
  broker(): Broker;
  /** Makes an agent in gateway mode, allowed `demo` unless said otherwise; its key. */
  addAgent(name: string, agent?: Partial<NewAgent>): Promise<string>;
  /** Writes into the vault from outside, for what no door can set yet. */
  sql(text: string, ...parameters: string[]): void;
  /** Stops the daemon. */
  stop(): Promise<void>;
  /** Starts it again, on the same vault and port. */
  start(): Promise<void>;
  /** What the audit trail tells of calls once at least `count` are in it. */
  calls(count: number): Promise<AuditedCall[]>;
  close(): Promise<void>;
}

/** A record of the audit trail with the action `call`. */
export interface AuditedCall {
  actor: string;
  outcome: string;
  method: string;
  name?: string;
  status?: number;
  bytes: number;
  rule: string;
  duration_ms: number;
}

/** Starts it, and signs in. */
export async function startGatewayWorld(
  options: Partial<DaemonOptions> = {},
  worldOptions: WorldOptions = {},
): Promise<GatewayWorld> {
  const world = await startWorld(worldOptions);
  const upstream = await startGatewayUpstream(world.authorizationServer);
  let broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, upstream.url);
  // What a login asks the server is not what these tests are about.
  upstream.all.length = 0;
  const seams = { clock: world.clock, log: createLog('silent') };
  let daemon: Daemon | undefined = await startDaemon(broker, { ...DAEMON_DEFAULTS, ...options }, seams);
  const url = daemon.urls[0] ?? '';

  async function stop(): Promise<void> {
    const stopping = daemon?.close();
    daemon = undefined;
    await stopping;
  }

  return {
    ...{ world, upstream, url, endpoint: `${url}/mcp/demo` },
    broker: () => broker,
    async addAgent(name, agent = {}) {
      const wanted: NewAgent = {
        ...{ name, allow: ['demo'], modes: ['gateway'], admin: false, expiresAt: null, allowUnknown: true },
        ...agent,
      };
      return (await broker.agents.add(wanted)).key.reveal();
    },
    sql(text, ...parameters) {
      const database = new DatabaseSync(world.vaultPath);
      database.prepare(text).run(...parameters);
      database.close();
    },
    stop,
    async start() {
      broker = await world.openBroker();
      const addresses = [{ kind: 'tcp' as const, host: '127.0.0.1', port: Number(new URL(url).port) }];
      daemon = await startDaemon(broker, { ...DAEMON_DEFAULTS, ...options, addresses }, seams);
    },
    calls: (count) => auditedCalls(world, count),
    async close() {
      await upstream.close();
      await stop();
      await world.close();
    },
  };
}

/** Lets the batches of the audit trail fall due until enough is on disk. */
async function auditedCalls({ clock, vaultPath }: World, count: number): Promise<AuditedCall[]> {
  for (;;) {
    const rows = rowsOf<{ actor: string; outcome: string; detail: string }>(
      vaultPath,
      "SELECT actor, outcome, detail FROM audit WHERE action = 'call' ORDER BY rowid",
    );
    if (rows.length >= count)
      return rows.map(({ detail, ...rest }) => ({ ...rest, ...JSON.parse(detail) }) as AuditedCall);
    await clock.advance(100);
  }
}

/** The same world with official SDK servers at the endpoint. */
export interface SdkWorld extends GatewayWorld {
  tools: ToolEvents;
  sessions: SessionServer;
  /** To tell clients of 2026-07-28 that the tools have changed. */
  toolsChanged(): void;
}

/** Starts it with v1 (2025, sessions) and v2 (2026-07-28) at one address, as the official SDK puts them together. */
export async function startSdkWorld(
  options: Partial<DaemonOptions> & { json?: boolean } = {},
): Promise<SdkWorld> {
  const { json = false, ...daemonOptions } = options;
  const given = await startGatewayWorld(daemonOptions);
  const tools = createTools();
  const sessions = createSessionServer(() => createToolServer(tools), { json });
  const stateless = createStatelessServer(tools);
  given.upstream.answer(serveSdk(sessions, stateless));
  return {
    ...given,
    tools: tools.events,
    sessions,
    toolsChanged: () => stateless.notify.toolsChanged(),
    async close() {
      await sessions.close();
      await stateless.close();
      await given.close();
    },
  };
}
