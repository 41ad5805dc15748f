/** Redirects, which are followed only where the caller asks for it. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { createFetch } from '../../src/oauth/http.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { nameServer, startNamedServer } from '../support/named-server.ts';
import { fetch } from '../support/provider.ts';

const NO_PROXY = { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined };

let url: string;
let seen: string[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => {
  seen.push(request.url ?? '');
  answer(request, response);
});

/** Leads from each path to the next one of the list, with these statuses; the last one answers. */
function lead(...steps: [path: string, status: number][]): void {
  answer = ({ url: path }, response) => {
    const index = steps.findIndex(([each]) => each === path);
    const [, status] = steps[index] ?? [];
    if (status === undefined) response.end('there');
    else response.writeHead(status, { location: steps[index + 1]?.[0] ?? '/end' }).end('moved');
  };
}

beforeEach(async () => {
  seen = [];
  url = await listenOnLoopback(server);
});

afterEach(() => closeServer(server));

describe('redirects', () => {
  it.each([301, 302, 303, 307, 308])('with %i are followed when asked for', async (status) => {
    lead(['/a', status], ['/b', status]);
    const response = await fetch(`${url}/a`, { redirects: 2 });
    expect([response.status, await response.text(), seen]).toEqual([200, 'there', ['/a', '/b', '/end']]);
  });

  it.each([300, 304, 305, 399])('with %i are none', async (status) => {
    lead(['/a', status]);
    expect((await fetch(`${url}/a`, { redirects: 2 })).status).toBe(status);
    expect(seen).toEqual(['/a']);
  });

  it('are the answer when nobody asks for them', async () => {
    lead(['/a', 302]);
    const response = await fetch(`${url}/a`);
    expect([response.status, await response.text(), seen]).toEqual([302, 'moved', ['/a']]);
  });

  it('that are too many are an error, and the one too many is not called', async () => {
    lead(['/a', 302], ['/b', 302], ['/c', 302]);
    await expect(fetch(`${url}/a`, { redirects: 2 })).rejects.toMatchObject({
      code: 'discovery_failed',
      message: `${url}/a redirects more than 2 times`,
    });
    expect(seen).toEqual(['/a', '/b', '/c']);
  });

  it('in a circle end', async () => {
    lead(['/a', 302], ['/a', 302]);
    await expect(fetch(`${url}/a`, { redirects: 5 })).rejects.toBeInstanceOf(BrokerError);
    expect(seen).toHaveLength(6);
  });

  it('take the headers along', async () => {
    const accepted: unknown[] = [];
    answer = ({ url: path, headers }, response) => {
      accepted.push(headers.accept, headers['user-agent']);
      response.writeHead(path === '/a' ? 302 : 200, path === '/a' ? { location: 'b?c=d#e' } : {}).end();
    };
    await fetch(`${url}/a`, { redirects: 1, headers: { accept: 'application/json' } });
    expect(accepted).toEqual(Array(2).fill(['application/json', 'mcp-token-broker']).flat());
    expect(seen).toEqual(['/a', '/b?c=d']);
  });

  it('tell of each connection', async () => {
    lead(['/a', 302]);
    const connected: string[] = [];
    await fetch(`${url}/a`, { redirects: 1, onConnected: (address) => connected.push(address) });
    expect(connected).toEqual(['127.0.0.1', '127.0.0.1']);
  });

  it.each([
    ['no Location', []],
    ['a Location that is no URL', ['location', 'http://[']],
    ['two Locations', ['location', 'http://[', 'location', '/b']],
  ])('with %s are the answer', async (_, headers) => {
    answer = (_request, response) => response.writeHead(302, headers).end();
    expect((await fetch(`${url}/a`, { redirects: 2 })).status).toBe(302);
    expect(seen).toEqual(['/a']);
  });

  it('do not wait for the end of a body that has none', async () => {
    answer = ({ url: path }, response) => {
      if (path === '/b') response.end('there');
      else response.writeHead(302, { location: '/b' }).write('for ever');
    };
    expect(await (await fetch(`${url}/a`, { redirects: 1 })).text()).toBe('there');
  });

  it('have one deadline together', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      answer = ({ url: path }, response) => {
        vi.advanceTimersByTime(path === '/a' ? 20_000 : 10_000);
        if (path === '/a') response.writeHead(302, { location: '/b' }).end();
      };
      await expect(fetch(`${url}/a`, { redirects: 1 })).rejects.toMatchObject({ name: 'TimeoutError' });
      expect(seen).toEqual(['/a', '/b']);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('a redirect', () => {
  it.each([
    ['plain http elsewhere', 'http://as.example.com/', 'refused to call http://as.example.com/'],
    ['a URL with a password', 'https://a:b@as.example.com/', 'refused to call https://as.example.com/'],
    ['a file', 'file:///etc/passwd', 'refused to call file:///etc/passwd'],
    ['a script', 'javascript:alert(1)', 'refused to call javascript:'],
    ['the metadata of a cloud', 'https://169.254.169.254/', 'it leads to an address nobody may call'],
    ['the same, written otherwise', 'https://0xa9fea9fe/', 'it leads to an address nobody may call'],
  ])('to %s is refused', async (_, location, message) => {
    answer = (_request, response) => response.writeHead(302, { location }).end();
    await expect(fetch(`${url}/a`, { redirects: 3 })).rejects.toMatchObject({
      code: 'discovery_failed',
      message: expect.stringContaining(message),
    });
  });

  it('to a very long URL is refused in a short line', async () => {
    answer = (_request, response) =>
      response.writeHead(302, { location: `http://as.example.com/${'x'.repeat(8000)}` }).end();
    const error = await fetch(`${url}/a`, { redirects: 3 }).catch((each: unknown) => each as Error);
    expect((error as Error).message.length).toBeLessThan(300);
  });

  it('from https leads to https only, not even to http on this machine', async () => {
    const secure = await startNamedServer({
      '/a': `${url}/b`,
      '/c': '/d',
      '/e': 'https://moved.example.com/',
    });
    const names = nameServer({
      'as.example.com': [['127.0.0.1']],
      'moved.example.com': [['169.254.169.254']],
    });
    const fetch = createFetch({ proxy: NO_PROXY, caFile: secure.caFile, lookup: names.lookup });
    const at = (path: string) => fetch(`https://as.example.com:${secure.port}${path}`, { redirects: 3 });
    try {
      await expect(at('/a')).rejects.toMatchObject({ message: `refused to call ${url}/b` });
      expect(seen).toEqual([]);
      expect((await at('/c')).status).toBe(200);
      await expect(at('/e')).rejects.toMatchObject({ message: expect.stringContaining('169.254.169.254') });
    } finally {
      await secure.close();
    }
  });
});

describe('redirects of what must not travel', () => {
  it.each([
    ['a POST', { method: 'POST', body: 'x' }],
    ['a HEAD', { method: 'HEAD' }],
    ['an authorization', { headers: { Authorization: 'Bearer fake' } }],
    ['a cookie', { headers: new Headers({ cookie: 'fake' }) }],
  ])('are a mistake of the programmer: %s', async (_, init) => {
    const error = await fetch(`${url}/a`, { ...init, redirects: 1 }).catch((each: unknown) => each);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(BrokerError);
    expect(seen).toEqual([]);
  });
});
