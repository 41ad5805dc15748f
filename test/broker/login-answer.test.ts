import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Broker } from '../../src/broker/index.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import { readPastedRedirect } from '../../src/broker/login-answer.ts';
import { HANGUP } from '../../src/broker/login-events.ts';
import { beginLogin, openPage, type PendingLogin, signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';
import { startWorld, type World, type WorldOptions } from '../support/world.ts';

const A_MINUTE_MS = 60_000;

let world: World;
let broker: Broker;
let login: PendingLogin;
let redirect: URL;

/** A login that waits, and the address the browser of its person is sent to. */
async function begin(options: WorldOptions = {}, request: Partial<LoginRequest> = {}): Promise<void> {
  world = await startWorld(options);
  broker = await world.openBroker();
  login = beginLogin(broker, world.mcp.url, { timeoutMs: A_MINUTE_MS, ...request });
  redirect = new URL(await world.authorizationServer.approve(await login.authorizationUrl));
}

const codes = () =>
  world.authorizationServer.requests.filter(({ grantType }) => grantType === 'authorization_code');

const changed = (change: (parameters: URLSearchParams) => void) => {
  const url = new URL(redirect);
  change(url.searchParams);
  return url.href;
};

afterEach(() => world.close());

describe('an answer that is not ours', () => {
  beforeEach(() => begin());

  it.each<[string, (parameters: URLSearchParams) => void]>([
    ['another state', (parameters) => parameters.set('state', 'of-another-login')],
    ['no state', (parameters) => parameters.delete('state')],
    ['two states', (parameters) => parameters.append('state', 'of-another-login')],
  ])('is ignored when it has %s, and the right one still counts', async (_, change) => {
    const page = await openPage(changed(change));
    expect(page).toContain('This is not the login that is waiting');
    expect(login.notices).toEqual([expect.stringContaining('still waiting')]);
    expect(codes()).toEqual([]);
    expect(await openPage(redirect.href)).toContain('demo is connected');
    await login.done;
  });

  it('does not end the login with an error that somebody else sent', async () => {
    const forged = changed((parameters) => {
      parameters.set('state', 'guessed');
      parameters.delete('code');
      parameters.set('error', 'access_denied');
    });
    await openPage(forged);
    login.paste(redirect.href);
    await login.done;
  });

  it('gets a plain 404 anywhere else on the listener', async () => {
    expect((await fetch(new URL('/favicon.ico', redirect))).status).toBe(404);
    expect((await fetch(redirect, { method: 'POST' })).status).toBe(404);
    login.paste(redirect.href);
    await login.done;
  });
});

describe('a pasted answer', () => {
  beforeEach(() => begin());

  it('may be the whole address', async () => {
    login.paste(`  ${redirect.href}  `);
    expect(await login.done).toMatchObject({ connection: 'demo' });
  });

  it('may be the query string, with or without its question mark', async () => {
    login.paste(redirect.search.slice(1));
    await login.done;
    await signIn(broker, world.authorizationServer, world.mcp.url, { by: 'paste' });
    expect(readPastedRedirect(redirect.search)?.get('state')).toBe(redirect.searchParams.get('state'));
  });

  it('may be a query string whose issuer is not encoded, as RFC 3986 allows', () => {
    const query = 'code=fake-code&state=fake-state&iss=https://as.example.com';
    expect(readPastedRedirect(query)?.get('iss')).toBe('https://as.example.com');
  });

  it.each([
    ['words', 'what am I to do here?'],
    ['the link itself', 'https://as.example.com/authorize?client_id=x&state=y'],
    ['a bare code', 'fake-code-1234'],
    ['an address without a query', 'http://127.0.0.1:1/callback'],
    ['something like a URL', 'http://'],
  ])('is explained when it is %s, and changes nothing', async (_, line) => {
    login.paste('');
    login.paste(line);
    login.paste(redirect.href);
    await login.done;
    expect(login.notices).toEqual([
      expect.stringMatching(/paste the whole line, with everything behind the question mark/),
    ]);
  });

  it('is not missed when the input ends: the listener goes on', async () => {
    login.endPaste();
    expect(await openPage(redirect.href)).toContain('demo is connected');
    await login.done;
  });
});

describe('a bare code', () => {
  const bareCode = () => redirect.searchParams.get('code') as string;

  it('is enough where nobody listens and the server does not name itself in its answers', async () => {
    await begin({ authorizationServer: { advertiseIss: false } }, { paste: true });
    await expect(fetch(redirect)).rejects.toThrow();
    login.paste(` ${bareCode()} `);
    expect(await login.done).toMatchObject({ connection: 'demo' });
    expect(login.notices).toEqual([]);
  });

  it.each<[string, WorldOptions, Partial<LoginRequest>]>([
    ['the server names itself in its answers', {}, { paste: true }],
    ['a listener waits for the whole answer', { authorizationServer: { advertiseIss: false } }, {}],
  ])('is not enough where %s', async (_, options, request) => {
    await begin(options, request);
    login.paste(bareCode());
    login.paste(redirect.href);
    await login.done;
    expect(login.notices).toEqual([expect.stringContaining('paste the whole line')]);
  });

  it('of somebody else is refused by the server', async () => {
    await begin({ authorizationServer: { advertiseIss: false } }, { paste: true });
    login.paste('code-of-somebody-else');
    await expect(login.done).rejects.toMatchObject({ code: 'login_refused' });
  });
});

describe('an answer that is ours, but bad', () => {
  const bad = async (url: string) => {
    const failed = login.done.catch((error: unknown) => error);
    const page = await openPage(url);
    expect(page).toContain('The login did not succeed');
    expect(codes()).toEqual([]);
    expect(rowsOf(world.vaultPath, 'SELECT * FROM connections')).toEqual([]);
    expect(rowsOf(world.vaultPath, 'SELECT * FROM logins')).toEqual([]);
    return failed;
  };

  it('ends the login when it names another issuer (RFC 9207)', async () => {
    await begin();
    const url = changed((parameters) => parameters.set('iss', 'https://evil.example.com'));
    expect(await bad(url)).toMatchObject({ code: 'callback_invalid', hint: expect.stringContaining('evil') });
  });

  it('ends the login when the issuer is missing although the server always names it', async () => {
    await begin();
    const url = changed((parameters) => parameters.delete('iss'));
    expect(await bad(url)).toMatchObject({ code: 'callback_invalid' });
  });

  it('may leave out the issuer where the server does not announce it', async () => {
    await begin({ authorizationServer: { advertiseIss: false } });
    expect(redirect.searchParams.has('iss')).toBe(false);
    login.paste(redirect.href);
    await login.done;
  });

  it('ends the login when it holds no code', async () => {
    await begin();
    const url = changed((parameters) => parameters.delete('code'));
    expect(await bad(url)).toMatchObject({ code: 'callback_invalid' });
  });

  it('ends the login with the words of the server, bounded and quoted', async () => {
    await begin();
    const url = changed((parameters) => {
      parameters.delete('code');
      parameters.set('error', 'invalid_scope');
      parameters.set('error_description', `\u001b[31m${'x'.repeat(500)}<script>`);
    });
    const error = (await bad(url)) as Error;
    expect(error).toMatchObject({ code: 'login_refused', hint: 'choose other scopes with --scope' });
    expect(error.message.length).toBeLessThan(400);
    expect(error.message).not.toContain('\u001b');
  });
});

describe('no answer', () => {
  beforeEach(() => begin());

  it('ends the login when the time is over', async () => {
    const failed = expect(login.done).rejects.toMatchObject({
      code: 'login_timeout',
      message: 'nobody came back within 60 s',
    });
    await world.clock.advance(A_MINUTE_MS);
    await failed;
    await expect(fetch(redirect)).rejects.toThrow();
  });

  it('ends the login when the person interrupts it', async () => {
    login.abort();
    await expect(login.done).rejects.toMatchObject({ code: 'interrupted' });
    expect(rowsOf(world.vaultPath, 'SELECT * FROM logins')).toEqual([]);
  });
});

describe('an answer to an older login of the same connection', () => {
  const waiting = () => rowsOf(world.vaultPath, 'SELECT * FROM logins');

  it('is taken by the newer one, which says so', async () => {
    await begin({}, { paste: true });
    const newer = beginLogin(broker, world.mcp.url, { paste: true });
    await newer.authorizationUrl;
    expect(newer.notices).toEqual([
      'another login of this connection is still waiting; its answer is taken here too',
    ]);
    newer.paste(redirect.href);
    expect(await newer.done).toMatchObject({ connection: 'demo' });
    login.abort();
    await expect(login.done).rejects.toMatchObject({ code: 'interrupted' });
  });

  it('still counts when the terminal of that login went away', async () => {
    await begin();
    login.abort(HANGUP);
    await expect(login.done).rejects.toMatchObject({ code: 'interrupted' });
    expect(waiting()).toHaveLength(1);
    const newer = beginLogin(broker, world.mcp.url);
    await newer.authorizationUrl;
    expect(await openPage(redirect.href)).toContain('demo is connected');
    await newer.done;
  });

  it('does not count for another connection', async () => {
    await begin({}, { paste: true });
    const other = beginLogin(broker, world.mcp.url, { paste: true, account: 'bob' });
    await other.authorizationUrl;
    expect(other.notices).toEqual([]);
    other.paste(redirect.href);
    login.paste(redirect.href);
    await login.done;
    expect(other.notices).toEqual([expect.stringContaining('belongs to another login')]);
    other.abort();
    await expect(other.done).rejects.toMatchObject({ code: 'interrupted' });
  });
});
