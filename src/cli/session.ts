/** What a command works with: its settings, and the broker or the daemon behind it. */
import type { Command } from 'commander';
import type { Broker } from '../broker/index.ts';
import { type GlobalOptions, readSettings, type Settings } from '../config.ts';
import { createLog, type Log, type LogLevel } from '../log.ts';

export interface Session {
  settings: Settings;
  log: Log;
}

/** Options all commands share. */
interface SharedOptions extends GlobalOptions {
  logLevel: LogLevel;
}

/** Settings and log for this command. */
export function openSession(command: Command): Session {
  const options = command.optsWithGlobals<SharedOptions>();
  return { settings: readSettings(options), log: createLog(options.logLevel) };
}

/**
 * Runs `work` as the operator, with the vault opened and closed around it.
 *
 * @param create whether a vault may be made where there is none
 */
export async function asOperator<T>(
  { settings, log }: Session,
  { create }: { create: boolean },
  work: (broker: Broker) => Promise<T>,
): Promise<T> {
  const { openBroker } = await import('../broker/index.ts');
  const broker = await openBroker({ settings, log, create });
  try {
    return await work(broker);
  } finally {
    await broker.close();
  }
}
