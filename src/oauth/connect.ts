/**
 * How connections to providers are made: directly to an address that was judged first, or through a proxy. Each
 * request gets a dispatcher of its own, because two requests must never share a connection.
 */
import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { Agent, buildConnector, Dispatcher } from 'undici';
import { trustedCertificates } from '../certificates.ts';
import type { ProxySettings } from '../config.ts';
import type { Network } from '../core/server-settings.ts';
import { guardLookup } from './addresses.ts';
import { undici } from './undici.ts';

export interface ConnectOptions {
  /** A proxy looks names up itself: of what goes through it, only hosts written as IP addresses can be checked. */
  proxy: ProxySettings;
  /** PEM file with further certificate authorities. */
  caFile: string | undefined;
  /** Where requests may lead. Default `private`: anywhere but to forbidden addresses. */
  network?: Network | undefined;
  /** Seam, for tests. Default `dns.lookup`. */
  lookup?: LookupFunction | undefined;
}

/** Told the IP address of a connection, once TLS is agreed on. Must not throw. */
export type OnConnected = (address: string) => void;

const CONNECT_TIMEOUT_MS = 10_000;

/** An idle connection is kept so long, unless the server says less: most servers close theirs after 5 s or more. */
const KEPT_MS = 4_000;

/**
 * Makes dispatchers, each for one request, so that no two requests can share a connection. Aborting `signal` closes the
 * connection in whatever state it is: undici by itself goes on making one that nobody waits for any more, and would
 * wait minutes for a proxy that says nothing.
 */
export function createDispatchers(
  options: ConnectOptions,
): (signal: AbortSignal, onConnected: OnConnected | undefined) => Dispatcher {
  const connecting = prepare(options);
  // pipelining 0: no keep-alive.
  return (signal, onConnected) =>
    dispatcher(options.proxy, connecting(signal, onConnected), { pipelining: 0 });
}

/**
 * A dispatcher whose connections are kept for the next call, for traffic that may be many calls a second. It sets no
 * time limits on answers: streams may be silent for hours.
 */
export function createKeptDispatcher(options: ConnectOptions): Dispatcher {
  const kept = { pipelining: 1, keepAliveTimeout: KEPT_MS, headersTimeout: 0, bodyTimeout: 0 };
  return dispatcher(options.proxy, prepare(options)(undefined, undefined), kept);
}

interface Connecting {
  connect: buildConnector.connector;
  /** How to reach hosts through a proxy. */
  tls: buildConnector.BuildOptions;
}

/** What all connections have in common: certificates and the judgement of addresses. */
function prepare({ caFile, network, lookup = systemLookup as LookupFunction }: ConnectOptions) {
  const guarded = guardLookup(network, lookup);
  const ca = trustedCertificates(caFile);
  return (signal: AbortSignal | undefined, onConnected: OnConnected | undefined): Connecting => {
    const ending = signal === undefined ? {} : { signal };
    // HTTP/2 would put several requests on one connection.
    const tls = { timeout: CONNECT_TIMEOUT_MS, allowH2: false, ...ending, ...(ca ? { ca } : {}) };
    const connectDirectly = undici().buildConnector({ ...tls, lookup: guarded });
    const connect: buildConnector.connector = (target, callback) =>
      connectDirectly(target, (...result) => {
        const [, socket] = result;
        if (socket?.remoteAddress !== undefined) onConnected?.(socket.remoteAddress);
        callback(...result);
      });
    return { connect, tls };
  };
}

function dispatcher(proxy: ProxySettings, { connect, tls }: Connecting, options: Agent.Options): Dispatcher {
  if (proxy.httpProxy === undefined && proxy.httpsProxy === undefined)
    return new (undici().Agent)({ ...options, connect });
  return new (undici().EnvHttpProxyAgent)({
    ...options,
    // For hosts that need no proxy; to the proxy itself the agent connects in its own way.
    connect,
    proxyTls: tls,
    requestTls: tls,
    ...(proxy.httpProxy === undefined ? {} : { httpProxy: proxy.httpProxy }),
    ...(proxy.httpsProxy === undefined ? {} : { httpsProxy: proxy.httpsProxy }),
    noProxy: [proxy.noProxy, '127.0.0.1,localhost,::1'].filter(Boolean).join(','),
  });
}
