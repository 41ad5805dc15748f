/** A daemon with the connection `demo` to a server whose tools change, and agents that come by official clients. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { Broker } from '../../src/broker/index.ts';
import { type Daemon, startDaemon } from '../../src/daemon.ts';
import { createLog } from '../../src/log.ts';
import { pinsOf, readOffer, reportOn, type ToolReport } from '../../src/mcp/tool-report.ts';
import { createHttpUpstream } from '../../src/mcp/upstream.ts';
import { type ChangingServer, startChangingServer } from './changing-server.ts';
import { DAEMON_DEFAULTS } from './daemon.ts';
import { startWorld, type World } from './world.ts';

/** What an agent does with its client, whichever it is. */
export interface AgentClient {
  tools(): Promise<string[]>;
  /** The text of the answer. Rejects when it is refused. */
  call(name: string): Promise<string>;
  /** Resolves when the server next says that its tools have changed. */
  told(): Promise<void>;
  close(): Promise<void>;
}

export interface PinningWorld {
  world: World;
  server: ChangingServer;
  /** The operator's, beside that of the daemon: another process would be no different. */
  broker: Broker;
  endpoint: string;
  key: string;
  client(sdk: 'v1' | 'v2'): Promise<AgentClient>;
  /** As `broker tools demo --pin` does. */
  pin(): Promise<void>;
  report(): Promise<ToolReport>;
  close(): Promise<void>;
}

/** Starts everything; the agent is called `docs-bot`. */
export async function startPinningWorld(sdk: 'v1' | 'v2' = 'v1'): Promise<PinningWorld> {
  const world = await startWorld();
  const server = await startChangingServer(sdk);
  const broker = await world.openBroker();
  await broker.addStatic({ name: 'demo', url: server.url, credential: { kind: 'none' } });
  const rights = { allow: ['demo'], modes: ['gateway' as const], admin: false, expiresAt: null };
  const key = (await broker.agents.add({ name: 'docs-bot', ...rights })).key.reveal();
  const seams = { clock: world.clock, log: createLog('silent') };
  const daemon: Daemon = await startDaemon(await world.openBroker(), DAEMON_DEFAULTS, seams);
  const endpoint = `${daemon.urls[0]}/mcp/demo`;
  const parts = { broker, upstream: createHttpUpstream(broker.gateway.dispatcher) };
  const clients: AgentClient[] = [];
  return {
    ...{ world, server, broker, endpoint, key },
    async client(version) {
      const headers = { authorization: `Bearer ${key}` };
      const client = await (version === 'v1' ? clientV1 : clientV2)(new URL(endpoint), headers);
      clients.push(client);
      return client;
    },
    async pin() {
      const { rules, offer } = await readOffer(parts, 'demo');
      await broker.gateway.setRules('demo', { pins: pinsOf(rules, offer) });
    },
    async report() {
      const { rules, offer } = await readOffer(parts, 'demo');
      return reportOn(rules, offer);
    },
    async close() {
      await Promise.all(clients.map((client) => client.close().catch(() => {})));
      await daemon.close();
      await server.close();
      await world.close();
    },
  };
}

type Headers = Record<string, string>;

async function clientV1(url: URL, headers: Headers): Promise<AgentClient> {
  const client = new ClientV1({ name: 'agent', version: '1' });
  const told = watch();
  client.fallbackNotificationHandler = async ({ method }) => told.saw(method);
  await client.connect(new TransportV1(url, { requestInit: { headers } }) as Transport);
  return {
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name) => textOf(await client.callTool({ name, arguments: {} })),
    told: told.next,
    close: () => client.close(),
  };
}

async function clientV2(url: URL, headers: Headers): Promise<AgentClient> {
  const client = new Client({ name: 'agent', version: '2' }, { versionNegotiation: { mode: 'auto' } });
  const told = watch();
  client.fallbackNotificationHandler = async ({ method }) => told.saw(method);
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return {
    tools: async () =>
      (await client.request({ method: 'tools/list', params: {} })).tools.map(({ name }) => name),
    call: async (name) => textOf(await client.callTool({ name, arguments: {} })),
    told: told.next,
    close: () => client.close(),
  };
}

function watch() {
  let waiting: (() => void) | undefined;
  return {
    saw(method: string): void {
      if (method === 'notifications/tools/list_changed') waiting?.();
    },
    next: () =>
      new Promise<void>((resolve) => {
        waiting = resolve;
      }),
  };
}

function textOf(answer: unknown): string {
  return (answer as { content: { text: string }[] }).content[0]?.text ?? '';
}
