/** Several addresses of this machine behind one port number. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BrokerError, systemCode } from '../errors.ts';

/** An address this machine does not have, such as ::1 where IPv6 is off. */
const NO_SUCH_ADDRESS = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

/**
 * Ports are drawn from below those that systems give to outgoing connections. A port is kept with the registration, and
 * one of those might be taken when the next login wants it.
 */
const LOWEST_DRAWN = 20_000;
const HIGHEST_DRAWN = 32_767;

/** A drawn port may be taken; so often in a row it is not chance. */
const MAX_DRAWS = 10;

/**
 * Listens on each address that exists, on the same port everywhere. At least one has to exist.
 *
 * A port that somebody else holds on any of the addresses is refused: whoever is there would be sent the code.
 *
 * @param port 0 draws one that is free on all of them
 * Throws `port_in_use`; then nothing is left listening.
 */
export async function listenOnAll(
  addresses: readonly string[],
  port: number,
  makeServer: () => Server,
): Promise<{ port: number; servers: Server[] }> {
  for (let draw = 1; ; draw += 1) {
    const servers: Server[] = [];
    let chosen = port === 0 ? randomInt(LOWEST_DRAWN, HIGHEST_DRAWN + 1) : port;
    try {
      for (const [index, host] of addresses.entries()) {
        const isLastHope = servers.length === 0 && index === addresses.length - 1;
        const server = await listen(makeServer(), host, chosen, isLastHope);
        if (server === undefined) continue;
        servers.push(server);
        chosen = (server.address() as AddressInfo).port;
      }
      return { port: chosen, servers };
    } catch (error) {
      await Promise.all(servers.map(closeNow));
      if (port === 0 && draw < MAX_DRAWS && systemCode(error) === 'EADDRINUSE') continue;
      throw portInUse(port, error);
    }
  }
}

/** Stops at once: open connections are cut. */
export async function closeNow(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

/** Undefined: the address does not exist, and need not. */
async function listen(
  server: Server,
  host: string,
  port: number,
  isNeeded: boolean,
): Promise<Server | undefined> {
  server.listen({ host, port, exclusive: true });
  try {
    await once(server, 'listening');
    return server;
  } catch (error) {
    if (!isNeeded && NO_SUCH_ADDRESS.has(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

function portInUse(port: number, error: unknown): BrokerError {
  const code = systemCode(error) ?? '';
  const hint = NO_SUCH_ADDRESS.has(code)
    ? 'this machine does not have the address: use 127.0.0.1 in the redirect URI'
    : code === 'EACCES'
      ? 'ports below 1024 belong to the system: choose another with --callback-port'
      : 'another login may be waiting there: finish or stop it\n' +
        'or choose another port with --callback-port (the broker then registers anew)';
  const which = port === 0 ? 'no callback port can' : `the callback port ${port} cannot`;
  return new BrokerError('port_in_use', `${which} be used (${code})`, { hint, cause: error });
}
