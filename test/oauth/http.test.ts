import { createServer, type RequestListener, type Server } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readNetworkFailure } from '../../src/oauth/failure.ts';
import { abortable, createFetch, isLoopback, requireSafeUrl } from '../../src/oauth/http.ts';
import { createHome } from '../support/home.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { fetch } from '../support/provider.ts';

const MIB = 1024 * 1024;

const servers: Server[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map(closeServer));
});

/** A bare server: the faults below are too low for the raw server of the other tests. */
async function start(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener);
  servers.push(server);
  return { url: await listenOnLoopback(server), server };
}

/** How a failed request is classified. */
async function failureOf(request: Promise<unknown>) {
  return request.then(
    () => expect.unreachable('the request succeeded'),
    (error: unknown) => readNetworkFailure(error),
  );
}

describe('a request to a provider', () => {
  it('gives back status, headers and body, and says who we are', async () => {
    const { url } = await start((request, response) => {
      response.writeHead(201, { 'x-seen': `${request.method} ${request.headers['user-agent']}` }).end('made');
    });
    const response = await fetch(url, { method: 'POST', body: 'x' });
    expect([response.status, response.headers.get('x-seen'), await response.text()]).toEqual([
      201,
      'POST mcp-token-broker',
      'made',
    ]);
  });

  it('sends a form with the content type it was given', async () => {
    const { url } = await start(async (request, response) => {
      const chunks = await request.toArray();
      response.end(`${request.headers['content-type']} ${Buffer.concat(chunks)}`);
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' };
    const response = await fetch(url, { method: 'POST', headers, body: new URLSearchParams({ a: 'b c' }) });
    expect(await response.text()).toBe(`${headers['content-type']} a=b+c`);
  });

  it('joins challenges that come in several header fields', async () => {
    const { url } = await start((_, response) => {
      response.writeHead(401, { 'www-authenticate': ['Basic realm="x"', 'Bearer realm="y"'] }).end();
    });
    expect((await fetch(url)).headers.get('www-authenticate')).toBe('Basic realm="x", Bearer realm="y"');
  });

  it('never follows a redirect', async () => {
    const seen: string[] = [];
    const { url } = await start((request, response) => {
      seen.push(request.url ?? '');
      response.writeHead(307, { location: '/elsewhere' }).end();
    });
    const response = await fetch(`${url}/here`, { method: 'POST', body: 'secret' });
    expect([response.status, response.headers.get('location'), seen]).toEqual([307, '/elsewhere', ['/here']]);
  });

  it('uses a fresh connection every time, so that a reset is unambiguous', async () => {
    const { url, server } = await start((_, response) => void response.end('{}'));
    let connections = 0;
    server.on('connection', () => {
      connections += 1;
    });
    for (let round = 0; round < 3; round += 1) await (await fetch(url)).text();
    expect(connections).toBe(3);
  });

  it('accepts a body of 1 MiB and refuses a larger one', async () => {
    const { url } = await start(
      (request, response) => void response.end('x'.repeat(Number(request.url?.slice(1)))),
    );
    expect(await (await fetch(`${url}/${MIB}`)).text()).toHaveLength(MIB);
    expect(await failureOf(fetch(`${url}/${MIB + 1}`))).toEqual({ code: 'body_too_large', maybeSent: true });
  });

  it('asks for an answer that is not packed (RFC 9110 §12.5.3)', async () => {
    const { url } = await start((request, response) => void response.end(request.headers['accept-encoding']));
    expect(await (await fetch(url)).text()).toBe('identity');
  });

  it('that wants only headers does not wait for a stream to end, and hangs up', async () => {
    const hungUp = Promise.withResolvers<void>();
    const { url } = await start((_, response) => {
      response.on('close', () => hungUp.resolve());
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n');
    });
    const response = await fetch(url, { headersOnly: true });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    await hungUp.promise;
  });

  it('can be given up', async () => {
    const arrived = Promise.withResolvers<void>();
    const { url } = await start(() => arrived.resolve());
    const giveUp = new AbortController();
    const hanging = fetch(url, { signal: giveUp.signal });
    await arrived.promise;
    giveUp.abort(new DOMException('too slow', 'TimeoutError'));
    expect(await failureOf(hanging)).toEqual({ code: 'timeout', maybeSent: true });
  });

  it('is given up with all others of the same login', async () => {
    const arrived = Promise.withResolvers<void>();
    const { url } = await start(() => arrived.resolve());
    const interrupt = new AbortController();
    const hanging = abortable(fetch, interrupt.signal)(url, { method: 'POST', body: 'x' });
    await arrived.promise;
    interrupt.abort();
    await expect(hanging).rejects.toThrow('abort');
    expect(abortable(fetch, undefined)).toBe(fetch);
  });

  it('reads a 204 and a 304', async () => {
    const { url } = await start(
      (request, response) => void response.writeHead(Number(request.url?.slice(1))).end(),
    );
    for (const status of [204, 304]) expect((await fetch(`${url}/${status}`)).status).toBe(status);
  });
});

describe('a request that fails', () => {
  it('because nobody listens was not sent', async () => {
    const { url, server } = await start(() => undefined);
    await closeServer(server);
    expect(await failureOf(fetch(url))).toEqual({ code: 'econnrefused', maybeSent: false });
  });

  it('because TLS could not be agreed on was not sent', async () => {
    const { url } = await start(() => undefined);
    const failed = failureOf(fetch(url.replace('http:', 'https:')));
    expect(await failed).toEqual({ code: 'tls_failed', maybeSent: false });
  });

  it('because the connection was reset may have been sent', async () => {
    const { url } = await start((request) => void request.socket.resetAndDestroy());
    expect(await failureOf(fetch(url, { method: 'POST', body: 'x' }))).toMatchObject({ maybeSent: true });
  });

  it('because the body ends early may have been sent', async () => {
    const { url } = await start((request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('{"half":', () => request.socket.destroy());
    });
    expect(await failureOf(fetch(url))).toMatchObject({ maybeSent: true });
  });
});

describe('the URL of a request', () => {
  it.each([
    'https://as.example.com/token',
    'http://127.0.0.1:1/token',
    'http://127.1.2.3/token',
    'http://localhost:1/token',
    'http://[::1]:1/token',
  ])('may be %s', (url) => {
    expect(() => requireSafeUrl(url)).not.toThrow();
  });

  it.each([
    ['plain http to elsewhere', 'http://as.example.com/token'],
    ['plain http to a name that only looks local', 'http://127.0.0.1.example.com/token'],
    ['plain http to a name that begins locally', 'http://localhost.example.com/token'],
    ['a user name', 'https://alice@as.example.com/token'],
    ['a password', 'https://alice:fake-password@as.example.com/token'],
    ['another scheme', 'file:///etc/passwd'],
    ['a script', 'javascript:alert(1)'],
    ['no URL at all', 'not a url'],
  ])('must not have %s, and no request is made', async (_, url) => {
    const refusal = expect.objectContaining({ code: 'discovery_failed' });
    expect(() => requireSafeUrl(url)).toThrow(refusal);
    await expect(fetch(url)).rejects.toEqual(refusal);
  });

  it('is not repeated with its password', () => {
    expect(() => requireSafeUrl('https://alice:fake-password@as.example.com/token?code=fake-code')).toThrow(
      expect.objectContaining({ message: 'refused to call https://as.example.com/token' }),
    );
  });

  it.each([
    ['http://127.0.0.1/', true],
    ['http://localhost/', true],
    ['http://[::1]/', true],
    ['http://0.0.0.0/', false],
    ['http://10.0.0.1/', false],
    ['https://as.example.com/', false],
  ])('%s is on this machine: %s', (url, isLocal) => {
    expect(isLoopback(url)).toBe(isLocal);
  });
});

describe('a proxy', () => {
  const proxied = (proxy: string) =>
    createFetch({ proxy: { httpProxy: proxy, httpsProxy: proxy, noProxy: undefined }, caFile: undefined });

  it('is asked for a connection to a provider', async () => {
    const { url, server } = await start(() => undefined);
    const asked = Promise.withResolvers<string | undefined>();
    server.on('connect', (request, socket) => {
      asked.resolve(request.url);
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    });
    await expect(proxied(url)('https://as.example.com/token')).rejects.toThrow();
    expect(await asked.promise).toBe('as.example.com:443');
  });

  it.each(['127.0.0.1', 'localhost', '[::1]'])('never sees a request to %s', async (host) => {
    const seen: string[] = [];
    const { url: proxy, server } = await start((request, response) => {
      seen.push(request.url ?? '');
      response.end('the proxy');
    });
    server.on('connect', (request, socket) => {
      seen.push(request.url ?? '');
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    });
    const local = createServer((_, response) => void response.end('the server'));
    servers.push(local);
    await new Promise<void>((resolve) => local.listen(0, host === '[::1]' ? '::1' : '127.0.0.1', resolve));
    const { port } = local.address() as { port: number };
    const answer = await proxied(proxy)(`http://${host}:${port}/`).then(
      (response) => response.text(),
      () => 'failed',
    );
    expect([answer, seen]).toEqual(['the server', []]);
  });
});

describe('a file of certificate authorities', () => {
  it('that cannot be read is named at once', async () => {
    const home = await createHome();
    const caFile = join(home.path, 'absent.pem');
    const proxy = { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined };
    expect(() => createFetch({ proxy, caFile })).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining(caFile) }),
    );
    await home.remove();
  });
});
