import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { type DaemonOptions, startDaemon } from '../../src/daemon.ts';
import { createLog } from '../../src/log.ts';
import { DAEMON_DEFAULTS, startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import { type CallOptions, call } from '../support/http-call.ts';
import { secretsSeenBy } from '../support/secrets-seen.ts';
import { rowsOf } from '../support/vault-file.ts';
import { multiplyLogin } from '../support/web-login.ts';

let test: TestDaemon;
let admin: Record<string, string>;

async function start(...options: Parameters<typeof startTestDaemon>): Promise<void> {
  test = await startTestDaemon(...options);
  const key = await test.addAgent({ name: 'host', allow: ['*', '*@*'], admin: true });
  admin = { authorization: `Bearer ${key}` };
}

/** One daemon for the tests of a group. Each test has an account of its own. */
function shareDaemon(): void {
  beforeAll(() => start());
  afterAll(() => test.close());
}

let accounts = 0;
let account: string;

beforeEach(() => {
  accounts += 1;
  account = `carol-${accounts}`;
});

const post = (body: CallOptions['body'] = { server: 'demo', account }, headers = admin) =>
  test.call('/v1/logins', { method: 'POST', body: body as object, headers });
const get = (id: unknown, headers = admin) => test.call(`/v1/logins/${id}`, { headers });
const approve = (url: unknown, person = account) =>
  test.world.authorizationServer.approve(String(url), { account: person });
const redemptions = () =>
  test.world.authorizationServer.requests.filter(({ grantType }) => grantType === 'authorization_code')
    .length;

describe('connecting over HTTP', () => {
  shareDaemon();

  it('begins with a link, ends with a page, and tells how it went', async () => {
    const { status, headers, json } = await post({ server: 'demo', account, scope: 'openid email' });
    expect(status).toBe(201);
    expect(headers).toMatchObject({ 'cache-control': 'no-store', location: `/v1/logins/${json.id}` });
    expect(json).toEqual({
      id: expect.any(String),
      authorization_url: expect.any(String),
      expires_at: '2026-01-01T00:15:00Z',
    });
    const { id, expires_at } = json;
    const outcome = { id, connection: `demo@${account}`, expires_at };
    expect(await get(id)).toMatchObject({ status: 200, json: { ...outcome, status: 'pending' } });

    const redirect = await approve(json.authorization_url);
    expect(redirect).toMatch(new RegExp(`^${test.url}/oauth/callback\\?`));
    const page = await call(redirect);
    expect(page.status).toBe(200);
    expect(page.text).toContain(`demo@${account} is connected as ${account}@example.com`);
    expect((await get(id)).json).toEqual({
      ...outcome,
      status: 'connected',
      account: `${account}@example.com`,
    });
    expect((await test.call(`/v1/connections/demo@${account}/token`, { headers: admin })).status).toBe(200);
  });

  it('takes a URL with a name, and a preset', async () => {
    const { json } = await post({ server: test.world.mcp.url, name: 'second', account });
    expect((await get(json.id)).json).toMatchObject({ connection: `second@${account}` });
    expect((await post({ server: 'no-such-preset' })).json).toMatchObject({ status: 404, code: 'not_found' });
  });

  it('pins the account that is expected', async () => {
    const body = {
      server: 'demo',
      account,
      scope: 'openid email',
      expected_account: 'carol@example.com',
    };
    const { json } = await post(body);
    const page = await call(await approve(json.authorization_url, 'mallory'));
    expect(page.status).toBe(400);
    const { error, status } = (await get(json.id)).json;
    expect([status, error]).toEqual([
      'failed',
      { code: 'account_mismatch', message: expect.stringContaining('mallory@example.com') },
    ]);
    await expect(test.broker.show(OPERATOR, `demo@${account}`)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('shows nothing secret: not in answers, not on pages', async () => {
    const begun = await post();
    const redirect = await approve(begun.json.authorization_url);
    const answers = [begun, await get(begun.json.id), await call(redirect), await get(begun.json.id)];
    answers.push(await call(redirect));
    const deleted = await test.call(`/v1/connections/demo@${account}`, { method: 'DELETE', headers: admin });
    const secrets = [...secretsSeenBy(test.world.authorizationServer).keys()];
    expect(secrets.length).toBeGreaterThan(8);
    const text = [...answers, deleted].map(({ text, headers }) => text + JSON.stringify(headers)).join('\n');
    expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
    const state = new URL(redirect).searchParams.get('state') ?? '';
    expect(answers.slice(1).filter((answer) => answer.text.includes(state))).toEqual([]);
  });
});

describe('POST /v1/logins', () => {
  shareDaemon();

  it.each<[string, CallOptions['body'], number]>([
    ['no server', { account: 'carol' }, 400],
    ['an empty server', { server: '' }, 400],
    ['a server that is a number', { server: 1 }, 400],
    ['an unknown field', { server: 'demo', redirect_uri: 'https://evil.example.com' }, 400],
    ['a scope that is a list', { server: 'demo', scope: ['a'] }, 400],
    ['an account that is no name', { server: 'demo', account: '../x' }, 400],
    ['an account with a newline', { server: 'demo', account: 'a\r\nb' }, 400],
    ['an account with an @', { server: 'demo', account: 'a@b' }, 400],
    ['an empty account', { server: 'demo', account: '' }, 400],
    ['an account that is too long', { server: 'demo', account: 'a'.repeat(65) }, 400],
    ['a URL that is not encrypted', { server: 'http://mcp.example.com/', name: 'other' }, 400],
    ['a file', { server: 'file:///etc/passwd', name: 'other' }, 400],
    ['a name that another URL has', { server: 'https://mcp.example.com/', name: 'demo' }, 400],
    ['a body that is no JSON', '{"server":', 400],
    ['a body that is too large', { server: 'x'.repeat(20_000) }, 413],
    ['a server nobody knows', { server: 'nothing' }, 404],
  ])('refuses %s', async (_, body, status) => {
    const before = test.world.authorizationServer.requests.length;
    const headers = { ...admin, 'content-type': 'application/json' };
    const answer = await test.call('/v1/logins', { method: 'POST', headers, ...(body && { body }) });
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.json).toMatchObject({ detail: expect.any(String), next_step: expect.any(String) });
    expect(test.world.authorizationServer.requests).toHaveLength(before);
  });

  it('refuses a body that is not declared as JSON', async () => {
    const headers = { ...admin, 'content-type': 'text/plain' };
    expect((await post('{"server":"demo"}', headers)).status).toBe(400);
  });

  it('refuses agents without the admin right, and whoever has no key', async () => {
    const key = await test.addAgent({ name: 'plain', allow: ['*', '*@*'] });
    const plain = { authorization: `Bearer ${key}` };
    expect(await post(undefined, plain)).toMatchObject({ status: 403, json: { code: 'forbidden' } });
    expect(await get('any', plain)).toMatchObject({ status: 403, json: { code: 'forbidden' } });
    const unknown = { authorization: 'Bearer mtb_nothing' };
    expect((await post(undefined, unknown)).status).toBe(401);
    expect((await get('any', unknown)).status).toBe(401);
    expect((await test.call('/v1/logins', { headers: admin })).json).toEqual({ logins: [] });
  });

  it('refuses what an admin agent may not use, there or not', async () => {
    const key = await test.addAgent({ name: 'narrow', allow: [`demo@${account}`], admin: true });
    const narrow = { authorization: `Bearer ${key}` };
    expect((await post(undefined, narrow)).status).toBe(201);
    for (const server of ['demo', 'demo@alice', 'nothing']) {
      const answer = await post({ server }, narrow);
      expect(answer).toMatchObject({ status: 403, json: { code: 'forbidden' } });
    }
  });

  it('says so, with what to ask for, when a server registers nobody', async () => {
    test.world.authorizationServer.fail(({ path }) =>
      path === '/reg' ? { status: 403, body: { error: 'access_denied' } } : undefined,
    );
    const { status, json } = await post({ server: 'demo', account, reregister: true });
    test.world.authorizationServer.fail(undefined);
    expect(status).toBe(409);
    expect(json).toMatchObject({
      code: 'registration_refused',
      next_step: expect.stringContaining('client'),
    });
  });

  it('answers 503 while the provider cannot be reached', async () => {
    await test.world.authorizationServer.setListening(false);
    const { status, json } = await post({ server: 'demo', account, reregister: true });
    await test.world.authorizationServer.setListening(true);
    expect([status, json.code]).toEqual([503, 'upstream_unavailable']);
  });
});

describe('too many who wait', () => {
  shareDaemon();

  it('get 429, with the time when the first ends', async () => {
    await post();
    multiplyLogin(test.world.vaultPath, 100);
    const answer = await post({ server: 'demo', account: 'dave' });
    expect(answer).toMatchObject({ status: 429, json: { code: 'rate_limited', retry_after: 900 } });
    expect(answer.headers['retry-after']).toBe('900');
  });
});

describe('GET /v1/logins and DELETE /v1/logins/{id}', () => {
  shareDaemon();

  const remove = (id: unknown, headers = admin) =>
    test.call(`/v1/logins/${id}`, { method: 'DELETE', headers });
  const list = async () => (await test.call('/v1/logins', { headers: admin })).json;

  it('tell of those begun, and take one back, also twice', async () => {
    expect(await list()).toEqual({ logins: [] });
    const { id, authorization_url, expires_at } = (await post()).json;
    const view = { id, connection: `demo@${account}`, expires_at };
    expect(await list()).toEqual({ logins: [{ ...view, status: 'pending' }] });
    for (let time = 0; time < 2; time += 1) {
      const { status, text, headers } = await remove(id);
      expect([status, text, headers['cache-control']]).toEqual([204, '', 'no-store']);
    }
    expect(await list()).toEqual({ logins: [{ ...view, status: 'cancelled' }] });
    expect((await get(id)).json).toEqual({ ...view, status: 'cancelled' });
    const page = await call(await approve(authorization_url));
    expect([page.status, redemptions()]).toEqual([400, 2]);
    expect(page.text).toContain('This login was cancelled');
  });

  it('answer 404 for what is not there, and are not for agents without the admin right', async () => {
    expect(await remove('nothing')).toMatchObject({ status: 404, json: { code: 'not_found' } });
    const { id } = (await post()).json;
    const headers = {
      authorization: `Bearer ${await test.addAgent({ name: 'plain', allow: ['*', '*@*'] })}`,
    };
    const answers = [await remove(id, headers), await test.call('/v1/logins', { headers })];
    expect(answers.map(({ status }) => status)).toEqual([403, 403]);
    expect((await get(id)).json.status).toBe('pending');
  });
});

describe('the daemon’s address', () => {
  afterEach(() => test.close());

  const redirectUri = (url: unknown) => new URL(String(url)).searchParams.get('redirect_uri');

  it('is that of its public URL', async () => {
    await start({ publicUrl: 'https://broker.example.com/base/' });
    const { json } = await post();
    expect(redirectUri(json.authorization_url)).toBe('https://broker.example.com/base/oauth/callback');
    const { search } = new URL(await approve(json.authorization_url));
    // The proxy in front may name either host.
    const answer = await call(`${test.url}/oauth/callback${search}`, {
      headers: { host: 'broker.example.com' },
    });
    expect(answer.status).toBe(200);
  });

  it('is no other daemon’s: an answer for one is not taken by another', async () => {
    await start({ publicUrl: 'https://broker.example.com' });
    const { json } = await post();
    const { searchParams } = new URL(await approve(json.authorization_url));
    const answer = await test.broker.webLogins.finish(
      'https://other.example.com/oauth/callback',
      searchParams,
    );
    expect(answer.status).toBe(400);
    expect((await get(json.id)).json).toMatchObject({ status: 'pending' });
  });

  it.each<[string, (path: string) => Partial<DaemonOptions>]>([
    ['a public URL in plain http', () => ({ publicUrl: 'http://broker.example.com' })],
    ['only a socket', (path) => ({ addresses: [{ kind: 'unix', path }] })],
  ])('is none with %s', async (_, options) => {
    await start();
    const { world } = test;
    const daemon = await startDaemon(
      await world.openBroker(),
      { ...DAEMON_DEFAULTS, ...options(join(world.home.path, 'broker.sock')) },
      { clock: world.clock, log: createLog('silent') },
    );
    const [url = ''] = daemon.urls;
    const route = `${url}${url.startsWith('unix:') ? ' ' : ''}/v1/logins`;
    const answer = await call(route, { method: 'POST', headers: admin, body: { server: 'demo' } });
    expect(answer.status).toBe(409);
    expect(answer.json).toMatchObject({
      code: 'config_error',
      next_step: expect.stringContaining('--public-url https://'),
    });
    await daemon.close();
  });
});

describe('GET /oauth/callback', () => {
  shareDaemon();

  let redirect: string;
  let id: unknown;
  let redeemed: number;

  beforeEach(async () => {
    const { json } = await post();
    id = json.id;
    redirect = await approve(json.authorization_url);
    redeemed = redemptions();
  });

  const expectPending = async () => {
    expect((await get(id)).json).toMatchObject({ status: 'pending' });
    expect(redemptions()).toBe(redeemed);
  };

  it('wants no key, and answers with a page that loads, runs and tells nothing', async () => {
    const { status, headers, text } = await call(redirect);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    expect(headers).not.toHaveProperty('set-cookie');
    expect(text).not.toMatch(/<(script|img|link|iframe|form|a)\b/);
  });

  it('is not spent by a look ahead, and no other method is there', async () => {
    for (const method of ['HEAD', 'POST', 'PUT', 'OPTIONS'])
      expect([method, (await call(redirect, { method })).status]).not.toEqual([method, 200]);
    await expectPending();
    expect((await call(redirect)).status).toBe(200);
  });

  it.each([
    ['from a script', { origin: 'https://evil.example.com' }],
    ['from a script of nowhere', { origin: 'null' }],
    ['as an image', { 'sec-fetch-dest': 'image' }],
    ['as a frame', { 'sec-fetch-dest': 'iframe' }],
    ['under another host', { host: 'evil.example.com' }],
  ])('is refused %s', async (_, headers) => {
    expect(await call(redirect, { headers })).toMatchObject({ status: 403, json: { code: 'forbidden' } });
    await expectPending();
  });

  it('is taken as the page a browser was sent to', async () => {
    const headers = {
      'sec-fetch-dest': 'document',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-site': 'cross-site',
    };
    expect((await call(redirect, { headers })).status).toBe(200);
  });

  it.each([
    '',
    '?',
    '?state=',
    '?state=x&code=y',
    '?code=y',
    '?error=access_denied',
    '?state=x&state=y',
    '?%',
  ])('with %j is a page that tells nothing, and writes nothing', async (query) => {
    const rows = () => rowsOf(test.world.vaultPath, 'SELECT COUNT(*) AS audit FROM audit');
    const before = rows();
    const answer = await call(`${test.url}/oauth/callback${query}`);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('There is no login that waits for this');
    expect(answer.text).not.toContain('demo');
    expect(rows()).toEqual(before);
    await expectPending();
  });

  it('tells whoever comes again that the answer was used', async () => {
    await call(redirect);
    const again = await call(redirect);
    expect([again.status, redemptions()]).toEqual([400, redeemed + 1]);
    expect(again.text).toContain('This answer was used already');
  });
});

describe('DELETE /v1/connections/{name}', () => {
  shareDaemon();

  it('revokes upstream, erases, and tells what was done', async () => {
    const token = (await test.call('/v1/connections/demo@alice/token', { headers: admin })).json;
    const { status, json } = await test.call('/v1/connections/demo%40alice', {
      method: 'DELETE',
      headers: admin,
    });
    expect(status).toBe(200);
    expect(json).toEqual({ connection: 'demo@alice', revocation: 'revoked' });
    expect(await test.world.authorizationServer.tokenIsActive(String(token.access_token))).toMatchObject({
      active: false,
    });
    expect((await test.call('/v1/connections/demo@alice', { headers: admin })).status).toBe(404);
    expect((await test.call('/v1/connections/demo')).status).toBe(200);
    const [last] = rowsOf(
      test.world.vaultPath,
      "SELECT actor, connection FROM audit WHERE action = 'logout'",
    );
    expect(last).toEqual({ actor: 'agent:host', connection: 'demo@alice' });
  });

  it('is refused to agents without the admin right', async () => {
    const answer = await test.call('/v1/connections/demo', { method: 'DELETE' });
    expect(answer).toMatchObject({ status: 403, json: { code: 'forbidden' } });
    expect((await test.call('/v1/connections/demo')).status).toBe(200);
  });

  it('answers 404 for what is not there, and for what the agent may not use', async () => {
    const key = await test.addAgent({ name: 'narrow', allow: ['demo@carol'], admin: true });
    const headers = { authorization: `Bearer ${key}` };
    for (const name of ['demo@carol', 'demo'])
      expect((await test.call(`/v1/connections/${name}`, { method: 'DELETE', headers })).status).toBe(404);
    expect((await test.call('/v1/connections/demo')).status).toBe(200);
  });
});
