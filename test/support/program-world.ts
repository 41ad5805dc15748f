/** A daemon in this process with an MCP server that is a program behind its gateway, and agents that may use it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { pino } from 'pino';
import type { NewAgent } from '../../src/broker/agents.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { Program } from '../../src/core/program.ts';
import { type Daemon, startDaemon } from '../../src/daemon.ts';
import { Secret } from '../../src/secret.ts';
import { DAEMON_DEFAULTS } from './daemon.ts';
import { startWorld, type World } from './world.ts';

/** Plainly fake. */
export const PROGRAM_SECRET = 'fake-pat-1234567890';

export const STDIO_SERVER = fileURLToPath(new URL('stdio-server.js', import.meta.url));

export interface LogLine {
  msg: string;
  stderr?: string;
  [field: string]: unknown;
}

export interface ProgramWorld {
  world: World;
  broker: Broker;
  daemon: Daemon;
  url: string;
  log: LogLine[];
  /** Resolves with the first line the log has or will have that fits. */
  logged(fits: (line: LogLine) => boolean): Promise<LogLine>;
  /** Adds the program under this name, or another in its place. */
  add(name: string, program?: Partial<Program>): Promise<void>;
  /** The key of a new agent. */
  agent(name: string, options?: Partial<NewAgent>): Promise<string>;
  /** An official client (v2) connected to a connection with this key. Closed with the world. */
  connect(connection: string, key: string, client?: Client): Promise<Client>;
  /** Stops the daemon. */
  close(): Promise<void>;
}

export async function startProgramWorld(): Promise<ProgramWorld> {
  const world = await startWorld();
  const broker = await world.openBroker();
  const url = 'http://127.0.0.1:9/mcp';
  await broker.addStatic({
    name: 'coda-pat',
    url,
    credential: { kind: 'bearer', token: new Secret(PROGRAM_SECRET) },
  });
  const lines: LogLine[] = [];
  const watchers = new Set<() => void>();
  const log = pino(
    { level: 'debug', base: null },
    {
      write(line: string) {
        lines.push(JSON.parse(line));
        for (const watcher of watchers) watcher();
      },
    },
  );
  const daemon = await startDaemon(broker, DAEMON_DEFAULTS, { clock: world.clock, log });
  const [address = ''] = daemon.urls;
  const clients: Client[] = [];
  let closing: Promise<void> | undefined;
  return {
    world,
    broker,
    daemon,
    url: address,
    log: lines,
    logged(fits) {
      return new Promise((resolve) => {
        const look = () => {
          const line = lines.find(fits);
          if (!line) return;
          watchers.delete(look);
          resolve(line);
        };
        watchers.add(look);
        look();
      });
    },
    async add(name, program = {}) {
      const usual: Program = {
        command: process.execPath,
        args: [STDIO_SERVER],
        cwd: world.home.path,
        env: { API_TOKEN: '{{coda-pat}}', MODE: 'test' },
        processes: 'session',
        idleEndMs: 30 * 60_000,
      };
      await broker.addProgram({ name, program: { ...usual, ...program } });
    },
    async agent(name, options = {}) {
      const wanted: NewAgent = {
        ...{ name, allow: ['*'], modes: ['gateway'], admin: false, expiresAt: null, allowUnknown: true },
        ...options,
      };
      return (await broker.agents.add(wanted)).key.reveal();
    },
    async connect(connection, key, client = new Client({ name: 'test-agent', version: '2' })) {
      const headers = { authorization: `Bearer ${key}` };
      const target = new URL(`${address}/mcp/${connection}`);
      clients.push(client);
      await client.connect(new StreamableHTTPClientTransport(target, { requestInit: { headers } }));
      return client;
    },
    close() {
      closing ??= (async () => {
        await Promise.all(clients.map((client) => client.close()));
        await daemon.close();
        await world.close();
      })().finally(() => killLeftovers(lines));
      return closing;
    },
  };
}

/** A daemon that does not end its programs fails its test, and should not burden those that follow. */
function killLeftovers(lines: readonly LogLine[]): void {
  const pids = (msg: string) =>
    lines.filter((line) => line.msg.startsWith(msg)).map(({ pid }) => Number(pid));
  const ended = new Set(pids('a program has ended'));
  for (const pid of pids('a program has started').filter((each) => !ended.has(each))) {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has ended, and nobody was told.
    }
  }
}

/** The text a tool answers. */
export async function textOf(
  client: Client,
  name: string,
  args: Record<string, unknown> = {},
): Promise<string> {
  const { content } = await client.callTool({ name, arguments: args });
  return (content as { text: string }[])[0]?.text ?? '';
}

/** Whether a process is there. One that is dead and that nobody has asked about yet is not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
