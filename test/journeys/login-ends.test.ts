import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createGate } from '../support/gate.ts';
import { eventsOf, type Journey, startJourney } from '../support/journey.ts';
import { openPage } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';

let journey: Journey;
let working: string;

beforeAll(async () => {
  journey = await startJourney();
  const { code, stderr } = await journey.login();
  expect(code, stderr).toBe(0);
  working = await journey.servedToken();
});

afterAll(() => journey.close());

/** Whatever happened: the first login works on, and nothing of the other one is left. */
afterEach(async () => {
  journey.authorizationServer.fail(undefined);
  expect(await journey.servedToken()).toBe(working);
  expect(connectionRow(journey.vaultPath)).toMatchObject({ state: 'ok', generation: 1 });
  expect(rowsOf(journey.vaultPath, 'SELECT * FROM logins')).toEqual([]);
});

describe('a login that does not succeed', () => {
  it('exits 2 with an error event when the person says no', async () => {
    const { code, events, stderr, page } = await journey.login({ deny: true });
    expect(code).toBe(2);
    expect(events.at(-1)).toEqual({
      event: 'error',
      code: 'login_denied',
      message: expect.stringContaining('the account holder said no'),
      hint: expect.stringContaining('run the login again'),
    });
    expect(stderr).toMatch(/^error: the login was denied at .*\n {2}→ .+/m);
    expect(page).toContain('The login did not succeed');
  });

  it('exits 75 when nobody comes back in time', async () => {
    const { process } = await journey.beginLogin({ args: ['--timeout', '1s'] });
    expect(await process.exited).toBe(75);
    expect(eventsOf(process.stdout()).at(-1)).toMatchObject({ event: 'error', code: 'login_timeout' });
    expect(process.stderr()).toMatch(/^error: nobody came back within 1 s\n {2}→ .*--timeout/m);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('exits 130 on %s while it waits', async (signal) => {
    const { process } = await journey.beginLogin();
    expect(await process.stop(signal)).toBe(130);
    expect(eventsOf(process.stdout()).at(-1)).toMatchObject({ event: 'error', code: 'interrupted' });
    expect(process.stderr()).toMatch(/^error: the login was interrupted\n {2}→ nothing was changed/m);
  });

  it('exits 130 on Ctrl-C while a server does not answer', async () => {
    const gate = createGate(({ path }) => path.startsWith('/.well-known'));
    journey.authorizationServer.fail(gate.rule);
    const login = journey.start(['login', 'demo', '--no-browser', '--json']);
    await gate.arrived;
    expect(await login.stop('SIGINT')).toBe(130);
    gate.open();
  });

  it('exits 3 while its callback port is taken, and says so', async () => {
    const first = await journey.beginLogin();
    const port = new URL(new URL(first.authorizationUrl).searchParams.get('redirect_uri') ?? '').port;
    const second = await journey.run(['login', 'demo', '--no-browser']);
    expect(second.code, second.stderr).toBe(3);
    expect(second.stderr).toMatch(new RegExp(`^error: the callback port ${port} cannot be used`, 'm'));
    expect(second.stderr).toContain('--callback-port');
    await first.process.stop('SIGINT');
  });
});

describe('an answer that is not the right one', () => {
  /** The redirect of an approved login, changed; the login waits on. */
  async function begin(change: (parameters: URLSearchParams) => void) {
    const { process, authorizationUrl } = await journey.beginLogin();
    const redirect = new URL(await journey.authorizationServer.approve(authorizationUrl));
    change(redirect.searchParams);
    return { process, redirect: redirect.href };
  }

  it('is ignored with a warning when its state is wrong, and the login waits on', async () => {
    const { process, redirect } = await begin((parameters) => parameters.set('state', 'of-another-login'));
    expect(await openPage(redirect)).toContain('This is not the login that is waiting');
    await process.waitFor(/^warning: .*state is not ours.*still waiting/m, 'stderr');
    process.write(redirect);
    await process.waitFor(/(warning: .*still waiting[\s\S]*){2}/, 'stderr');
    expect(await process.stop('SIGINT')).toBe(130);
  });

  it('is explained when garbage was pasted, and the login waits on', async () => {
    const { process } = await journey.beginLogin();
    process.write('what now?');
    await process.waitFor(/^warning: that is not the address .*paste the whole line/m, 'stderr');
    expect(await process.stop('SIGINT')).toBe(130);
  });

  it.each<[string, (parameters: URLSearchParams) => void, RegExp]>([
    [
      'wrong',
      (parameters) => parameters.set('iss', 'https://evil.example.com'),
      /another authorization server/,
    ],
    ['missing', (parameters) => parameters.delete('iss'), /iss is missing/],
  ])('exits 2 when its issuer is %s', async (_, change, words) => {
    const { process, redirect } = await begin(change);
    process.write(redirect);
    expect(await process.exited).toBe(2);
    expect(process.stderr()).toMatch(words);
    expect(process.stderr()).toMatch(/^ {2}→ the code was not used; start the login again$/m);
    expect(eventsOf(process.stdout()).at(-1)).toMatchObject({ event: 'error', code: 'callback_invalid' });
  });
});
