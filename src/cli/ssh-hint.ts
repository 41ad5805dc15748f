/** How a browser on the person's own machine reaches our listener, when they came here over SSH. */
import { isIP } from 'node:net';
import type { RedirectUri } from '../core/redirect.ts';

/** Longer than any login name; letters that no shell and no ssh takes for anything else. */
const PLAIN_USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

const DEFAULT_SSH_PORT = 22;

/**
 * The command that brings the listener to the person's machine, such as
 * `ssh -L 41234:127.0.0.1:41234 alice@203.0.113.5`. The address is the one under which this host was reached, which
 * is not the one the person typed where a network translates addresses.
 *
 * @param connection `SSH_CONNECTION`
 * @param user left out of the command when it is undefined or no plain name
 * @returns undefined when there is no listener of ours, no SSH session, or none that can be understood
 */
export function sshForwardHint(
  connection: string | undefined,
  user: string | undefined,
  redirect: RedirectUri,
): string | undefined {
  if (!redirect.isLoopback) return undefined;
  const [, , address = '', port = '', ...rest] = connection?.split(' ') ?? [];
  // An address with a zone, such as fe80::1%eth0, means something on this machine only.
  if (isIP(address) === 0 || address.includes('%') || rest.length > 0) return undefined;
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) return undefined;
  const listener = redirect.host === '[::1]' ? "'[::1]'" : '127.0.0.1';
  return [
    'ssh',
    ...(Number(port) === DEFAULT_SSH_PORT ? [] : ['-p', String(Number(port))]),
    ...['-L', `${redirect.port}:${listener}:${redirect.port}`],
    user !== undefined && PLAIN_USER.test(user) ? `${user}@${address}` : address,
  ].join(' ');
}
