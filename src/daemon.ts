/** The daemon: broker and HTTP app on their listeners, with a graceful stop. */
import { once } from 'node:events';
import { isIP } from 'node:net';
import type { Broker } from './broker/index.ts';
import type { Prometheus } from './broker/prometheus.ts';
import type { Clock } from './clock.ts';
import { callbackUriAmong, callbackUriAt } from './core/callback-uri.ts';
import { BrokerError } from './errors.ts';
import { createHandler } from './http/app.ts';
import { type ListenAddress, type Listener, type ListenOptions, listen } from './http/listen.ts';
import type { Log } from './log.ts';
import { createCatalogue } from './mcp/catalogue.ts';
import { createGateway, type Gateway } from './mcp/gateway.ts';
import { createProgramProbe } from './mcp/program-probe.ts';
import { createUpstreams, type Upstreams } from './mcp/upstreams.ts';

export interface DaemonOptions extends ListenOptions {
  addresses: ListenAddress[];
  /** URL under which others reach us, if it is not an address we listen on. */
  publicUrl: string | undefined;
  /** Further values of `Host` that are us. */
  allowedHosts: string[];
  allowedOrigins: string[];
  /** Whether the audit trail tells the arguments of calls through the gateway. Default: only their hash. */
  auditArguments?: boolean | undefined;
}

export interface Daemon {
  /** Where it listens, in the order asked for. */
  urls: string[];
  /** Stops taking requests, finishes those begun, then closes the broker. */
  close(): Promise<void>;
}

/** What it works with besides its broker. */
export interface DaemonParts {
  clock: Clock;
  log: Log;
  /** What the broker counts with. Undefined: there is no `/metrics`. */
  prometheus?: Prometheus;
}

/** Time for requests in flight at a stop. */
const DRAIN_MS = 10_000;

/** Starts listening everywhere or nowhere. Throws `port_in_use`, `usage`. */
export async function startDaemon(
  broker: Broker,
  options: DaemonOptions,
  { clock, log, prometheus }: DaemonParts,
): Promise<Daemon> {
  const origins = new Set(options.allowedOrigins);
  const listeners: Listener[] = [];
  const { publicUrl } = options;
  const upstreams = createUpstreams({ broker, clock, log });
  const programs = createProgramProbe({ clock, log });
  const gateway = openGateway(broker, upstreams, options, { clock, log });
  const callbackUri = () =>
    publicUrl === undefined ? callbackUriAmong(listeners.map(({ url }) => url)) : callbackUriAt(publicUrl);
  try {
    for (const address of options.addresses) {
      const listener = await listen(address, options, (port) => {
        const hosts = port === undefined ? undefined : hostsFor(port, options);
        const baseUrl = baseUrlFor(address, port, options);
        return createHandler({
          broker,
          clock,
          log,
          hosts,
          origins,
          baseUrl,
          callbackUri,
          gateway: gateway.handle,
          askProgram: programs.ask,
          prometheus,
        });
      });
      listeners.push(listener);
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => stop(listener, clock)));
    throw error;
  }
  return {
    urls: listeners.map(({ url }) => url),
    async close() {
      broker.beginStop();
      gateway.beginStop();
      await Promise.all(listeners.map((listener) => stop(listener, clock)));
      await upstreams.close();
      await programs.close();
      await broker.close();
    },
  };
}

function openGateway(
  broker: Broker,
  { upstream }: Upstreams,
  { auditArguments }: DaemonOptions,
  { clock, log }: { clock: Clock; log: Log },
): Gateway {
  const catalogue = createCatalogue({ broker, upstream, clock });
  return createGateway({ broker, clock, log, upstream, catalogue, auditArguments: auditArguments ?? false });
}

/** Values of `Host` a TCP listener answers to. */
function hostsFor(port: number, { publicUrl, allowedHosts }: DaemonOptions): Set<string> {
  const names = ['127.0.0.1', 'localhost', '[::1]'];
  // Callers leave out the port where it is the usual one.
  const own = names.flatMap((name) => [`${name}:${port}`, ...([80, 443].includes(port) ? [name] : [])]);
  const named = publicUrl === undefined ? [] : [parsePublicUrl(publicUrl).host];
  const allowed = allowedHosts.flatMap((host) => (/:\d+$/.test(host) ? [host] : [host, `${host}:*`]));
  return new Set([...own, ...named, ...allowed].map((host) => host.toLowerCase()));
}

/**
 * Where clients of a listener find it: the public URL, else the address itself. Without a slash at its end.
 *
 * Throws `usage` for a public URL that is none.
 */
export function baseUrlFor(
  address: ListenAddress,
  port: number | undefined,
  { publicUrl, tls }: Pick<DaemonOptions, 'publicUrl' | 'tls'>,
): string {
  if (publicUrl !== undefined) {
    const { origin, pathname } = parsePublicUrl(publicUrl);
    return origin + pathname.replace(/\/+$/, '');
  }
  // What clients of a Unix socket write where a host must stand.
  if (address.kind === 'unix') return 'http://localhost';
  // Every address of this machine is no address to call.
  const host = ['0.0.0.0', '::'].includes(address.host) ? '127.0.0.1' : address.host;
  return `${tls ? 'https' : 'http'}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/** Throws `usage`. */
function parsePublicUrl(publicUrl: string): URL {
  const url = URL.parse(publicUrl);
  const isPlain = url && !url.username && !url.password && !/[?#]/.test(publicUrl);
  if (isPlain && ['http:', 'https:'].includes(url.protocol)) return url;
  throw new BrokerError('usage', `"${publicUrl}" is not a URL others could reach the daemon at`, {
    hint: 'write it in full, such as --public-url https://broker.example.com',
  });
}

async function stop({ server }: Listener, clock: Clock): Promise<void> {
  const closed = once(server, 'close');
  const drained = new AbortController();
  server.close();
  server.closeIdleConnections();
  const late = clock.wait(DRAIN_MS, drained.signal).then(
    () => server.closeAllConnections(),
    () => {},
  );
  await closed;
  drained.abort();
  await late;
}
