/** The ways of signing in that need no browser on this machine, each with the real program and real servers. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { changeAnswer } from '../support/changed-answer.ts';
import { freePort } from '../support/free-port.ts';
import { eventsOf, expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { openPage } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';
import { signIn } from '../support-tests/oauth-client.ts';

let journey: Journey;

beforeEach(async () => {
  journey = await startJourney({ authorizationServer: { device: true, alwaysIssueRefreshToken: true } });
});

afterEach(() => journey.close());

/** The login works: an agent's token comes out, and a refresh brings another one. */
async function expectWorking(): Promise<void> {
  const first = await journey.servedToken();
  expect(await journey.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
  const second = await journey.servedToken();
  expect(second).not.toBe(first);
  expect(await journey.authorizationServer.tokenIsActive(second)).toMatchObject({ active: true });
}

const login = (...args: string[]) => journey.start(['login', journey.mcp.url, '--name', 'demo', ...args]);

describe('signing in by paste', () => {
  it('listens nowhere, and takes the address the browser ended at', async () => {
    const { process, authorizationUrl } = await journey.beginLogin({ args: ['--paste'] });
    const redirect = await journey.authorizationServer.approve(authorizationUrl);
    await expect(fetch(redirect)).rejects.toThrow();
    process.write(redirect);
    expect(await process.exited, process.stderr()).toBe(0);
    await expectWorking();
  });

  it('takes a bare code where the server does not say which answers are its own', async () => {
    await journey.close();
    journey = await startJourney({
      authorizationServer: { advertiseIss: false, alwaysIssueRefreshToken: true },
    });
    const { process, authorizationUrl } = await journey.beginLogin({ args: ['--paste'] });
    const redirect = new URL(await journey.authorizationServer.approve(authorizationUrl));
    process.write(redirect.searchParams.get('code') as string);
    expect(await process.exited, process.stderr()).toBe(0);
    await expectWorking();
  });

  it('wants the whole address where the server does say', async () => {
    const { process, authorizationUrl } = await journey.beginLogin({ args: ['--paste'] });
    const redirect = await journey.authorizationServer.approve(authorizationUrl);
    process.write(new URL(redirect).searchParams.get('code') as string);
    await process.waitFor(/paste the whole line/, 'stderr');
    process.write(redirect);
    expect(await process.exited, process.stderr()).toBe(0);
  });

  it('may be done in two commands: one for the link, one for the answer', async () => {
    const ask = ['login', journey.mcp.url, '--name', 'demo', '--paste'];
    const first = await journey.run([...ask, '--json'], { input: '\n' });
    expect(first.code).toBe(75);
    const events = eventsOf(first.stdout);
    expect(events.at(-1)).toMatchObject({ event: 'error', code: 'login_timeout' });
    const { url } = events.find(({ event }) => event === 'authorization_url') as unknown as { url: string };
    const input = await journey.authorizationServer.approve(url);
    const second = await journey.run(ask, { input });
    expect(second, second.stderr).toMatchObject({ code: 0 });
    await expectWorking();
  });

  it('tells a person what to do', async () => {
    const process = login('--paste');
    const [link = ''] = await process.waitFor(/http\S+\/auth\?\S+/, 'stderr');
    await process.waitFor(/copy the whole address of that page and paste it here/, 'stderr');
    expect(process.stderr()).not.toContain('waiting at');
    process.write(await journey.authorizationServer.approve(link));
    expect(await process.exited).toBe(0);
  });
});

describe('signing in on another device', () => {
  /** The server wants to be asked every second: five are the default (RFC 8628 §3.2). */
  beforeEach(() =>
    journey.authorizationServer.fail((request) =>
      request.path === '/device/auth'
        ? changeAnswer(request, (body) => ({ ...body, interval: 1 }))
        : undefined,
    ),
  );

  it('shows a code, and is done when the person has typed it in', async () => {
    const process = login('--device', '--json');
    const [line = ''] = await process.waitFor(/^\{"event":"device_code".*$/m);
    const { user_code, verification_uri } = JSON.parse(line) as Record<string, string>;
    expect(verification_uri).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/device$/);
    await journey.authorizationServer.approveDevice(user_code as string);
    expect(await process.exited, process.stderr()).toBe(0);
    expect(eventsOf(process.stdout()).map(({ event }) => event)).toEqual([
      'discovered',
      'registered',
      'device_code',
      'connected',
    ]);
    await expectWorking();
  });

  it('says so when the person declines', async () => {
    const process = login('--device');
    const [, code = ''] = await process.waitFor(/type in the code {2}(\S+)/, 'stderr');
    await journey.authorizationServer.approveDevice(code, { deny: true });
    expect(await process.exited).toBe(2);
    expect(process.stderr()).toMatch(/^error: the login was denied at /m);
  });

  it('says what else there is where the server does not offer it', async () => {
    await journey.close();
    journey = await startJourney();
    const result = await journey.run(['login', journey.mcp.url, '--name', 'demo', '--device']);
    expectFailure(result, 2, /offers no device sign-in/);
    expect(result.stderr).toContain('--paste');
  });
});

describe('taking over a refresh token', () => {
  /** What another program has: its client, and a refresh token. */
  async function elsewhere() {
    const { client, tokens } = await signIn(journey.authorizationServer, { resource: journey.mcp.url });
    const file = join(journey.home.path, 'refresh-token.txt');
    await writeFile(file, `${tokens.refresh_token}\n`);
    return { clientId: client.client_id, refreshToken: tokens.refresh_token as string, file };
  }

  it('spends it at once for a pair of our own, and warns of the other holder', async () => {
    const { clientId, refreshToken, file } = await elsewhere();
    const args = ['login', journey.mcp.url, '--name', 'demo', '--refresh-token-file', file];
    const { code, stderr } = await journey.run([...args, '--client-id', clientId]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^warning: .*stop the program that used the refresh token before/m);
    expect(await journey.authorizationServer.refreshTokenIsActive(refreshToken)).toBe(false);
    await expectWorking();
  });

  it('takes it from stdin too', async () => {
    const { clientId, refreshToken } = await elsewhere();
    const args = ['login', journey.mcp.url, '--name', 'demo', '--refresh-token-file', '-'];
    const { code, stderr } = await journey.run([...args, '--client-id', clientId], { input: refreshToken });
    expect(code, stderr).toBe(0);
    await expectWorking();
  });

  it('leaves a login that works alone', async () => {
    expect((await journey.login()).code).toBe(0);
    const working = await journey.servedToken();
    const { clientId, file } = await elsewhere();
    const args = ['login', 'demo', '--refresh-token-file', file, '--client-id', clientId];
    expectFailure(await journey.run(args), 64, /demo has a login that works/);
    expect(await journey.servedToken()).toBe(working);
  });

  it('says that the server refused it, and how to go on', async () => {
    const { clientId, file } = await elsewhere();
    await journey.authorizationServer.revokeGrantsOf('alice');
    const args = ['login', journey.mcp.url, '--name', 'demo', '--refresh-token-file', file];
    const { code, stderr } = await journey.run([...args, '--client-id', clientId]);
    expect(code, stderr).toBe(75);
    expect(stderr).toMatch(/^error: .*refused the refresh token/m);
  });

  it('wants to know the client it was issued to', async () => {
    const { file } = await elsewhere();
    const args = ['login', journey.mcp.url, '--name', 'demo', '--refresh-token-file', file];
    expectFailure(await journey.run(args), 64, /works only for the client it was issued to/);
  });
});

describe('where the browser comes back to', () => {
  it('is the whole redirect URI that was given, kept with the registration', async () => {
    const redirectUri = `http://localhost:${await freePort()}/oauth/back`;
    const { process, authorizationUrl } = await journey.beginLogin({ args: ['--redirect-uri', redirectUri] });
    const redirect = await journey.authorizationServer.approve(authorizationUrl);
    expect(redirect.startsWith(redirectUri)).toBe(true);
    expect(await openPage(redirect)).toContain('demo is connected');
    expect(await process.exited, process.stderr()).toBe(0);
    const again = await journey.beginLogin({ target: 'demo' });
    expect(new URL(again.authorizationUrl).searchParams.get('redirect_uri')).toBe(redirectUri);
    expect(await again.process.stop('SIGINT')).toBe(130);
  });

  it('may be a page in front of us, whose callers are passed on to our port', async () => {
    const port = await freePort();
    const redirectUri = 'https://box.example.com/broker/back';
    const args = ['--redirect-uri', redirectUri, '--callback-port', String(port)];
    const { process, authorizationUrl } = await journey.beginLogin({ args });
    const redirect = new URL(await journey.authorizationServer.approve(authorizationUrl));
    expect(redirect.href.startsWith(redirectUri)).toBe(true);
    const page = await openPage(`http://127.0.0.1:${port}${redirect.pathname}${redirect.search}`);
    expect(page).toContain('demo is connected');
    expect(await process.exited, process.stderr()).toBe(0);
  });
});

describe('a login whose terminal went away', () => {
  it('is ended by the next one, which takes the answer of the first', async () => {
    const first = await journey.beginLogin();
    await first.process.stop('SIGHUP');
    expect(rowsOf(journey.vaultPath, 'SELECT id FROM logins')).toHaveLength(1);
    const redirect = await journey.authorizationServer.approve(first.authorizationUrl);
    const second = await journey.beginLogin({ args: ['--paste'] });
    second.process.write(redirect);
    expect(await second.process.exited, second.process.stderr()).toBe(0);
    await expectWorking();
  });

  it('was used once and no more', async () => {
    const first = await journey.beginLogin();
    await first.process.stop('SIGHUP');
    const redirect = await journey.authorizationServer.approve(first.authorizationUrl);
    const second = await journey.beginLogin({ args: ['--paste'] });
    second.process.write(redirect);
    expect(await second.process.exited).toBe(0);
    const third = await journey.beginLogin({ args: ['--paste'] });
    third.process.write(redirect);
    await third.process.waitFor(/belongs to another login was ignored/, 'stderr');
    expect(await third.process.stop('SIGINT')).toBe(130);
  });
});

describe('whose login it is', () => {
  it('is checked when it was said, now and at the next login', async () => {
    const openid = ['--scope', 'openid offline_access mcp:all'];
    const first = await journey.login({ args: [...openid, '--expect-account', 'alice'] });
    expect(first.code, first.stderr).toBe(0);
    const working = await journey.servedToken();
    const other = await journey.login({ target: 'demo', person: 'bob' });
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/^error: the server signed in "bob", not "alice"/m);
    expect(await journey.servedToken()).toBe(working);
  });
});

describe('whose login it is, at a server that does not tell', () => {
  it('cannot be checked, so the login is refused', async () => {
    const { code, stderr } = await journey.login({ args: ['--expect-account', 'alice'] });
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: the server does not tell whose login this is/m);
    expect(rowsOf(journey.vaultPath, 'SELECT name FROM connections')).toEqual([]);
  });
});

describe('what is shown besides', () => {
  it('is a QR code of the link, on request', async () => {
    const process = login('--paste', '--qr');
    await process.waitFor(/too narrow for a QR code|▀/, 'stderr');
    expect(await process.stop('SIGINT')).toBe(130);
  });

  it('is how to bring the browser back over SSH', async () => {
    const env = { SSH_CONNECTION: '203.0.113.9 50000 203.0.113.5 22', USER: 'alice' };
    const process = journey.start(['login', journey.mcp.url, '--name', 'demo', '--no-browser'], env);
    const [, port = ''] = await process.waitFor(/waiting at http:\/\/127\.0\.0\.1:(\d+)/, 'stderr');
    await process.waitFor(
      new RegExp(`ssh -L ${port}:127\\.0\\.0\\.1:${port} alice@203\\.0\\.113\\.5`),
      'stderr',
    );
    expect(await process.stop('SIGINT')).toBe(130);
  });
});
