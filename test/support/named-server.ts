import type { LookupAddress } from 'node:dns';
import { writeFile } from 'node:fs/promises';
import { createSecureServer } from 'node:http2';
import { type AddressInfo, isIPv6, type LookupFunction } from 'node:net';
import { join } from 'node:path';
import { createHome } from './home.ts';
import { makeCertificate } from './self-signed.ts';

/** A running https server, reached under any name that a lookup leads to 127.0.0.1. */
export interface NamedServer {
  port: number;
  /** Certificate authority of its certificate, as a file. */
  caFile: string;
  /** Paths that were asked for, in order. */
  requests: string[];
  /** How many connections came in with TLS agreed on. */
  connections(): number;
  close(): Promise<void>;
}

/**
 * Starts an https server on 127.0.0.1 whose certificate is for `as.example.com` and 127.0.0.1. It offers HTTP/2 and
 * HTTP/1.1, and answers with the version that was spoken; paths in `redirects` lead there with a 302.
 */
export async function startNamedServer(redirects: Record<string, string> = {}): Promise<NamedServer> {
  const home = await createHome();
  const { key, cert } = await makeCertificate('DNS:as.example.com,IP:127.0.0.1');
  const caFile = join(home.path, 'ca.pem');
  await writeFile(caFile, cert);
  const requests: string[] = [];
  let connections = 0;
  const server = createSecureServer({ key, cert, allowHTTP1: true }, (request, response) => {
    requests.push(request.url);
    const location = redirects[request.url];
    response.writeHead(location === undefined ? 200 : 302, location === undefined ? {} : { location });
    response.end(`HTTP/${request.httpVersion}`);
  });
  server.on('secureConnection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    caFile,
    requests,
    connections: () => connections,
    async close() {
      await new Promise((resolve) => server.close(resolve));
      await home.remove();
    },
  };
}

/** A name server of our own: which addresses each name has, one list for each time it is asked, the last for ever. */
export function nameServer(names: Record<string, string[][]>): { lookup: LookupFunction; asked: string[] } {
  const asked: string[] = [];
  const lookup: LookupFunction = (hostname, options, callback) => {
    const answers = names[hostname];
    const turn = asked.filter((each) => each === hostname).length;
    asked.push(hostname);
    const addresses = answers?.[Math.min(turn, answers.length - 1)];
    if (!options.all) return callback(new Error('asked for one address only'), []);
    if (!addresses) return callback(Object.assign(new Error('unknown'), { code: 'ENOTFOUND' }), []);
    const list = addresses.map((address): LookupAddress => ({ address, family: isIPv6(address) ? 6 : 4 }));
    process.nextTick(() => callback(null, list));
  };
  return { lookup, asked };
}
