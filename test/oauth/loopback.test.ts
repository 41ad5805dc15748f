import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Arrival, type LoopbackListener, listenForCallback } from '../../src/oauth/loopback.ts';

/** A listener that hangs is what some of these tests look for: they must not take the usual 30 s to find it. */
const PROMPTLY = { timeout: 3000 };

const PAGE = { isSuccess: true, title: 'coda is connected', text: 'You may close this page.' };

let listener: LoopbackListener;
const sockets: Socket[] = [];

beforeEach(async () => {
  listener = await listenForCallback({ port: 0 });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await listener.close();
});

const get = (path: string, init?: RequestInit) => fetch(new URL(path, listener.redirectUri), init);

/** A connection like a browser opens, with nothing sent yet. */
async function openSocket(): Promise<Socket> {
  const { port, hostname } = new URL(listener.redirectUri);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Everything the listener says on a socket until it hangs up. */
async function say(text: string): Promise<string> {
  const socket = await openSocket();
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    answer += chunk;
  });
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

/** The next browser that comes to the callback. */
const arrival = () => new Promise<Arrival>((resolve) => listener.onArrival(resolve));

describe('the loopback listener (RFC 8252 §7.3)', () => {
  it('is on 127.0.0.1, at a port of its own', () => {
    expect(listener.redirectUri).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d+\/callback$/);
  });

  it('hands over the query of the redirect and shows the page it is given', async () => {
    const arriving = arrival();
    const page = get('/callback?code=fake-code&state=a%26b&iss=https%3A%2F%2Fas.example.com');
    const { parameters, answer } = await arriving;
    expect(Object.fromEntries(parameters)).toEqual({
      code: 'fake-code',
      state: 'a&b',
      iss: 'https://as.example.com',
    });
    answer(PAGE);
    const response = await page;
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.text()).toContain('coda is connected');
  });

  it('answers a failure with 400', async () => {
    const arriving = arrival();
    const page = get('/callback?error=access_denied');
    (await arriving).answer({ ...PAGE, isSuccess: false });
    expect((await page).status).toBe(400);
  });

  it('keeps a browser that came before anybody listened', async () => {
    const page = get('/callback?state=early');
    // The answer to a second request proves that the first has arrived.
    await get('/favicon.ico');
    const { parameters, answer } = await arrival();
    expect(parameters.get('state')).toBe('early');
    answer(PAGE);
    expect((await page).status).toBe(200);
  });

  it.each([
    ['GET', '/'],
    ['GET', '/favicon.ico'],
    ['GET', '/callback/'],
    ['GET', '/callback/x?code=fake-code'],
    ['POST', '/callback?code=fake-code'],
    ['HEAD', '/callback?code=fake-code'],
    ['OPTIONS', '/callback'],
  ])('knows nothing of %s %s', async (method, path) => {
    listener.onArrival(() => expect.unreachable('nobody arrived'));
    expect((await get(path, { method })).status).toBe(404);
  });

  it.each(['//', 'http://[', '*'])('survives the request target %s', PROMPTLY, async (target) => {
    await say(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
    expect((await get('/')).status).toBe(404);
  });

  it('survives what is no HTTP', async () => {
    expect(await say('\u0016\u0003\u0001 rubbish\r\n\r\n')).toMatch(/^(HTTP\/1\.1 400|$)/);
    expect((await get('/')).status).toBe(404);
  });
});

describe('a callback port', () => {
  it('that is taken is refused with what to do', async () => {
    const port = Number(new URL(listener.redirectUri).port);
    await expect(listenForCallback({ port })).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringContaining(String(port)),
      hint: expect.stringContaining('--callback-port'),
    });
  });

  it('is free again once the listener is closed', async () => {
    const { redirectUri } = listener;
    await listener.close();
    listener = await listenForCallback({ port: Number(new URL(redirectUri).port) });
    expect(listener.redirectUri).toBe(redirectUri);
  });
});

describe('closing the listener', PROMPTLY, () => {
  it('does not wait for a spare connection that never carries a request', async () => {
    const socket = await openSocket();
    const hungUp = once(socket, 'close');
    await listener.close();
    await hungUp;
    listener = await listenForCallback({ port: 0 });
  });

  it('does not wait for a browser nobody answered', async () => {
    const arriving = arrival();
    const page = get('/callback').catch(() => 'hung up');
    await arriving;
    await listener.close();
    expect(await page).toBe('hung up');
    listener = await listenForCallback({ port: 0 });
  });

  it('finishes a page that is being sent', async () => {
    const arriving = arrival();
    const page = get('/callback').then((response) => response.text());
    // More than the system takes in one go.
    (await arriving).answer({ ...PAGE, text: 'x'.repeat(8_000_000) });
    await listener.close();
    expect((await page).length).toBeGreaterThan(8_000_000);
    listener = await listenForCallback({ port: 0 });
  });

  it('does not wait for a browser that was closed before its page came', async () => {
    const arriving = arrival();
    const socket = await openSocket();
    socket.write('GET /callback HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    const { answer } = await arriving;
    socket.destroy();
    // The answer to a later request proves that the listener has seen the hang-up.
    await get('/');
    answer(PAGE);
    const closing = listener.close();
    listener = await listenForCallback({ port: 0 });
    await closing;
  });
});
