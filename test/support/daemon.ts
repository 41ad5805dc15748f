import { afterAll, beforeAll } from 'vitest';
import type { NewAgent } from '../../src/broker/agents.ts';
import type { Broker, BrokerOptions } from '../../src/broker/index.ts';
import { createPrometheus } from '../../src/broker/prometheus.ts';
import { type Daemon, type DaemonOptions, startDaemon } from '../../src/daemon.ts';
import { createLog } from '../../src/log.ts';
import { DAEMON_DEFAULTS } from './daemon-defaults.ts';
import { type CallAnswer, type CallOptions, call, onAnswersOf } from './http-call.ts';
import { expectDescribed } from './openapi.ts';
import { signIn } from './sign-in.ts';
import { startWorld, type World, type WorldOptions } from './world.ts';

export { DAEMON_DEFAULTS };

/** A daemon in this process, with the connections `demo` and `demo@alice`, and an agent that may use the first. */
export interface TestDaemon {
  world: World;
  broker: Broker;
  daemon: Daemon;
  /** Its first address, such as `http://127.0.0.1:40000`. */
  url: string;
  /** Port of the first address. */
  port: string;
  /** Calls `path` with the key of the agent, unless `headers` say otherwise. */
  call(path: string, options?: CallOptions): Promise<CallAnswer>;
  /** Makes another agent, allowed `demo` unless said otherwise; its key. */
  addAgent(agent: Partial<NewAgent> & { name: string }): Promise<string>;
  close(): Promise<void>;
}

/** Starts servers, broker and daemon, and signs in. Every answer to `call` must be as `/openapi.json` has it. */
export async function startTestDaemon(
  options: Partial<DaemonOptions> = {},
  worldOptions: WorldOptions = {},
  { log = createLog('silent'), ...brokerOptions }: Partial<BrokerOptions> = {},
): Promise<TestDaemon> {
  const world = await startWorld(worldOptions);
  const prometheus = createPrometheus({ version: '0.0.0-test', ofProcess: false });
  const broker = await world.openBroker({ log, metrics: prometheus.metrics, ...brokerOptions });
  for (const name of ['demo', 'demo@alice'])
    await signIn(broker, world.authorizationServer, world.mcp.url, { name });
  const seams = { clock: world.clock, log, prometheus };
  const daemon = await startDaemon(broker, { ...DAEMON_DEFAULTS, ...options }, seams);
  const [url = ''] = daemon.urls;
  const stopListening = onAnswersOf(url, expectDescribed);
  const addAgent = async (agent: Partial<NewAgent> & { name: string }) => {
    const wanted: NewAgent = {
      allow: ['demo'],
      modes: ['token', 'gateway'],
      admin: false,
      expiresAt: null,
      allowUnknown: true,
      ...agent,
    };
    return (await broker.agents.add(wanted)).key.reveal();
  };
  const key = await addAgent({ name: 'docs-bot' });
  return {
    world,
    broker,
    daemon,
    url,
    port: URL.parse(url)?.port ?? '',
    call: (path, { headers, ...rest } = {}) =>
      call(`${url}${path}`, { headers: { authorization: `Bearer ${key}`, ...headers }, ...rest }),
    addAgent,
    async close() {
      stopListening();
      await daemon.close();
      await world.close();
    },
  };
}

/** One daemon for all tests of the `describe`, or of the file, that calls this; `take` is given it before the first. */
export function shareDaemon(
  take: (daemon: TestDaemon) => void,
  ...options: Parameters<typeof startTestDaemon>
): void {
  let daemon: TestDaemon;
  beforeAll(async () => {
    daemon = await startTestDaemon(...options);
    take(daemon);
  });
  afterAll(() => daemon.close());
}
