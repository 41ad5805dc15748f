/** The way back from the browser, where servers and networks are particular about it. */
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { beginLogin } from '../support/sign-in.ts';
import type { Oddities } from './odd-server.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: OddWorld;

async function start(oddities?: Oddities): Promise<void> {
  world = await startOddWorld(oddities);
}

afterEach(() => world.close());

describe('a pasted redirect', () => {
  it('keeps its whole query, the issuer included', async () => {
    await start();
    const { connected } = await world.signIn({ paste: true }, { by: 'paste' });
    expect(connected.connection).toBe('demo');
  });

  it('that lost its issuer on the way is refused, with the advice to paste it whole', async () => {
    await start();
    const login = beginLogin(world.broker, world.server.mcp, { paste: true });
    const redirect = new URL(await world.server.approve(await login.authorizationUrl));
    redirect.searchParams.delete('iss');
    login.paste(redirect.href);
    await expect(login.done).rejects.toMatchObject({
      code: 'callback_invalid',
      hint: expect.stringContaining('paste it whole'),
    });
    expect(world.server.tokenRequests()).toEqual([]);
  });

  it('may be the code alone, but not where the server says whose an answer is', async () => {
    await start();
    const strict = beginLogin(world.broker, world.server.mcp, { paste: true });
    const redirect = new URL(await world.server.approve(await strict.authorizationUrl));
    strict.paste(redirect.searchParams.get('code') as string);
    await expect.poll(() => strict.notices).toHaveLength(1);
    strict.abort();
    await expect(strict.done).rejects.toMatchObject({ code: 'interrupted' });
    expect(world.server.tokenRequests()).toEqual([]);

    world.server.change({
      metadata: ({ authorization_response_iss_parameter_supported: _, ...rest }) => rest,
    });
    const login = beginLogin(world.broker, world.server.mcp, { paste: true });
    const again = new URL(await world.server.approve(await login.authorizationUrl));
    login.paste(again.searchParams.get('code') as string);
    expect((await login.done).connection).toBe('demo');
  });
});

describe('the address the browser comes back to', () => {
  it('may be localhost by name from the start, and is heard at it', async () => {
    await start();
    const redirectUri = `http://localhost:${await freePort()}/oauth/back`;
    const { asked } = await world.signIn({ redirectUri });
    expect(asked.get('redirect_uri')).toBe(redirectUri);
    expect(world.server.registrations()).toMatchObject([{ redirect_uris: [redirectUri] }]);
  });

  it('has the one port that was registered, at every login', async () => {
    await start();
    const callbackPort = await freePort();
    const first = await world.signIn({ callbackPort });
    expect(first.asked.get('redirect_uri')).toBe(`http://127.0.0.1:${callbackPort}/callback`);
    expect((await world.signIn()).asked.get('redirect_uri')).toBe(first.asked.get('redirect_uri'));
  });

  it('is not given up for another port when somebody has taken it', async () => {
    await start();
    const { asked } = await world.signIn();
    const port = Number(new URL(asked.get('redirect_uri') as string).port);
    const thief = createServer();
    await new Promise<void>((resolve) => thief.listen(port, '127.0.0.1', resolve));
    try {
      expect(await world.refused()).toMatchObject({ code: 'port_in_use' });
    } finally {
      await new Promise((resolve) => thief.close(resolve));
    }
    expect(world.server.registrations()).toHaveLength(1);
  });
});

describe('an answer', () => {
  it('is judged by the server its own login was sent to, while another waits at another server', async () => {
    await start();
    const { server, broker } = world;
    const other = await world.add();
    const first = beginLogin(broker, server.mcp);
    const mixed = new URL(await server.approve(await first.authorizationUrl));
    server.change({ resource: (document) => ({ ...document, authorization_servers: [other.url] }) });
    const second = beginLogin(broker, server.mcp);
    await second.authorizationUrl;
    mixed.searchParams.set('iss', other.url);
    second.paste(mixed.href);
    await expect(second.done).rejects.toMatchObject({ code: 'callback_invalid' });
    expect([...server.tokenRequests(), ...other.tokenRequests()]).toEqual([]);
    mixed.searchParams.set('iss', server.url);
    first.paste(mixed.href);
    expect((await first.done).issuer).toBe(server.url);
    expect(other.tokenRequests()).toEqual([]);
  });
});

describe('the page a person is sent to', () => {
  it.each([
    'javascript:alert(1)',
    'data:text/html,x',
    'file:///etc/passwd',
    'http://as.example.com/authorize',
  ])('is never %s', async (page) => {
    await start({ metadata: (document) => ({ ...document, authorization_endpoint: page }) });
    const login = beginLogin(world.broker, world.server.mcp);
    await expect(login.done).rejects.toMatchObject({ code: 'discovery_failed' });
    expect(login.events).toEqual([]);
  });
});
