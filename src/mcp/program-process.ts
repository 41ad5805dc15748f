/**
 * One process of a program that is an MCP server: messages as lines on its stdin and stdout (MCP, transport stdio).
 *
 * The SDK's own transport starts programs with some of our variables, in our process group, and cannot be told to wait;
 * this one gives a program what it was configured with and nothing else, and ends it with all it has started.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { ProgramStart } from '../broker/program.ts';
import type { Clock } from '../clock.ts';
import { BrokerError, systemCode } from '../errors.ts';
import type { Log } from '../log.ts';
import { forNobody } from '../request-context.ts';
import { createLineReader } from './lines.ts';
import type { JSONRPCMessage, PipeEnd } from './pipe.ts';
import { createProgramLog } from './program-log.ts';

export interface ProgramProcess {
  /** Resolves when the process has room for more. Rejects with `upstream_unavailable` when it is gone. */
  send(message: JSONRPCMessage): Promise<void>;
  /** Reads no more of what it writes. */
  pause(): void;
  resume(): void;
  /** Ends it, and resolves when it and all its group are gone. */
  end(): Promise<void>;
  /** Whether somebody asked for its end. */
  isEnding(): boolean;
}

/** A longer message ends the process: it would be held whole, and nobody could tell where the next one begins. */
const MOST_MESSAGE_BYTES = 64 * 1024 * 1024;

/** After its stdin has ended, and after SIGTERM (MCP, Shutdown of stdio). */
const LEAVE_MS = 1_000;
const GRACE_MS = 4_000;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Starts a process. Throws `upstream_unavailable` when the system refuses. */
export async function startProgram(
  start: ProgramStart,
  end: PipeEnd,
  { clock, log }: { clock: Clock; log: Log },
): Promise<ProgramProcess> {
  const { connection } = start;
  const { deserializeMessage, serializeMessage } = await import('@modelcontextprotocol/server');
  // It serves whoever comes, and what it says belongs to no request.
  const child = await forNobody(() => spawned(start));
  const { pid } = child;
  log.info({ connection, pid }, 'a program has started');
  let isEnding = false;
  let why: string | undefined;
  let gone: Promise<void> | undefined;

  const output = createLineReader(MOST_MESSAGE_BYTES, (line, isCut) => {
    if (isCut) return giveUp(`it wrote a message larger than ${MOST_MESSAGE_BYTES} bytes`);
    const message = read(line);
    if (message) end.onMessage(message);
  });
  const errors = createProgramLog({ clock, log }, start);
  child.stdout.on('data', output.push);
  child.stderr.on('data', errors.push);
  // That it reads no more is told by its end.
  child.stdin.on('error', () => {});
  child.on('error', () => {});

  const { promise: exited, resolve: hasExited } = Promise.withResolvers<void>();
  child.once('exit', (code, signal) => {
    why ??= signal === null ? `exit code ${code}` : signal;
    hasExited();
    // What it has started ends with it.
    void leave();
  });
  const { promise: closed, resolve: hasClosed } = Promise.withResolvers<void>();
  child.once('close', () => {
    hasClosed();
    output.end();
    errors.end();
    const told = { connection, pid, why };
    if (isEnding) log.info(told, 'a program has ended');
    else log.warn(told, 'a program has ended by itself');
    end.onEnd(`the program of ${connection} has ended (${why})`);
  });

  function read(line: string): JSONRPCMessage | undefined {
    if (line.trim() === '') return undefined;
    try {
      return deserializeMessage(line);
    } catch {
      log.debug({ connection }, 'the program wrote a line to stdout that is no message');
      return undefined;
    }
  }

  function giveUp(reason: string): void {
    why ??= reason;
    log.warn({ connection, why }, 'a program is ended');
    void leave();
  }

  /** End of input, then SIGTERM, then SIGKILL, each for whatever is still there. */
  function leave(): Promise<void> {
    gone ??= (async () => {
      log.debug({ connection, pid }, 'a program is asked to end');
      child.stdin.end();
      if (!(await within(closed, LEAVE_MS))) {
        signal('SIGTERM');
        await within(closed, GRACE_MS);
      }
      signal('SIGKILL');
      // What has left the group may hold its streams open; what a slow client has yet to read is not lost.
      while (!(await within(closed, LEAVE_MS))) if (!child.stdout.isPaused()) letGo();
    })();
    return gone;
  }

  function letGo(): void {
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  }

  async function within(done: Promise<void>, ms: number): Promise<boolean> {
    const waiting = new AbortController();
    const late = clock.wait(ms, waiting.signal).then(
      () => false,
      () => false,
    );
    const isDone = await Promise.race([done.then(() => true), late]);
    waiting.abort();
    return isDone;
  }

  /** To the group, which outlives its leader. */
  function signal(name: NodeJS.Signals): void {
    try {
      process.kill(-(child.pid as number), name);
    } catch {
      // Nobody is left of it.
    }
  }

  return {
    async send(message) {
      if (why !== undefined || isEnding || !child.stdin.writable) throw hasEnded(connection, why);
      if (child.stdin.write(serializeMessage(message))) return;
      await Promise.race([once(child.stdin, 'drain').catch(() => {}), exited]);
    },
    pause: () => void child.stdout.pause(),
    resume: () => void child.stdout.resume(),
    end() {
      isEnding = true;
      // Whoever is to end must not wait for somebody to read.
      child.stdout.resume();
      return leave();
    },
    isEnding: () => isEnding,
  };
}

async function spawned({ connection, command, args, cwd, env }: ProgramStart): Promise<Child> {
  const variables: Record<string, string | undefined> = Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, value.reveal()]),
  );
  // Node hands this one on unless it is named.
  if (!('NODE_V8_COVERAGE' in variables)) variables.NODE_V8_COVERAGE = undefined;
  try {
    const child: Child = spawn(command, args, {
      cwd,
      env: variables,
      stdio: ['pipe', 'pipe', 'pipe'],
      shell: false,
      // A group of its own, so that what it starts can be ended with it.
      detached: true,
      windowsHide: true,
    });
    await once(child, 'spawn');
    return child;
  } catch (error) {
    // Only the code: Node's errors carry the arguments.
    const code = systemCode(error) ?? 'unknown';
    throw new BrokerError(
      'upstream_unavailable',
      `the program of ${connection} cannot be started (${code})`,
      {
        hint: `look for the reason with: broker doctor ${connection}`,
        connection,
      },
    );
  }
}

function hasEnded(connection: string, why: string | undefined): BrokerError {
  return new BrokerError(
    'upstream_unavailable',
    `the program of ${connection} has ended${why === undefined ? '' : ` (${why})`}`,
    { hint: 'begin a session anew; the log of the daemon has what the program wrote', connection },
  );
}
