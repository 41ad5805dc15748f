/** The real program with real servers around it, in a home of its own. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import { exitCodeFor } from '../../src/cli/exit-codes.ts';
import { readSettings } from '../../src/config.ts';
import { BrokerError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './authorization-server.ts';
import { type BrokerProcess, type BrokerResult, runBroker, startBroker } from './broker-process.ts';
import { createHome, type Home } from './home.ts';
import { type McpServerOptions, type McpTestServer, startMcpServer } from './mcp-server.ts';
import { openPage } from './sign-in.ts';

/** An event of `broker login --json`. */
export type JsonEvent = { event: string } & Record<string, unknown>;

/** A `broker login --no-browser --json` that waits for its person. */
export interface WaitingLogin {
  process: BrokerProcess;
  authorizationUrl: string;
}

/** How a login of the real program ended. */
export interface LoginResult extends BrokerResult {
  events: JsonEvent[];
  /** What the browser showed; empty when the answer was pasted. */
  page: string;
}

export interface LoginOptions {
  /** Default: the MCP server's URL. */
  target?: string;
  /** Further arguments. `--name demo` is always there. */
  args?: string[];
  /** Who signs in. Default alice. */
  person?: string;
  deny?: boolean;
  by?: 'browser' | 'paste';
}

export interface Journey {
  home: Home;
  authorizationServer: AuthorizationServer;
  mcp: McpTestServer;
  vaultPath: string;
  /** Every child started so far: what it was told, and what it printed. */
  processes: { args: string[]; process: BrokerProcess }[];
  run(args: string[], options?: { env?: Record<string, string>; input?: string }): Promise<BrokerResult>;
  /** Starts a command that goes on. Stopped with the journey, if it has not ended by then. */
  start(args: string[], env?: Record<string, string>): BrokerProcess;
  /** Starts a login and waits for its link. */
  beginLogin(options?: Pick<LoginOptions, 'target' | 'args'>): Promise<WaitingLogin>;
  /** A whole login, driven by its events as another program would. */
  login(options?: LoginOptions): Promise<LoginResult>;
  /**
   * What a command of another process would do, done by this one: for what comes before or after the process that is
   * tested. The exit code it would have had.
   */
  here(command: (broker: Broker) => Promise<unknown>): Promise<number>;
  /** Lets an agent ask for tokens of these connections; its key. */
  addAgent(name: string, ...allow: string[]): Promise<string>;
  /** The token of `demo`, asked for without starting a process: proof that the vault opens and its login works. */
  servedToken(): Promise<string>;
  /** Starts the daemon on a free port. */
  serve(args?: string[]): Promise<{ process: BrokerProcess; url: string }>;
  close(): Promise<void>;
}

/** Starts the servers and makes the home. Nothing of the broker is there yet. */
export async function startJourney(
  options: { authorizationServer?: AuthorizationServerOptions; mcp?: McpServerOptions } = {},
): Promise<Journey> {
  const home = await createHome();
  const authorizationServer = await startAuthorizationServer(options.authorizationServer);
  const mcp = await startMcpServer({ authorizationServer, ...options.mcp });
  const processes: Journey['processes'] = [];

  function start(args: string[], env: Record<string, string> = {}): BrokerProcess {
    const process = startBroker(args, { env: { ...home.env, ...env } });
    processes.push({ args, process });
    return process;
  }

  async function beginLogin({ target = mcp.url, args = [] }: LoginOptions = {}): Promise<WaitingLogin> {
    const process = start(['login', target, '--no-browser', '--json', '--name', 'demo', ...args]);
    const [line = ''] = await process.waitFor(/^\{"event":"authorization_url".*$/m);
    return { process, authorizationUrl: (JSON.parse(line) as { url: string }).url };
  }

  /** The broker on the vault of the home, opened in this process and closed again. */
  async function withBroker<T>(work: (broker: Broker) => Promise<T>): Promise<T> {
    const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
    const broker = await openBroker({ settings, log: createLog('silent'), create: false });
    try {
      return await work(broker);
    } finally {
      await broker.close();
    }
  }

  return {
    home,
    authorizationServer,
    mcp,
    vaultPath: join(home.env.BROKER_HOME as string, 'broker.db'),
    processes,
    run: (args, { env = {}, ...rest } = {}) => runBroker(args, { env: { ...home.env, ...env }, ...rest }),
    start,
    beginLogin,
    async login({ person = 'alice', deny = false, by = 'browser', ...rest } = {}) {
      const { process, authorizationUrl } = await beginLogin(rest);
      const redirect = await authorizationServer.approve(authorizationUrl, { account: person, deny });
      let page = '';
      if (by === 'browser') page = await openPage(redirect);
      else process.write(redirect);
      const code = await process.exited;
      return {
        code,
        stdout: process.stdout(),
        stderr: process.stderr(),
        events: eventsOf(process.stdout()),
        page,
      };
    },
    here: (command) =>
      withBroker(command).then(
        () => 0,
        (error: unknown) => {
          if (error instanceof BrokerError) return exitCodeFor(error);
          throw error;
        },
      ),
    addAgent: (name, ...allow) =>
      withBroker(async (broker) => {
        const agent = { name, allow, modes: ['token' as const], admin: false, expiresAt: null };
        return (await broker.agents.add(agent)).key.reveal();
      }),
    servedToken: () =>
      withBroker(async (broker) => (await broker.token(OPERATOR, 'demo')).accessToken.reveal()),
    async serve(args = []) {
      const process = start(['serve', '--listen', '127.0.0.1:0', ...args]);
      const [, url = ''] = await process.waitFor(/listening on (http:\S+)/, 'stderr');
      return { process, url };
    },
    async close() {
      await Promise.all(processes.map(({ process }) => process.stop()));
      await mcp.close();
      await authorizationServer.close();
      await home.remove();
    },
  };
}

/** The lines of `--json` output. Throws when one of them is no JSON. */
export function eventsOf(stdout: string): JsonEvent[] {
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as JsonEvent);
}

/** A failure as it must look: its exit code, one line that says what, and at least one that says what to do. */
export function expectFailure(result: BrokerResult, code: number, what: RegExp): void {
  expect(result, result.stderr).toMatchObject({ code, stdout: '' });
  const lines = result.stderr.trimEnd().split('\n');
  const at = lines.findIndex((line) => line.startsWith('error: '));
  expect(lines[at], result.stderr).toMatch(what);
  const rest = lines.slice(at + 1);
  expect(rest.length, result.stderr).toBeGreaterThan(0);
  expect(rest.filter((line) => !line.startsWith('  → '))).toEqual([]);
  expect(result.stderr).not.toMatch(/^\s+at /m);
}
