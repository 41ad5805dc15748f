/** Logins as `demo` in a world of their own. */
import { afterEach } from 'vitest';
import type { Broker } from '../../src/broker/index.ts';
import { type SignIn, type SignInOptions, signIn } from './sign-in.ts';
import { startWorld, type World, type WorldOptions } from './world.ts';

export interface LoginWorld {
  world(): World;
  broker(): Broker;
  /** Starts the servers and opens a broker. */
  start(options?: WorldOptions): Promise<{ world: World; broker: Broker }>;
  /** Signs in at the MCP server. */
  login(options?: SignInOptions): Promise<SignIn>;
}

/** For one test file. Each test starts a world of its own, closed after it. */
export function openLoginWorld(): LoginWorld {
  let world: World;
  let broker: Broker;
  afterEach(() => world.close());

  return {
    world: () => world,
    broker: () => broker,
    async start(options) {
      world = await startWorld(options);
      broker = await world.openBroker();
      return { world, broker };
    },
    login: (options) => signIn(broker, world.authorizationServer, world.mcp.url, options),
  };
}
