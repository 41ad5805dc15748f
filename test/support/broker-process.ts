/**
 * Runs the real bin as a child process, with exactly the environment a test gives it, and a place for compiled modules.
 *
 * Nothing here waits for time to pass: a helper answers when the child says or does something. Deadlines exist only
 * so that a child that hangs fails its test with everything it printed, instead of the whole run.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** How to start the child. */
export interface BrokerProcessOptions {
  env: Record<string, string>;
  /** Another script than the built bin. */
  script?: string;
}

/** What a finished run left behind. */
export interface BrokerResult {
  /** null when a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A child that is still running, or was. */
export interface BrokerProcess {
  process: ChildProcessWithoutNullStreams;
  /** Everything printed so far. */
  stdout(): string;
  stderr(): string;
  /**
   * Resolves as soon as the whole output of `stream` (default `stdout`) matches, what came before included. Rejects
   * with all output when the child exits first, or after 15 seconds.
   */
  waitFor(pattern: RegExp, stream?: 'stdout' | 'stderr'): Promise<RegExpMatchArray>;
  /** Resolves with the exit code when the child is gone and its output complete; null when a signal ended it. */
  exited: Promise<number | null>;
  /** Sends one line to its stdin. */
  write(line: string): void;
  closeInput(): void;
  /**
   * Sends `signal` (default SIGTERM) and waits for the end like `exited`. Rejects, after killing the child, when it
   * has not ended within 10 seconds. A child that is gone already is fine.
   */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Where Node keeps the compiled modules of the bin: to compile them again takes a seventh of every start. */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/broker-compiled', import.meta.url));

const BIN = fileURLToPath(new URL('../../bin/broker.js', import.meta.url));

/** Long enough for a command on a busy machine, shorter than a test's own timeout. */
const RUN_TIMEOUT_MS = 20_000;
const WAIT_TIMEOUT_MS = 15_000;
/** A graceful stop finishes a refresh that was sent, which has its own, shorter deadline. */
const STOP_TIMEOUT_MS = 10_000;

const running = new Set<ChildProcessWithoutNullStreams>();
// A test run that is interrupted must not leave daemons behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Runs a command to its end, with `input` on stdin. Rejects with all output when it takes longer than `timeoutMs`. */
export async function runBroker(
  args: string[],
  options: BrokerProcessOptions & { input?: string; timeoutMs?: number },
): Promise<BrokerResult> {
  const broker = startBroker(args, options);
  broker.process.stdin.end(options.input ?? '');
  const code = await orDeadline(
    broker,
    broker.exited,
    options.timeoutMs ?? RUN_TIMEOUT_MS,
    `broker ${args.join(' ')}`,
  );
  return { code, stdout: broker.stdout(), stderr: broker.stderr() };
}

/** Starts a command that goes on while the test does other things. Its stdin stays open. */
export function startBroker(args: string[], { env, script = BIN }: BrokerProcessOptions): BrokerProcess {
  const cache: Record<string, string> = script === BIN ? { NODE_COMPILE_CACHE: COMPILE_CACHE } : {};
  const child = spawn(process.execPath, [script, ...args], { env: { ...cache, ...env } });
  const output = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  running.add(child);
  // Writing to a child that has just exited is an error here, but no failure of a test.
  child.stdin.on('error', () => undefined);
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
      for (const listener of listeners) listener();
    });
  }
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      running.delete(child);
      resolve(code);
    });
  });

  const broker: BrokerProcess = {
    process: child,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    exited,
    async waitFor(pattern, stream = 'stdout') {
      const seen = Promise.withResolvers<RegExpMatchArray>();
      const look = () => {
        const match = output[stream].match(pattern);
        if (match) seen.resolve(match);
      };
      const ended = exited.then((code) => {
        throw new Error(describe(broker, `exited with ${code} before ${pattern} on ${stream}`));
      });
      ended.catch(() => undefined); // the race below may be over long before the child ends
      listeners.add(look);
      look();
      try {
        return await orDeadline(
          broker,
          Promise.race([seen.promise, ended]),
          WAIT_TIMEOUT_MS,
          String(pattern),
        );
      } finally {
        listeners.delete(look);
      }
    },
    write: (line) => void child.stdin.write(`${line}\n`),
    closeInput: () => void child.stdin.end(),
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      return orDeadline(broker, exited, STOP_TIMEOUT_MS, `exit after ${signal}`);
    },
  };
  return broker;
}

/** `result`, unless it takes too long: then the child is killed, and the error tells what it had printed. */
async function orDeadline<T>(
  broker: BrokerProcess,
  result: Promise<T>,
  timeoutMs: number,
  awaited: string,
): Promise<T> {
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new Error(describe(broker, `no ${awaited} within ${timeoutMs} ms`));
    broker.process.kill('SIGKILL');
    deadline.reject(error);
  }, timeoutMs);
  try {
    return await Promise.race([result, deadline.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function describe(broker: BrokerProcess, what: string): string {
  return `${what}\n--- stdout ---\n${broker.stdout()}\n--- stderr ---\n${broker.stderr()}`;
}
