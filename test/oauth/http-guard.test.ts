/** Servers that lead us to places they should not (SSRF), with real connections. */
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { ProxySettings } from '../../src/config.ts';
import type { Network } from '../../src/core/server-settings.ts';
import { createFetch, type Fetch } from '../../src/oauth/http.ts';
import { presentRefreshToken } from '../../src/oauth/refresh.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { type NamedServer, nameServer, startNamedServer } from '../support/named-server.ts';
import { fakeRefresh } from '../support/provider.ts';

const NO_PROXY: ProxySettings = { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined };

let server: NamedServer;
const cleanUp: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(cleanUp.splice(0).map((each) => each()));
});

/** A server that calls itself as.example.com, and a `fetch` for which that name has these addresses. */
async function start(answers: string[][], network?: Network, proxy = NO_PROXY) {
  server = await startNamedServer();
  cleanUp.push(server.close);
  const names = nameServer({ 'as.example.com': answers, localhost: [['127.0.0.1']] });
  const fetch = createFetch({ proxy, caFile: server.caFile, lookup: names.lookup, network });
  return { fetch, url: `https://as.example.com:${server.port}/`, asked: names.asked };
}

const refused = (message: string) => ({
  code: 'discovery_failed',
  message: expect.stringContaining(message),
});

describe('a name that leads to', () => {
  it('a private address is called from the private network', async () => {
    const { fetch, url } = await start([['127.0.0.1']], 'private');
    expect(await (await fetch(url)).text()).toBe('HTTP/1.1');
  });

  it('a private address is called when nothing is said about the network', async () => {
    const { fetch, url } = await start([['127.0.0.1']]);
    expect((await fetch(url)).status).toBe(200);
  });

  it('a private address is refused on the public network, and no connection is made', async () => {
    const { fetch, url } = await start([['127.0.0.1']], 'public');
    await expect(fetch(url)).rejects.toMatchObject(refused('it leads to a private address (127.0.0.1)'));
    expect([server.connections(), server.requests]).toEqual([0, []]);
  });

  it('private addresses only is refused, however many there are', async () => {
    const { fetch, url } = await start([['10.0.0.1', '127.0.0.1']], 'public');
    await expect(fetch(url)).rejects.toMatchObject(refused('10.0.0.1'));
    expect(server.connections()).toBe(0);
  });

  it('the metadata service of a cloud is refused everywhere', async () => {
    for (const network of ['private', 'public'] as const) {
      const { fetch, url } = await start([['169.254.169.254']], network);
      await expect(fetch(url)).rejects.toMatchObject(refused('169.254.169.254'));
    }
  });

  it('good and bad addresses is called at the good ones only', async () => {
    const { fetch, url } = await start([['169.254.169.254', '127.0.0.1', 'fd00:ec2::254']], 'private');
    const connected: string[] = [];
    await fetch(url, { onConnected: (address) => connected.push(address) });
    expect(connected).toEqual(['127.0.0.1']);
  });

  it('another place at the second look is looked up once only (DNS rebinding)', async () => {
    const { fetch, url, asked } = await start([['127.0.0.1'], ['169.254.169.254']], 'private');
    expect((await fetch(url)).status).toBe(200);
    expect(asked).toEqual(['as.example.com']);
    await expect(fetch(url)).rejects.toMatchObject(refused('169.254.169.254'));
  });

  it('this machine is refused on the public network, plain http too', async () => {
    const { fetch } = await start([[]], 'public');
    await expect(fetch(`http://localhost:${server.port}/`)).rejects.toMatchObject(refused('127.0.0.1'));
  });
});

describe('a host that is an address', () => {
  it.each(['https://10.0.0.7/', 'http://0x7f.1/', 'http://2130706433/', 'http://[::1]/'])(
    'is refused on the public network: %s',
    async (url) => {
      const { fetch, asked } = await start([], 'public');
      await expect(fetch(url)).rejects.toMatchObject(refused('it leads to a private address'));
      expect(asked).toEqual([]);
    },
  );

  it('is called from the private network, unless it is forbidden', async () => {
    const { fetch } = await start([], 'private');
    expect((await fetch(`https://127.0.0.1:${server.port}/`)).status).toBe(200);
    await expect(fetch('https://0xa9fea9fe/')).rejects.toMatchObject(refused('169.254.169.254'));
  });
});

describe('through a proxy', () => {
  /** A proxy that leads everything to the server, and writes down what it was asked for. */
  async function startProxy(): Promise<{ url: string; asked: string[] }> {
    const asked: string[] = [];
    const proxy = createServer().on('connect', (request, client) => {
      asked.push(request.url ?? '');
      const upstream = connect(server.port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.pipe(client).pipe(upstream);
      });
      for (const each of [client, upstream]) each.on('error', () => each.destroy());
    });
    const url = await listenOnLoopback(proxy);
    cleanUp.push(() => closeServer(proxy));
    return { url, asked };
  }

  const via = (url: string, noProxy?: string): ProxySettings => ({
    httpProxy: url,
    httpsProxy: url,
    noProxy,
  });

  it('names are not looked up by us, and no address is told', async () => {
    const proxy = await startProxy();
    const { fetch, url, asked } = await start([['10.0.0.1']], 'public', via(proxy.url));
    const connected: string[] = [];
    const response = await fetch(url, { onConnected: (address) => connected.push(address) });
    expect([await response.text(), asked, connected]).toEqual(['HTTP/1.1', [], []]);
    expect(proxy.asked).toEqual([`as.example.com:${server.port}`]);
  });

  it('hosts that are addresses are refused all the same', async () => {
    const proxy = await startProxy();
    const { fetch } = await start([], 'public', via(proxy.url));
    await expect(fetch('https://10.0.0.7/')).rejects.toMatchObject(refused('10.0.0.7'));
    expect(proxy.asked).toEqual([]);
  });

  it('hosts that need no proxy are guarded as if there were none', async () => {
    const proxy = await startProxy();
    const toPrivate = await start([['127.0.0.1']], 'public', via(proxy.url, 'as.example.com'));
    await expect(toPrivate.fetch(toPrivate.url)).rejects.toMatchObject(refused('127.0.0.1'));
    const connected: string[] = [];
    const allowed = await start([['127.0.0.1']], 'private', via(proxy.url, 'as.example.com'));
    await allowed.fetch(allowed.url, { onConnected: (address) => connected.push(address) });
    expect([connected, proxy.asked]).toEqual([['127.0.0.1'], []]);
  });
});

describe('a connection', () => {
  it('is told with its address once TLS is agreed on, once for each request', async () => {
    const { fetch, url } = await start([['127.0.0.1']]);
    const connected: string[] = [];
    const onConnected = (address: string) => connected.push(address);
    await Promise.all([fetch(url, { onConnected }), fetch(url, { onConnected }), fetch(url)]);
    expect(connected).toEqual(['127.0.0.1', '127.0.0.1']);
  });

  it('whose certificate is not accepted is not told', async () => {
    await start([]);
    const names = nameServer({ 'other.example.com': [['127.0.0.1']] });
    const fetch = createFetch({ proxy: NO_PROXY, caFile: server.caFile, lookup: names.lookup });
    const connected: string[] = [];
    const onConnected = (address: string) => connected.push(address);
    await expect(fetch(`https://other.example.com:${server.port}/`, { onConnected })).rejects.toThrow();
    expect(connected).toEqual([]);
  });

  it('is a fresh one each time, also to a server that speaks HTTP/2', async () => {
    const { fetch, url } = await start([['127.0.0.1']]);
    for (let round = 0; round < 3; round += 1) expect(await (await fetch(url)).text()).toBe('HTTP/1.1');
    await Promise.all([fetch(url), fetch(url)]);
    expect(server.connections()).toBe(5);
  });

  it('is closed when the answer has been read, and when nobody wants the rest', async () => {
    const closed: Promise<unknown>[] = [];
    const giveUp = new AbortController();
    const raw = createServer((request, response) => {
      response.write('the beginning');
      if (request.url === '/given-up') giveUp.abort();
    });
    raw.on('connection', (socket) => closed.push(new Promise((resolve) => socket.on('close', resolve))));
    const url = await listenOnLoopback(raw);
    cleanUp.push(() => closeServer(raw));
    const fetch = createFetch({ proxy: NO_PROXY, caFile: undefined });
    await fetch(url, { headersOnly: true });
    await expect(fetch(`${url}/given-up`, { signal: giveUp.signal })).rejects.toThrow('abort');
    expect(closed).toHaveLength(2);
    await Promise.all(closed);
  });

  it.each(['server', 'proxy'])(
    'that is given up while it is made ends at once: to a %s that says nothing',
    async (what) => {
      const [arrived, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const mute = createTcpServer((socket) => {
        socket.on('error', () => {}).on('close', () => closed.resolve());
        socket.once('data', () => arrived.resolve());
      });
      await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
      cleanUp.push(() => new Promise((resolve) => mute.close(() => resolve())));
      const host = `127.0.0.1:${(mute.address() as AddressInfo).port}`;
      const proxy = what === 'proxy' ? { ...NO_PROXY, httpsProxy: `http://${host}` } : NO_PROXY;
      const url = what === 'proxy' ? 'https://as.example.com/' : `https://${host}/`;
      const giveUp = new AbortController();
      const hanging = createFetch({ proxy, caFile: undefined })(url, { signal: giveUp.signal });
      await arrived.promise;
      giveUp.abort(new DOMException('too slow', 'TimeoutError'));
      await expect(hanging).rejects.toMatchObject({ name: 'TimeoutError' });
      await closed.promise;
      // Else both would stay for as long as a connection may take.
    },
    5_000,
  );
});

describe('a refresh whose token endpoint leads to a private address', () => {
  const present = (fetch: Fetch, issuer: string) => presentRefreshToken(fakeRefresh(issuer, { fetch }));
  const notSent = { kind: 'not_sent', code: 'address_refused' };

  it('was not sent: the refresh token is as good as before', async () => {
    const { fetch, url } = await start([['127.0.0.1']], 'public');
    expect(await present(fetch, url.slice(0, -1))).toEqual(notSent);
    expect(await present(fetch, 'https://10.0.0.7')).toEqual(notSent);
    expect(server.connections()).toBe(0);
  });

  it('nor was one to a URL nobody may call', async () => {
    const { fetch } = await start([]);
    expect(await present(fetch, 'https://alice@as.example.com')).toEqual(notSent);
  });
});
