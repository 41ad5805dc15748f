/**
 * How connections to providers are made: directly to an address that was judged first, or through a proxy. Each
 * request gets a dispatcher of its own, because two requests must never share a connection.
 */
import { lookup as systemLookup } from 'node:dns';
import { readFileSync } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { getCACertificates } from 'node:tls';
import { Agent, buildConnector, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import type { ProxySettings } from '../config.ts';
import type { Network } from '../core/server-settings.ts';
import { BrokerError, systemCode } from '../errors.ts';
import { guardLookup } from './addresses.ts';

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

/**
 * Makes dispatchers, each for one request, so that no two requests can share a connection. Aborting `signal` closes the
 * connection in whatever state it is: undici by itself goes on making one that nobody waits for any more, and would
 * wait minutes for a proxy that says nothing.
 */
export function createDispatchers(
  options: ConnectOptions,
): (signal: AbortSignal, onConnected: OnConnected | undefined) => Dispatcher {
  const { proxy, caFile, network, lookup = systemLookup as LookupFunction } = options;
  const guarded = guardLookup(network, lookup);
  const ca = caFile === undefined ? undefined : [...getCACertificates('default'), readCertificates(caFile)];
  const usesProxy = proxy.httpProxy !== undefined || proxy.httpsProxy !== undefined;

  return (signal, onConnected) => {
    // HTTP/2 would put several requests on one connection.
    const tls = { timeout: CONNECT_TIMEOUT_MS, allowH2: false, signal, ...(ca ? { ca } : {}) };
    const connectDirectly = buildConnector({ ...tls, lookup: guarded });
    const connect: buildConnector.connector = (target, callback) =>
      connectDirectly(target, (...result) => {
        const [, socket] = result;
        if (socket?.remoteAddress !== undefined) onConnected?.(socket.remoteAddress);
        callback(...result);
      });
    // pipelining 0: no keep-alive.
    if (!usesProxy) return new Agent({ pipelining: 0, connect });
    return new EnvHttpProxyAgent({
      pipelining: 0,
      // For hosts that need no proxy; to the proxy itself the agent connects in its own way.
      connect,
      proxyTls: tls,
      requestTls: tls,
      ...(proxy.httpProxy === undefined ? {} : { httpProxy: proxy.httpProxy }),
      ...(proxy.httpsProxy === undefined ? {} : { httpsProxy: proxy.httpsProxy }),
      noProxy: [proxy.noProxy, '127.0.0.1,localhost,::1'].filter(Boolean).join(','),
    });
  };
}

function readCertificates(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BrokerError('usage', `the CA file ${path} cannot be read (${systemCode(error)})`, {
      hint: 'check --ca-file',
      cause: error,
    });
  }
}
