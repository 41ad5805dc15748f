/**
 * A host with many users: an agent of it connects and disconnects them through the daemon, each in a browser of their
 * own. The real program, the real pages.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newAgent } from '../support/agents.ts';
import { chromiumPath, openChromium } from '../support/chromium.ts';
import { freePort } from '../support/free-port.ts';
import { type CallAnswer, call } from '../support/http-call.ts';
import { eventsOf, expectFailure } from '../support/journey.ts';
import { withBroker } from '../support/prepare.ts';
import { type ProcessWorld, startProcessWorld } from '../support/process-world.ts';
import { secretsSeenBy } from '../support/secrets-seen.ts';
import { openPage } from '../support/sign-in.ts';

const hasChromium = chromiumPath() !== undefined;
if (!hasChromium) process.stderr.write('no Chromium on this machine: its tests are skipped\n');

let journey: ProcessWorld;
let key: string;

/** Makes the agent of the host. */
beforeAll(async () => {
  journey = await startProcessWorld({ isSignedIn: false });
  const host = newAgent({ name: 'host', allow: ['demo', 'demo@*'], admin: true });
  const added = await withBroker(journey, (broker) => broker.agents.add(host));
  key = added.key.reveal();
});

afterAll(() => journey.close());

/** A daemon on a port that stays the same when it starts again. */
async function serveAt(port: number, args: string[] = []) {
  const process = journey.start(['serve', '--listen', `127.0.0.1:${port}`, '--log-level', 'debug', ...args]);
  const [, url = ''] = await process.waitFor(/listening on (http:\S+)/, 'stderr');
  const ask = (path: string, method = 'GET', body?: object): Promise<CallAnswer> =>
    call(`${url}${path}`, { method, headers: { authorization: `Bearer ${key}` }, ...(body && { body }) });
  const connect = async (account: string) =>
    (
      await ask('/v1/logins', 'POST', {
        server: journey.mcp.url,
        name: 'demo',
        account,
        scope: 'openid email',
      })
    ).json as Record<'id' | 'authorization_url', string>;
  return { process, ask, connect };
}

describe.skipIf(!hasChromium)('two users of a host, each in a browser of their own', () => {
  let browser: Browser;
  let daemon: Awaited<ReturnType<typeof serveAt>>;

  beforeAll(async () => {
    [browser, daemon] = await Promise.all([openChromium(), freePort().then((port) => serveAt(port))]);
  });

  afterAll(async () => {
    await browser.close();
    expect(await daemon.process.stop()).toBe(0);
  });

  /** Opens the link in a fresh profile, signs in as `account`, and waits for the page of the daemon. */
  async function signIn(authorizationUrl: string, account: string, button = 'approve'): Promise<Page> {
    const page = await (await browser.newContext()).newPage();
    await page.goto(authorizationUrl);
    await page.fill('#account', account);
    await page.click(`#${button}`);
    await page.waitForURL(/\/oauth\/callback\?/);
    return page;
  }

  it('connect, are kept apart, and disconnect', async () => {
    const users = await Promise.all(
      ['alice', 'bob'].map(async (account) => ({ account, login: await daemon.connect(account) })),
    );
    const pages = await Promise.all(
      users.map(({ account, login }) => signIn(login.authorization_url, account)),
    );
    const tokens = new Map<string, string>();
    for (const [index, { account, login }] of users.entries()) {
      const page = pages[index] as Page;
      expect(await page.innerText('h1')).toBe(`demo@${account} is connected as ${account}@example.com`);
      expect(await page.locator('script, iframe, img, link, form, a').count()).toBe(0);
      expect((await daemon.ask(`/v1/logins/${login.id}`)).json).toMatchObject({
        status: 'connected',
        connection: `demo@${account}`,
        account: `${account}@example.com`,
      });
      const { access_token } = (await daemon.ask(`/v1/connections/demo@${account}/token`)).json;
      expect(await journey.authorizationServer.tokenIsActive(String(access_token))).toMatchObject({
        active: true,
        sub: account,
      });
      tokens.set(account, String(access_token));
    }

    // Reload and back button: nothing more happens.
    const [page] = pages as [Page];
    await page.reload();
    expect(await page.innerText('body')).toContain('This answer was used already');
    await page.goBack();
    await page.goForward();
    expect((await daemon.ask('/v1/connections/demo@alice')).json).toMatchObject({
      generation: 1,
      state: 'ok',
    });

    expect((await daemon.ask('/v1/connections/demo@alice', 'DELETE')).json).toMatchObject({
      revocation: 'revoked',
    });
    const isActive = async (account: string) =>
      (await journey.authorizationServer.tokenIsActive(tokens.get(account) ?? '')).active;
    expect([await isActive('alice'), await isActive('bob')]).toEqual([false, true]);
    expect((await daemon.ask('/v1/connections/demo@alice/token')).status).toBe(404);
    expect((await daemon.ask('/v1/connections/demo@bob/token')).status).toBe(200);
    expect((await daemon.ask('/v1/connections/demo@bob', 'DELETE')).json).toMatchObject({
      revocation: 'revoked',
      registration_deleted: true,
    });
    expect((await daemon.ask('/v1/connections')).json).toEqual({ connections: [] });
    for (const each of pages) await each.context().close();
  });

  it('may say no, and the agent learns it', async () => {
    const login = await daemon.connect('carol');
    const page = await signIn(login.authorization_url, 'carol', 'deny');
    expect(await page.innerText('body')).toMatch(/did not succeed.*denied.*start again there/s);
    expect((await daemon.ask(`/v1/logins/${login.id}`)).json).toMatchObject({
      status: 'failed',
      error: { code: 'login_denied', message: expect.stringContaining('denied') },
    });
    await page.context().close();
  });

  it.each([
    [
      'a frame',
      (url: string) =>
        `document.body.append(Object.assign(document.createElement('iframe'), { src: '${url}' }))`,
    ],
    ['a call without waiting', (url: string) => `fetch('${url}', { mode: 'no-cors' })`],
  ])('are not signed in by %s on a page that has an answer', async (_, code) => {
    const login = await daemon.connect('dave');
    const redirect = await journey.authorizationServer.approve(login.authorization_url, {
      account: 'mallory',
    });
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${journey.authorizationServer.issuer}/.well-known/openid-configuration`);
    const answered = page.waitForResponse((response) => response.url().includes('/oauth/callback'));
    // Playwright would try to read what an expression gives back.
    await page.evaluate(`void (${code(redirect)})`);
    expect((await answered).status()).toBe(403);
    expect((await daemon.ask(`/v1/logins/${login.id}`)).json).toMatchObject({ status: 'pending' });
    await page.context().close();
  });
});

describe('a link', () => {
  it('outlives the daemon that made it', async () => {
    const port = await freePort();
    const before = await serveAt(port);
    const login = await before.connect('erin');
    const redirect = await journey.authorizationServer.approve(login.authorization_url, { account: 'erin' });
    await before.process.stop('SIGKILL');
    const after = await serveAt(port);
    expect(await openPage(redirect)).toContain('demo@erin is connected as erin@example.com');
    expect((await after.ask(`/v1/logins/${login.id}`)).json).toMatchObject({ status: 'connected' });
    await after.process.stop();
  });

  it('whose daemon is killed once it was saved has its outcome with it', async () => {
    const port = await freePort();
    const doomed = journey.trace(['serve', '--listen', `127.0.0.1:${port}`], { step: 'login.saved' });
    await doomed.process.waitFor(/listening on/, 'stderr');
    const headers = { authorization: `Bearer ${key}` };
    const body = { server: journey.mcp.url, name: 'demo', account: 'gina' };
    const { json } = await call(`http://127.0.0.1:${port}/v1/logins`, { method: 'POST', headers, body });
    const link = String(json.authorization_url);
    const redirect = await journey.authorizationServer.approve(link, { account: 'gina' });
    await expect(openPage(redirect)).rejects.toThrow();
    await doomed.process.exited;
    const after = await serveAt(port);
    expect((await after.ask(`/v1/logins/${json.id}`)).json).toMatchObject({ status: 'connected' });
    expect(await openPage(redirect)).toContain('It connected demo@gina');
    await after.process.stop();
  });

  it('is printed by the command line, which returns at once; the daemon takes the answer', async () => {
    const port = await freePort();
    const daemon = await serveAt(port);
    const publicUrl = `http://127.0.0.1:${port}`;
    const words = ['login', journey.mcp.url, '--name', 'demo', '--account', 'frank', '--link'];
    const [printed, again] = await Promise.all([
      journey.run([...words, '--public-url', publicUrl]),
      journey.run([...words, '--json'], { env: { BROKER_PUBLIC_URL: publicUrl } }),
    ]);
    expect(printed, printed.stderr).toMatchObject({ code: 0 });
    expect(printed.stdout).toMatch(/^http:\S+\n$/);
    expect(printed.stderr).toContain('broker show demo@frank');

    const events = eventsOf(again.stdout);
    expect(events.map(({ event }) => event)).toEqual(['discovered', 'registered', 'authorization_url']);
    expect(events.at(-1)).toEqual({
      event: 'authorization_url',
      id: expect.any(String),
      url: expect.stringContaining('state='),
      redirect_uri: `${publicUrl}/oauth/callback`,
      expires_at: expect.stringMatching(/Z$/),
    });

    const redirect = await journey.authorizationServer.approve(printed.stdout.trim(), { account: 'frank' });
    expect(await openPage(redirect)).toContain('demo@frank is connected');
    expect((await journey.run(['show', 'demo@frank'])).stdout).toContain('ok');
    expect((await daemon.ask(`/v1/logins/${events.at(-1)?.id}`)).json).toMatchObject({ status: 'pending' });
    await daemon.process.stop();
  });

  it('leads to where the daemon listens when nobody says otherwise', async () => {
    const { code, stdout } = await journey.run(['login', journey.mcp.url, '--name', 'demo', '--link']);
    expect(code).toBe(0);
    const redirectUri = new URL(stdout.trim()).searchParams.get('redirect_uri');
    expect(redirectUri).toBe('http://127.0.0.1:8787/oauth/callback');
  });

  it.concurrent.each([
    [['--public-url', 'http://broker.example.com'], /no browser can safely come back/],
    [['--paste'], /--paste and --link are two ways/],
    [['--device'], /--device and --link are two ways/],
    [['--redirect-uri', 'https://broker.example.com/back'], /--link and --redirect-uri are two ways/],
    [['--callback-port', '9000'], /--link and --callback-port are two ways/],
  ])('is refused with %j', async (args, what) => {
    const words = ['login', journey.mcp.url, '--name', 'demo', '--link'];
    expectFailure(await journey.run([...words, ...args]), 64, what);
  });
});

it('nothing secret is in any output or log of all this', () => {
  const secrets = [...secretsSeenBy(journey.authorizationServer).keys(), key];
  expect(secrets.length).toBeGreaterThan(10);
  for (const { process } of journey.processes) {
    const text = process.stdout() + process.stderr();
    expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
  }
});
