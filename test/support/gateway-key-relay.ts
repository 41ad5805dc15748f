/** An HTTP relay on loopback that adds a header to each request, for clients that can be told a URL and nothing else. */
import { createServer, request as send } from 'node:http';
import { pipeline } from 'node:stream';
import { closeServer, listenOnLoopback } from './loopback.ts';

export interface KeyRelay {
  url: string;
  close(): Promise<void>;
}

/**
 * Everything else passes as it is, also a `Host` and `Origin` that are not the relay's own. What was asked is added to
 * `asked`, each as `POST /path`.
 */
export async function startKeyRelay(
  target: string,
  headers: Record<string, string>,
  asked: string[] = [],
): Promise<KeyRelay> {
  const to = new URL(target);
  const server = createServer((request, response) => {
    // A client that means the relay means what is behind it; any other name is the client's own affair.
    const isOwn = request.headers.host === own;
    const host = isOwn ? to.host : request.headers.host;
    const { origin, ...rest } = request.headers;
    const kept = isOwn || origin === undefined ? rest : { ...rest, origin };
    const { pathname, search } = new URL(request.url ?? '/', target);
    asked.push(`${request.method} ${pathname}`);
    const forwarded = send(
      { host: to.hostname, port: to.port, path: pathname + search, method: request.method },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        response.flushHeaders();
        pipeline(answer, response, () => {});
      },
    );
    for (const [name, value] of Object.entries({ ...kept, ...headers, host }))
      if (value !== undefined) forwarded.setHeader(name, value);
    forwarded.on('error', () => response.destroy());
    response.on('close', () => forwarded.destroy());
    request.pipe(forwarded);
  });
  const origin = await listenOnLoopback(server);
  const own = new URL(origin).host;
  return { url: `${origin}${to.pathname}`, close: () => closeServer(server) };
}
