/**
 * Programs on this machine as upstreams: started when a session begins, with the secrets of that moment in their
 * environment, and ended with it.
 */
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Broker } from '../broker/index.ts';
import type { ProgramStart } from '../broker/program.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { type Bridge, createBridge } from './bridge.ts';
import type { Pipe, PipeEnd } from './pipe.ts';
import { createProgramCrew } from './program-crew.ts';
import { type SharedProgram, shareProgram } from './shared-program.ts';

export function createStdioUpstream({
  broker,
  clock,
  log,
}: {
  broker: Pick<Broker, 'gateway'>;
  clock: Clock;
  log: Log;
}): Bridge {
  const crew = createProgramCrew({ clock, log });
  const shared = new Map<string, SharedProgram>();

  async function own(start: ProgramStart, end: PipeEnd): Promise<Pipe> {
    const process = await crew.start(start, end);
    return {
      idleEndMs: start.idleEndMs,
      async send(message) {
        await process.send(message);
        return undefined;
      },
      pause: process.pause,
      resume: process.resume,
      close: process.end,
    };
  }

  /** With other secrets or another command it is another process; the one before goes on until its sessions end. */
  function sharedBy(start: ProgramStart, { connectionId }: UpstreamAccess): SharedProgram {
    const key = `${connectionId} ${start.version}`;
    const running = shared.get(key);
    if (running) return running;
    const forget = () => {
      if (shared.get(key) === program) shared.delete(key);
    };
    const process = crew.start(start, {
      onMessage: (message) => program.onMessage(message),
      onEnd(why) {
        forget();
        program.onEnd(why);
      },
    });
    const { connection, idleEndMs } = start;
    const program = shareProgram({ connection, process, idleEndMs, clock, onLeft: forget });
    process.catch(forget);
    shared.set(key, program);
    return program;
  }

  const bridge = createBridge(
    async (access, _request, end) => {
      const start = await broker.gateway.program(access.caller, access.connection);
      return start.processes === 'shared' ? sharedBy(start, access).join(end) : own(start, end);
    },
    { clock },
  );
  return {
    upstream: bridge.upstream,
    async close() {
      await bridge.close();
      await crew.close();
    },
  };
}
