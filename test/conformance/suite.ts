/**
 * Runs the official MCP conformance suite, one scenario in one revision at a time, and reads what it found.
 *
 * Its runner starts the servers of the scenario, then `adapter.ts`, then judges what the servers saw.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Task } from './adapter.ts';
import { runClient } from './client.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const RUNNER = join(CHECKOUT, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');

/** What the runner starts, from the checkout. It splits the command at spaces, so no path is in it but ours. */
const COMMAND = 'node test/conformance/adapter.ts';

/** Longer than any step of the client may take, shorter than a test of ours. */
const CLIENT_TIMEOUT_MS = 20_000;

/** A run is two processes that hardly wait for each other. */
const MAX_RUNS_AT_ONCE = 2;

/** One judgement of the suite. */
export interface Check {
  id: string;
  description: string;
  status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'INFO' | 'SKIPPED';
  errorMessage?: string;
  details?: Record<string, unknown>;
}

export interface Result {
  checks: Check[];
  /** What the suite holds against us, one line a check: failures, and warnings too. */
  complaints: string[];
  /** 0 when the suite is content with the checks and with the exit of the client. */
  exitCode: number | null;
  /** What the client said. */
  stderr: string;
}

export interface Suite {
  /** What the suite offers to test clients with: revisions by name of the scenario. An extension has `extension`. */
  list(): Promise<Map<string, string[]>>;
  /** At most two runs go on at once, further ones wait. Rejects when the suite did not run the scenario. */
  run(scenario: string, version: string): Promise<Result>;
  /** Deletes what the runs wrote. */
  close(): Promise<void>;
}

/** The suite with a place for its results. */
export async function openSuite(): Promise<Suite> {
  const directory = await mkdtemp(join(tmpdir(), 'conformance-'));
  const client = await listenForTasks(join(directory, 'client'));
  // Each run loads the same code: compiled once, it starts in two thirds of the time.
  const environment = {
    ...process.env,
    PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}`,
    NODE_COMPILE_CACHE: join(directory, 'compiled'),
    CONFORMANCE_CLIENT: join(directory, 'client'),
  };
  const limited = atOnce(MAX_RUNS_AT_ONCE);
  return {
    async list() {
      const { stdout } = await start(['list', '--client'], environment);
      const lines = [...stdout.matchAll(/^ +- (\S+) \[(.+)\]$/gm)];
      return new Map(lines.map(([, name = '', versions = '']) => [name, versions.split(',')]));
    },
    run: (scenario, version) =>
      limited(async () => {
        const output = await mkdtemp(join(directory, 'run-'));
        const which = ['--scenario', scenario, '--spec-version', version, '--force'];
        const limits = ['--timeout', String(CLIENT_TIMEOUT_MS)];
        const command = ['client', '--command', COMMAND, ...which, ...limits, '-o', output];
        const { exitCode, stderr } = await start(command, environment);
        return readResult(output, exitCode, stderr);
      }),
    async close() {
      client.close();
      await rm(directory, { recursive: true });
    },
  };
}

/** Runs the client for every adapter that comes. */
async function listenForTasks(path: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    const task = JSON.parse(await text(socket.iterator({ destroyOnReturn: false }))) as Task;
    socket.end(JSON.stringify(await runClient(task)));
  });
  server.listen(path);
  await once(server, 'listening');
  return server;
}

interface RunnerEnd {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

function start(args: string[], env: NodeJS.ProcessEnv): Promise<RunnerEnd> {
  const child = spawn(process.execPath, [RUNNER, ...args], {
    cwd: CHECKOUT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

/** The runner makes one directory a run, named after scenario and time. */
async function readResult(output: string, exitCode: number | null, said: string): Promise<Result> {
  const files = await readdir(output, { recursive: true });
  const checksFile = files.find((each) => each.endsWith('checks.json'));
  if (checksFile === undefined) throw new Error(`the suite ran nothing:\n${said}`);
  const checks = JSON.parse(await readFile(join(output, checksFile), 'utf8')) as Check[];
  const complaints = checks
    .filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
    .map(({ status, id, errorMessage, description }) => `${status} ${id}: ${errorMessage ?? description}`);
  const stderr = await readFile(join(output, dirname(checksFile), 'stderr.txt'), 'utf8');
  return { checks, complaints, exitCode, stderr };
}

/** Lets `count` works go on at once; the others wait their turn. */
function atOnce(count: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = count;
  return async (work) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
