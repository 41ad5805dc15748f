/** The processes of each program: not too many at once, and not started again and again when they do not last. */
import type { ProgramStart } from '../broker/program.ts';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { PipeEnd } from './pipe.ts';
import { type ProgramProcess, startProgram } from './program-process.ts';

export interface ProgramCrew {
  /** Starts one more. Throws `rate_limited` (there are enough), `upstream_unavailable` (they end by themselves). */
  start(start: ProgramStart, end: PipeEnd): Promise<ProgramProcess>;
  /** Ends all, and resolves when they are gone. */
  close(): Promise<void>;
}

/** Processes of one program at a time. */
const MOST_PROCESSES = 16;

/** The first end by itself costs nothing; from the second in a row on, the next start waits twice as long each time. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

/** Whoever lived so long did not end because of how it was started. */
const LASTING_MS = 60_000;

interface Members {
  count: number;
  failures: number;
  /** Epoch ms. */
  notBefore: number;
}

export function createProgramCrew(parts: { clock: Clock; log: Log }): ProgramCrew {
  const { clock } = parts;
  const programs = new Map<string, Members>();
  const running = new Set<ProgramProcess>();
  const starting = new Set<Promise<ProgramProcess>>();
  let isClosed = false;

  function membersOf(connection: string): Members {
    const members = programs.get(connection) ?? { count: 0, failures: 0, notBefore: 0 };
    programs.set(connection, members);
    return members;
  }

  function left(members: Members, startedAt: number, isWanted: boolean): void {
    members.count -= 1;
    const hasLasted = clock.now() - startedAt >= LASTING_MS;
    members.failures = isWanted ? 0 : hasLasted ? 1 : members.failures + 1;
    const wait = members.failures < 2 ? 0 : FIRST_WAIT_MS * 2 ** (members.failures - 2);
    members.notBefore = clock.now() + Math.min(wait, LONGEST_WAIT_MS);
  }

  return {
    async start(start, end) {
      const { connection } = start;
      const members = membersOf(connection);
      if (isClosed) throw stopping(connection);
      requireRoom(connection, members);
      requireRested(connection, members, clock.now());
      members.count += 1;
      const startedAt = clock.now();
      const own: { process?: ProgramProcess } = {};
      try {
        const started = startProgram(
          start,
          {
            onMessage: (message) => end.onMessage(message),
            onEnd(why) {
              const { process } = own;
              left(members, startedAt, process?.isEnding() ?? false);
              if (process) running.delete(process);
              end.onEnd(why);
            },
          },
          parts,
        );
        starting.add(started);
        own.process = await started.finally(() => starting.delete(started));
      } catch (error) {
        members.count -= 1;
        throw error;
      }
      running.add(own.process);
      if (isClosed) await own.process.end();
      return own.process;
    },
    async close() {
      isClosed = true;
      // One that does not start needs no end.
      await Promise.allSettled([...running, ...starting].map(async (process) => (await process).end()));
    },
  };
}

function requireRoom(connection: string, { count }: Members): void {
  if (count < MOST_PROCESSES) return;
  throw new BrokerError(
    'rate_limited',
    `${connection} has ${count} processes, one for each session, and may not have more`,
    {
      hint: `end a session, or let all share one process: broker add ${connection} … --process shared`,
      connection,
      retryAfterSeconds: 60,
    },
  );
}

function requireRested(connection: string, { failures, notBefore }: Members, now: number): void {
  // A clock that was set back makes nobody wait longer.
  const wait = Math.min(notBefore - now, LONGEST_WAIT_MS);
  if (wait <= 0) return;
  throw new BrokerError(
    'upstream_unavailable',
    `the program of ${connection} has ended by itself ${failures} times in a row`,
    {
      hint: 'the log of the daemon has what it wrote; it is started again when somebody asks later',
      connection,
      retryAfterSeconds: Math.ceil(wait / 1000),
    },
  );
}

function stopping(connection: string): BrokerError {
  return new BrokerError('upstream_unavailable', 'the daemon is stopping', {
    hint: 'try again in a moment',
    connection,
  });
}
