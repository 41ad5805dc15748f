/**
 * How systemd learns that the daemon is ready or about to stop (sd_notify(3), `Type=notify`).
 *
 * Node cannot send to the datagram socket that wants it, so `systemd-notify` does, which every host with systemd has.
 * It waits until systemd has read the word, so its own end is no race; the unit needs `NotifyAccess=all`.
 */
import { execFile } from 'node:child_process';
import { childEnvironment, type Settings } from '../config.ts';
import { systemCode } from '../errors.ts';
import { warn } from './terminal.ts';

/** A systemd that does not listen must hold up neither start nor stop. */
const TIMEOUT_MS = 5_000;

/**
 * Tells systemd, if it started us and wants to know. Where that fails it is said on stderr: a daemon that works goes on,
 * and what systemd makes of the silence is the unit's affair.
 */
export async function tellSystemd(
  word: 'READY=1' | 'STOPPING=1',
  { notifySocket }: Pick<Settings, 'notifySocket'>,
): Promise<void> {
  if (notifySocket === undefined) return;
  const env = childEnvironment({ NOTIFY_SOCKET: notifySocket });
  const told = Promise.withResolvers<void>();
  execFile('systemd-notify', [word], { env, timeout: TIMEOUT_MS }, (error) => {
    if (error)
      warn(`systemd was not told ${word}: systemd-notify failed (${systemCode(error) ?? error.code})`);
    told.resolve();
  });
  return told.promise;
}
