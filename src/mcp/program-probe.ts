/** Starts a program behind the gateway once, to see whether it answers, and ends it again. */
import type { AskProgram } from '../broker/check-probe.ts';
import type { Clock } from '../clock.ts';
import { INITIALIZE } from '../core/mcp-initialize.ts';
import { BrokerError, printable, quote } from '../errors.ts';
import type { Log } from '../log.ts';
import type { JSONRPCMessage } from './pipe.ts';
import { createProgramCrew } from './program-crew.ts';

/** Longest name and longest version shown. */
const MAX_NAME = 80;

export interface ProgramProbe {
  ask: AskProgram;
  /** Ends what is still being asked, and resolves when it is gone. */
  close(): Promise<void>;
}

/** Who asks programs, each time with a process of its own. */
export function createProgramProbe(parts: { clock: Clock; log: Log }): ProgramProbe {
  const crew = createProgramCrew(parts);
  return {
    async ask(start, signal) {
      const { connection } = start;
      const { promise: answered, resolve, reject } = Promise.withResolvers<JSONRPCMessage>();
      // Whoever writes to a program that has ended is told so there.
      answered.catch(() => {});
      const late = () => reject(failure(connection, 'does not answer in time'));
      signal.addEventListener('abort', late, { once: true });
      const process = await crew.start(start, {
        onMessage: (message) => ('id' in message && message.id === 1 ? resolve(message) : undefined),
        onEnd: (why) => reject(failure(connection, `does not answer: ${why}`)),
      });
      try {
        if (signal.aborted) late();
        await process.send({ jsonrpc: '2.0', id: 1, ...INITIALIZE });
        return nameIn(connection, await answered);
      } finally {
        signal.removeEventListener('abort', late);
        await process.end();
      }
    },
    close: crew.close,
  };
}

function nameIn(connection: string, message: JSONRPCMessage): string | undefined {
  const { error, result } = message as { error?: { message?: unknown }; result?: unknown };
  if (error !== undefined)
    throw failure(connection, `answers with an error: ${quote(String(Object(error).message ?? ''))}`);
  const { serverInfo } = Object(result) as { serverInfo?: unknown };
  const { name, version } = Object(serverInfo) as { name?: unknown; version?: unknown };
  const words = [name, version].filter((each) => typeof each === 'string' && each !== '') as string[];
  return words.length === 0 ? undefined : words.map((word) => printable(word, MAX_NAME)).join(' ');
}

function failure(connection: string, what: string): BrokerError {
  return new BrokerError('upstream_unavailable', `the program of ${connection} ${what}`, {
    hint: `look for the reason with: broker doctor ${connection}`,
    connection,
  });
}
