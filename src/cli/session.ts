/** What a command works with: its settings, and the broker or the daemon behind it. */
import type { Command } from 'commander';
import type { Broker } from '../broker/index.ts';
import { type GlobalOptions, readSettings, type Settings } from '../config.ts';
import { createLog, type Log, type LogFormat, type LogLevel } from '../log.ts';
import { EXIT_INTERRUPTED } from './exit-codes.ts';
import { onStop } from './signals.ts';
import { isColoured, say } from './terminal.ts';

export interface Session {
  settings: Settings;
  log: Log;
}

/** Options all commands share. */
interface SharedOptions extends GlobalOptions {
  logLevel: LogLevel;
  logFormat: LogFormat;
}

/** Settings and log for this command. */
export function openSession(command: Command): Session {
  const options = command.optsWithGlobals<SharedOptions>();
  return {
    settings: readSettings(options),
    log: createLog(options.logLevel, {
      format: options.logFormat,
      hasColour: isColoured(process.stderr),
    }),
  };
}

/**
 * Runs `work` as the operator, with the vault opened and closed around it. Stopped meanwhile, it is finished
 * all the same, and the exit code says so.
 *
 * @param create whether a vault may be made where there is none
 * @param watchesSignals `work` has handlers of its own
 */
export async function asOperator<T>(
  { settings, log }: Session,
  { create, watchesSignals = false }: { create: boolean; watchesSignals?: boolean },
  work: (broker: Broker) => Promise<T>,
): Promise<T> {
  const { openBroker } = await import('../broker/index.ts');
  const broker = await openBroker({ settings, log, create });
  let isStopped = false;
  const release = watchesSignals
    ? () => {}
    : onStop(() => {
        isStopped = true;
        broker.beginStop();
        say('finishing what was begun; this can take half a minute');
      });
  try {
    return await work(broker);
  } finally {
    await broker.close();
    release();
    if (isStopped) process.exitCode = EXIT_INTERRUPTED;
  }
}
