import { afterEach, beforeEach, expect, it } from 'vitest';
import { eventsOf, type Journey, startJourney } from '../support/journey.ts';
import { openPage } from '../support/sign-in.ts';

let journey: Journey;

beforeEach(async () => {
  journey = await startJourney();
});

afterEach(() => journey.close());

it('a redirect pasted from a browser on another machine ends the login', async () => {
  const { code, events, stderr } = await journey.login({ by: 'paste' });
  expect(code, stderr).toBe(0);
  expect(events.at(-1)).toMatchObject({ event: 'connected', connection: 'demo' });
  expect((await journey.run(['token', 'demo'])).stdout).toMatch(/^\S+\n$/);
});

it('people are told what to do on stderr, and stdout stays empty without --json', async () => {
  const login = journey.start(['login', journey.mcp.url, '--name', 'demo', '--no-browser']);
  const [link = ''] = await login.waitFor(/http\S+\/auth\?\S+/, 'stderr');
  await login.waitFor(/paste it here/, 'stderr');
  login.write(await journey.authorizationServer.approve(link));
  expect(await login.exited).toBe(0);
  expect(login.stdout()).toBe('');
  expect(login.stderr()).toContain('✔ demo is connected');
  expect(login.stderr()).toContain('scope          mcp:all');
  expect(login.stderr()).toContain('refresh token  received');
  const [, next = ''] = /next: broker (.+)/.exec(login.stderr()) ?? [];
  const made = await journey.run(next.replace('<name>', 'docs-bot').split(' '));
  expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^mtb_/)]);
});

it('the end of stdin does not end the wait on the listener', async () => {
  const { process, authorizationUrl } = await journey.beginLogin();
  process.closeInput();
  const redirect = await journey.authorizationServer.approve(authorizationUrl);
  expect(await openPage(redirect)).toContain('demo is connected');
  expect(await process.exited).toBe(0);
  expect(eventsOf(process.stdout()).at(-1)).toMatchObject({ event: 'connected' });
});

it('a login without a refresh token works, and says loudly what that means', async () => {
  await journey.close();
  journey = await startJourney({
    authorizationServer: { metadata: (document) => ({ ...document, scopes_supported: ['mcp:all'] }) },
  });
  const login = journey.start(['login', journey.mcp.url, '--name', 'demo', '--no-browser']);
  const [link = ''] = await login.waitFor(/http\S+\/auth\?\S+/, 'stderr');
  login.write(await journey.authorizationServer.approve(link));
  expect(await login.exited).toBe(0);
  expect(login.stderr()).toMatch(/^warning: the server gave no refresh token/m);
  const check = await journey.run(['check']);
  expect([check.code, check.stdout]).toEqual([1, expect.stringContaining('broker login demo')]);
});
