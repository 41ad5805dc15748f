/** A broker with a vault of its own among odd servers. */
import { join } from 'node:path';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import type { ConnectedEvent, LoginEvent } from '../../src/broker/login-events.ts';
import { readSettings } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { createHome } from '../support/home.ts';
import { createManualClock, type ManualClock } from '../support/manual-clock.ts';
import { beginLogin, openPage } from '../support/sign-in.ts';
import { type Oddities, type OddServer, startOddServer } from './odd-server.ts';

/** A login that came to its end. */
export interface OddSignIn {
  connected: ConnectedEvent;
  events: LoginEvent[];
  notices: string[];
  /** Query of the authorization request. */
  asked: URLSearchParams;
}

export interface OddWorld {
  clock: ManualClock;
  broker: Broker;
  vaultPath: string;
  /** The first server. */
  server: OddServer;
  /** One more, closed with the world. */
  add(oddities?: Oddities): Promise<OddServer>;
  /** Another broker on the same vault, as another process would be. */
  openBroker(): Promise<Broker>;
  /**
   * Signs in as `demo` at the first server, unless told otherwise, through the loopback listener. `approve` is the
   * server the person is sent to; default the first.
   */
  signIn(
    request?: Partial<LoginRequest>,
    how?: { approve?: OddServer; by?: 'browser' | 'paste' },
  ): Promise<OddSignIn>;
  /** What a login at the first server is refused with before a person is asked. Undefined: the person is asked. */
  refused(request?: Partial<LoginRequest>): Promise<unknown>;
  close(): Promise<void>;
}

/** Starts one server and opens a broker. */
export async function startOddWorld(oddities: Oddities = {}): Promise<OddWorld> {
  const home = await createHome();
  const clock = createManualClock();
  const servers = [await startOddServer(clock, oddities)];
  const [server] = servers as [OddServer];
  const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
  const brokers: Broker[] = [];
  async function open(): Promise<Broker> {
    const broker = await openBroker({ settings, clock, log: createLog('silent'), create: true });
    brokers.push(broker);
    return broker;
  }
  const broker = await open();
  return {
    ...{ clock, broker, server, openBroker: open },
    vaultPath: join(home.env.BROKER_HOME as string, 'broker.db'),
    async add(more) {
      const added = await startOddServer(clock, more);
      servers.push(added);
      return added;
    },
    async signIn(request = {}, { approve = server, by = 'browser' } = {}) {
      const { target = server.mcp, ...rest } = request;
      const login = beginLogin(broker, target, rest);
      const url = await login.authorizationUrl;
      const redirect = await approve.approve(url);
      if (by === 'paste') login.paste(redirect);
      const shown = by === 'browser' ? openPage(redirect) : undefined;
      const connected = await login.done.finally(() => shown);
      const { events, notices } = login;
      return { connected, events, notices, asked: new URL(url).searchParams };
    },
    async refused(request = {}) {
      const { target = server.mcp, ...rest } = request;
      const login = beginLogin(broker, target, rest);
      const error = await login.authorizationUrl.then(
        () => undefined,
        (refusal: unknown) => refusal,
      );
      login.abort();
      await login.done.catch(() => undefined);
      return error;
    },
    async close() {
      await Promise.all(brokers.map((each) => each.close()));
      await Promise.all(servers.map((each) => each.close()));
      await home.remove();
    },
  };
}
