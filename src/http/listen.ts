/**
 * Where the daemon listens: TCP on loopback by default, Unix sockets on request.
 *
 * A token that leaves this machine in clear is a leaked token, so any other address wants TLS or an explicit
 * word that somebody else encrypts.
 */
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, lstatSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, isIP } from 'node:net';
import { BrokerError, systemCode } from '../errors.ts';

export type ListenAddress = { kind: 'tcp'; host: string; port: number } | { kind: 'unix'; path: string };

export interface ListenOptions {
  /** Octal mode of Unix sockets. Default 0600. */
  socketMode: number;
  /** Group of Unix sockets, by name or number. Undefined: that of the process. */
  socketGroup?: string | undefined;
  tls: { cert: string; key: string } | undefined;
  insecureListen: boolean;
}

/** Connections that may wait while the loop is busy; the default of 511 overflows when many agents start at once. */
const BACKLOG = 4096;
const KEEP_ALIVE_MS = 65_000;

/** `127.0.0.1:8787`, `[::1]:0`, `:8787` or `unix:/path`. Throws `usage`. */
export function parseListenAddress(text: string): ListenAddress {
  if (/^unix:./.test(text)) return { kind: 'unix', path: text.slice('unix:'.length) };
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new BrokerError('usage', `"${text}" is not an address to listen on`, {
      hint: 'write 127.0.0.1:8787 or unix:/run/broker/broker.sock',
    });
  }
  return { kind: 'tcp', host: match[1] ?? (match[2] || '127.0.0.1'), port };
}

/** Throws `usage` for an address that tokens could leave this machine from unencrypted. */
export function requireSafeAddress(address: ListenAddress, options: ListenOptions): void {
  if (address.kind === 'unix' || options.tls || options.insecureListen) return;
  const isLoopback = address.host === 'localhost' || address.host === '::1' || /^127\./.test(address.host);
  if (isLoopback && (address.host === 'localhost' || isIP(address.host))) return;
  throw new BrokerError(
    'usage',
    `${address.host} is not this machine alone, and the connection would not be encrypted`,
    {
      hint: 'add --tls-cert and --tls-key, or --insecure-listen if something in front of it encrypts',
    },
  );
}

export interface Listener {
  /** `http://127.0.0.1:8787` or `unix:/path`. */
  url: string;
  /** Port of a TCP listener. */
  port: number | undefined;
  server: Server;
}

/** Starts listening; the handler is made once the port is known. Throws `port_in_use`, `usage`. */
export async function listen(
  address: ListenAddress,
  options: ListenOptions,
  handlerFor: (port: number | undefined) => RequestListener,
): Promise<Listener> {
  requireSafeAddress(address, options);
  const server = options.tls && address.kind === 'tcp' ? createSecureServer(options.tls) : createServer();
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.on('request', (_request, response) => {
    // A kept-alive connection that becomes idle while we stop would hold up the stop.
    response.once('close', () => {
      if (!server.listening) server.closeIdleConnections();
    });
  });
  if (address.kind === 'unix') await removeStaleSocket(address.path);
  const target =
    address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
  // The socket must never be open to others, not even for a moment.
  const umask = address.kind === 'unix' ? process.umask(0o177) : undefined;
  try {
    server.listen({ ...target, backlog: BACKLOG, exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    throw cannotListen(address, error);
  } finally {
    if (umask !== undefined) process.umask(umask);
  }
  try {
    return serve(address, options, server, handlerFor);
  } catch (error) {
    server.close();
    throw error;
  }
}

/** Makes the listening server answer, and says where it is. */
function serve(
  address: ListenAddress,
  options: ListenOptions,
  server: Server,
  handlerFor: (port: number | undefined) => RequestListener,
): Listener {
  if (address.kind === 'unix') {
    openToGroup(address.path, options);
    server.on('request', handlerFor(undefined));
    return { url: `unix:${address.path}`, port: undefined, server };
  }
  const { port } = server.address() as AddressInfo;
  server.on('request', handlerFor(port));
  const host = isIP(address.host) === 6 ? `[${address.host}]` : address.host;
  return { url: `${options.tls ? 'https' : 'http'}://${host}:${port}`, port, server };
}

/** The group first: a mode that lets the group in must never meet the wrong group. */
function openToGroup(path: string, { socketMode, socketGroup }: ListenOptions): void {
  try {
    if (socketGroup !== undefined) chownSync(path, process.getuid?.() ?? 0, groupId(socketGroup));
    chmodSync(path, socketMode);
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError(
      'usage',
      `${path} cannot be given to the group ${socketGroup} (${systemCode(error)})`,
      {
        hint: 'the user of the daemon must be a member of that group',
        cause: error,
      },
    );
  }
}

function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${group}:`));
  if (line) return Number(line.split(':')[2]);
  throw new BrokerError('usage', `there is no group ${group} on this machine`, {
    hint: 'check --socket-group',
  });
}

/** Removes a socket nobody answers on. One that is in use is left alone, and so is any other file. */
async function removeStaleSocket(path: string): Promise<void> {
  if (!existsSync(path) || !lstatSync(path).isSocket()) return;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (error) {
    if (systemCode(error) === 'ECONNREFUSED') rmSync(path);
  } finally {
    socket.destroy();
  }
}

function createSecureServer({ cert, key }: { cert: string; key: string }): Server {
  try {
    return createTlsServer({ cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') });
  } catch (error) {
    throw new BrokerError('usage', `the TLS certificate or key cannot be used (${systemCode(error)})`, {
      hint: 'check --tls-cert and --tls-key: both are PEM files',
      cause: error,
    });
  }
}

function cannotListen(address: ListenAddress, error: unknown): BrokerError {
  const where = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
  const code = systemCode(error);
  if (code === 'EADDRINUSE') {
    return new BrokerError('port_in_use', `${where} is in use`, {
      hint: 'another broker may be running there already; stop it, or choose another address with --listen',
      cause: error,
    });
  }
  return new BrokerError('port_in_use', `the daemon cannot listen on ${where} (${code})`, {
    hint:
      address.kind === 'unix'
        ? 'its directory must be there and writable, and no other file may have that name'
        : 'choose another address with --listen',
    cause: error,
  });
}
