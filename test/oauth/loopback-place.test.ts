import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LoopbackRedirect, readRedirectUri } from '../../src/core/redirect.ts';
import { type CallbackPlace, type LoopbackListener, listenForCallback } from '../../src/oauth/loopback.ts';
import { hasIpv6 } from '../support/ipv6.ts';

const PAGE = { isSuccess: true, title: 'coda is connected', text: 'You may close this page.' };

let listener: LoopbackListener;

beforeEach(async () => {
  listener = await listenForCallback({ port: 0 });
});

afterEach(() => listener.close());

describe('a callback place', () => {
  /** The status at an address of this machine; undefined where nobody listens. */
  const statusAt = (host: string, path: string) =>
    fetch(`http://${host}:${new URL(listener.redirectUri).port}${path}`).then(
      ({ status }) => status,
      () => undefined,
    );

  /** Which addresses lead to the listener: it answers 404 to other paths. */
  const reachable = async () =>
    Object.fromEntries(
      await Promise.all(['127.0.0.1', '[::1]'].map(async (host) => [host, await statusAt(host, '/x')])),
    );

  const reopen = async (place: CallbackPlace) => {
    await listener.close();
    listener = await listenForCallback(place);
  };

  it('is on 127.0.0.1 alone, unless told otherwise', async () => {
    expect(await reachable()).toEqual({ '127.0.0.1': 404 });
  });

  it.runIf(hasIpv6)('may be on ::1 alone', async () => {
    await reopen({ host: '[::1]', port: 0 });
    expect(listener.redirectUri).toMatch(/^http:\/\/\[::1\]:[1-9]\d+\/callback$/);
    expect(await reachable()).toEqual({ '[::1]': 404 });
  });

  it.runIf(hasIpv6)('is on both for localhost, because browsers choose either', async () => {
    await reopen({ host: 'localhost', port: 0 });
    expect(listener.redirectUri).toMatch(/^http:\/\/localhost:[1-9]\d+\/callback$/);
    expect(await reachable()).toEqual({ '127.0.0.1': 404, '[::1]': 404 });
    const { port } = new URL(listener.redirectUri);
    const states: (string | null)[] = [];
    listener.onArrival(({ parameters, answer }) => {
      states.push(parameters.get('state'));
      answer(PAGE);
    });
    for (const host of ['127.0.0.1', '[::1]'])
      expect((await fetch(`http://${host}:${port}/callback?state=${host}`)).status).toBe(200);
    expect(states).toEqual(['127.0.0.1', '[::1]']);
  });

  it('for localhost is closed on both', async () => {
    await reopen({ host: 'localhost', port: 0 });
    const { port } = new URL(listener.redirectUri);
    await reopen({ host: 'localhost', port: Number(port) });
    expect(new URL(listener.redirectUri).port).toBe(port);
  });

  it.runIf(hasIpv6).each(['127.0.0.1', '::1'])(
    'for localhost is not shared with somebody on %s',
    async (taken) => {
      const stranger = createServer();
      stranger.listen({ host: taken, port: 0 });
      await once(stranger, 'listening');
      const { port } = stranger.address() as AddressInfo;
      await expect(listenForCallback({ host: 'localhost', port })).rejects.toMatchObject({
        code: 'port_in_use',
        message: expect.stringContaining('EADDRINUSE'),
      });
      // Nothing of ours is left on the other address.
      const other = taken === '::1' ? '127.0.0.1' : '::1';
      const free = createServer().listen({ host: other, port });
      await once(free, 'listening');
      await Promise.all([stranger, free].map((each) => once(each.close(), 'close')));
    },
  );

  it('has the path of the redirect URI, and no other', async () => {
    await reopen({ port: 0, path: '/oauth/done' });
    expect(listener.redirectUri).toMatch(/:\d+\/oauth\/done$/);
    listener.onArrival(({ answer }) => answer(PAGE));
    expect(await statusAt('127.0.0.1', '/oauth/done?state=x')).toBe(200);
    expect(await statusAt('127.0.0.1', '/callback?state=x')).toBe(404);
  });

  it('is where a redirect URI says', async () => {
    const { port } = new URL(listener.redirectUri);
    const uri = `http://localhost:${port}/`;
    const redirect = readRedirectUri(uri) as LoopbackRedirect;
    await reopen(redirect);
    expect(listener.redirectUri).toBe(uri);
  });
});
