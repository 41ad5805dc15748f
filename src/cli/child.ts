/** Programs that a command runs for its user: without a shell, with our terminal, and with the signals we get. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Environment } from '../config.ts';
import { systemCode } from '../errors.ts';

/** As shells have it: the command was not found, or cannot be run. */
const EXIT_NOT_FOUND = 127;
const EXIT_NOT_EXECUTABLE = 126;

/** Signals that are passed on. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface ChildEnd {
  /** Its exit code; 128 and the number of the signal that ended it; 126 or 127 when it did not start. */
  code: number;
  /** Why it did not start, as a system code. Undefined: it did. */
  failure?: string;
}

/**
 * Runs a program to its end. Signals that arrive meanwhile are its own; we only wait.
 *
 * @param input what it reads on stdin. Undefined: our stdin
 */
export async function runChild(
  [program, ...args]: readonly [string, ...string[]],
  { env, input }: { env: Environment; input?: string },
): Promise<ChildEnd> {
  let child: ChildProcess | undefined;
  const pass = (signal: NodeJS.Signals) => {
    if (!comesFromTerminal(signal)) child?.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, pass);
  try {
    child = spawn(program, args, {
      env,
      stdio: [input === undefined ? 'inherit' : 'pipe', 'inherit', 'inherit'],
    });
    // Whether the program wants its input is its own affair: its exit code tells.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return { code: signal === null ? (code ?? 0) : 128 + constants.signals[signal] };
  } catch (error) {
    // Only the code: Node's messages quote arguments and environment, secrets included.
    const failure = systemCode(error) ?? 'unknown';
    return { code: failure === 'ENOENT' ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, failure };
  } finally {
    for (const signal of SIGNALS) process.off(signal, pass);
  }
}

/** A terminal gives Ctrl-C to all its programs at once. Passed on as well, it would count twice. */
function comesFromTerminal(signal: NodeJS.Signals): boolean {
  return signal === 'SIGINT' && [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
}
