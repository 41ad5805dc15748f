import { join } from 'node:path';
import { type Broker, type BrokerOptions, openBroker } from '../../src/broker/index.ts';
import { readSettings, type Settings } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './authorization-server.ts';
import { createHome, type Home } from './home.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';
import { type McpServerOptions, type McpTestServer, startMcpServer } from './mcp-server.ts';

/** Everything a test of the broker needs around it: real servers, an empty home, and a clock that stands still. */
export interface World {
  home: Home;
  /** The clock of every broker opened here. The servers keep real time. */
  clock: ManualClock;
  authorizationServer: AuthorizationServer;
  mcp: McpTestServer;
  settings: Settings;
  /** Path of the vault's SQLite file, for tests that look at it from outside. */
  vaultPath: string;
  /** Opens a broker on the vault of this home, made when it is not there yet. Closed with the world. */
  openBroker(options?: Partial<BrokerOptions>): Promise<Broker>;
  close(): Promise<void>;
}

export interface WorldOptions {
  authorizationServer?: AuthorizationServerOptions;
  mcp?: McpServerOptions;
}

/** Starts the servers and makes a home for one test. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const home = await createHome();
  const clock = createManualClock();
  const authorizationServer = await startAuthorizationServer(options.authorizationServer);
  const mcp = await startMcpServer({ authorizationServer, ...options.mcp });
  const vaultPath = join(home.env.BROKER_HOME as string, 'broker.db');
  const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
  const brokers: Broker[] = [];
  return {
    home,
    clock,
    authorizationServer,
    mcp,
    settings,
    vaultPath,
    async openBroker(options = {}) {
      const broker = await openBroker({
        settings,
        clock,
        log: createLog('silent'),
        create: true,
        ...options,
      });
      brokers.push(broker);
      return broker;
    },
    async close() {
      await Promise.all(brokers.map((broker) => broker.close()));
      await mcp.close();
      await authorizationServer.close();
      await home.remove();
    },
  };
}
