import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Caller, OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { LEASE_MS } from '../../src/broker/lease.ts';
import type { BegunLoginView } from '../../src/broker/web-login.ts';
import { createGate } from '../support/gate.ts';
import { changeVault, takeLeasesAway } from '../support/leases.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { beginLogin, signIn } from '../support/sign-in.ts';
import { auditTrail, connectionRow, rowsOf } from '../support/vault-file.ts';
import { adminAgent, beginWebLogin, CALLBACK, comeBack, multiplyLogin } from '../support/web-login.ts';
import { startWorld, type World } from '../support/world.ts';

const A_MINUTE_MS = 60_000;

let world: World;
let broker: Broker;

const isRedemption = ({ grantType }: RecordedRequest) => grantType === 'authorization_code';
const redemptions = () => world.authorizationServer.requests.filter(isRedemption).length;
const begin = (request: Parameters<typeof beginWebLogin>[2] = {}, caller?: Caller) =>
  beginWebLogin(broker, world.mcp.url, request, caller);
const show = (id: string) => broker.webLogins.show(OPERATOR, id);
/** A person opens the link, signs in as themselves, and is sent back; where to. */
const approve = async ({ authorization_url }: BegunLoginView, account = 'alice', deny = false) =>
  new URL(await world.authorizationServer.approve(authorization_url, { account, deny }));

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
});

afterEach(() => world.close());

describe('a login begun for somebody else', () => {
  it('is a link to the authorization server that leads back to the daemon', async () => {
    const begun = await begin({ account: 'alice' });
    expect(begun).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      authorization_url: expect.any(String),
      expires_at: '2026-01-01T00:15:00Z',
    });
    const { searchParams } = new URL(begun.authorization_url);
    expect(Object.fromEntries(searchParams)).toMatchObject({
      redirect_uri: CALLBACK,
      code_challenge_method: 'S256',
      resource: world.mcp.url,
    });
    expect(await show(begun.id)).toEqual({
      id: begun.id,
      status: 'pending',
      connection: 'demo@alice',
      expires_at: begun.expires_at,
    });
  });

  it('ends with a connection, an outcome, and a page that says whose it is', async () => {
    const caller = await adminAgent(broker);
    const begun = await begin({ account: 'alice', scopes: ['openid', 'email'] }, caller);
    const answer = await comeBack(broker, await approve(begun));
    expect(answer.status).toBe(200);
    expect(answer.html).toContain('demo@alice is connected as alice@example.com');
    expect(await show(begun.id)).toEqual({
      id: begun.id,
      status: 'connected',
      connection: 'demo@alice',
      account: 'alice@example.com',
      expires_at: begun.expires_at,
    });
    const { accessToken } = await broker.token(OPERATOR, 'demo@alice');
    expect(await world.authorizationServer.tokenIsActive(accessToken.reveal())).toMatchObject({
      active: true,
    });
    const actor = `agent:${caller.kind === 'agent' && caller.agent.name}`;
    expect(auditTrail(world.vaultPath)).toEqual(
      expect.arrayContaining([
        { actor, action: 'login.begin', outcome: 'ok' },
        { actor, action: 'login', outcome: 'ok' },
      ]),
    );
  });

  it('leaves no secret behind, and nothing that keeps its client', async () => {
    await comeBack(broker, await approve(await begin()));
    expect(rowsOf(world.vaultPath, 'SELECT secrets, client_row_id FROM logins')).toEqual([
      { secrets: null, client_row_id: null },
    ]);
    await broker.logout(OPERATOR, 'demo');
    expect(rowsOf(world.vaultPath, 'SELECT id FROM clients')).toEqual([]);
  });

  it('shares one registration with all others of the same redirect URI, also at the same moment', async () => {
    const registrations = () =>
      world.authorizationServer.requests.filter(({ path, method }) => path === '/reg' && method === 'POST');
    await Promise.all(['alice', 'bob', 'carol'].map((account) => begin({ account })));
    expect(registrations()).toHaveLength(1);
    expect(registrations()[0]?.json).toMatchObject({ redirect_uris: [CALLBACK], application_type: 'web' });
    await begin({ redirectUri: 'https://other.example.com/oauth/callback' });
    expect(registrations()).toHaveLength(2);
  });

  it('neither uses the client of a terminal nor gives it its own', async () => {
    await signIn(broker, world.authorizationServer, world.mcp.url);
    await comeBack(broker, await approve(await begin()));
    const { authorizationUrl } = await signIn(broker, world.authorizationServer, 'demo', { name: undefined });
    expect(authorizationUrl.searchParams.get('redirect_uri')).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+\/callback$/,
    );
    expect(rowsOf(world.vaultPath, 'SELECT is_web FROM clients ORDER BY is_web')).toEqual([
      { is_web: 0 },
      { is_web: 1 },
    ]);
  });

  it('asks an agent’s scope once, and keeps what an operator chooses', async () => {
    await comeBack(broker, await approve(await begin({ scopes: ['openid'] }, await adminAgent(broker))));
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ scope: expect.stringContaining('openid') });
    expect(await broker.show(OPERATOR, 'demo')).not.toHaveProperty('requested_scope');
    await comeBack(broker, await approve(await begin({ scopes: ['openid'] })));
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ requested_scope: 'openid' });
  });

  it('is finished by a process that did not begin it', async () => {
    const begun = await begin({ account: 'alice' });
    const redirect = await approve(begun);
    await broker.close();
    broker = await world.openBroker();
    expect((await comeBack(broker, redirect)).status).toBe(200);
    expect(await show(begun.id)).toMatchObject({ status: 'connected' });
  });

  it('is brought to its end before the broker closes', async () => {
    const begun = await begin();
    const redirect = await approve(begun);
    const gate = createGate(isRedemption);
    world.authorizationServer.fail(gate.rule);
    const answered = comeBack(broker, redirect);
    await gate.arrived;
    const closed = broker.close();
    gate.open();
    expect((await answered).status).toBe(200);
    await closed;
    broker = await world.openBroker();
    expect(await show(begun.id)).toMatchObject({ status: 'connected' });
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ state: 'ok' });
  });
});

describe('two people who sign in at the same time', () => {
  it('end on the connections their links were made for', async () => {
    const [alice, bob] = await Promise.all([begin({ account: 'alice' }), begin({ account: 'bob' })]);
    const scopes = { scopes: ['openid', 'email'] };
    const again = await begin({ account: 'bob', ...scopes });
    const backs = [await approve(again, 'bob'), await approve(alice, 'alice')];
    await Promise.all(backs.map((redirect) => comeBack(broker, redirect)));
    expect(await show(again.id)).toMatchObject({ status: 'connected', connection: 'demo@bob' });
    expect(await show(alice.id)).toMatchObject({ status: 'connected', connection: 'demo@alice' });
    expect(await show(bob.id)).toMatchObject({ status: 'pending' });
    for (const account of ['alice', 'bob']) {
      const { accessToken } = await broker.token(OPERATOR, `demo@${account}`);
      const status = await world.authorizationServer.tokenIsActive(accessToken.reveal());
      expect(status).toMatchObject({ active: true, sub: account });
    }
  });
});

describe('an answer that is not the one', () => {
  /** Nothing is connected, no code was spent, and the login still waits. */
  async function expectUntouched({ id }: BegunLoginView): Promise<void> {
    expect(await show(id)).toMatchObject({ status: 'pending' });
    expect(redemptions()).toBe(0);
    expect(await broker.list(OPERATOR)).toEqual([]);
  }

  it.each<[string, (url: string) => string]>([
    ['an unknown state', (url) => url.replace(/state=[^&]+/, 'state=of-nobody')],
    ['an empty state', (url) => url.replace(/state=[^&]+/, 'state=')],
    ['no state', (url) => url.replace(/state=[^&]+/, '')],
    ['its state twice', (url) => `${url}&${/state=[^&]+/.exec(url)}`],
    ['another redirect URI', (url) => url.replace('//broker.', '//other.')],
    ['another path of it', (url) => url.replace('/oauth/callback', '/callback')],
  ])('with %s gets the page that tells nothing', async (_, change) => {
    const begun = await begin({ account: 'alice' });
    const redirect = change((await approve(begun)).href);
    const answer = await comeBack(broker, redirect);
    expect(answer.status).toBe(400);
    expect(answer.html).toContain('There is no login that waits for this');
    expect(answer.html).not.toMatch(/demo|alice|127\.0\.0\.1/);
    await expectUntouched(begun);
  });

  it('nor where the daemon has no redirect URI', async () => {
    const redirect = await approve(await begin());
    expect(await broker.webLogins.finish(undefined, redirect.searchParams)).toMatchObject({ status: 400 });
  });

  it('cannot finish a login that waits in a terminal, not even at its redirect URI', async () => {
    const terminal = beginLogin(broker, world.mcp.url, { redirectUri: CALLBACK });
    const redirect = await world.authorizationServer.approve(await terminal.authorizationUrl);
    expect((await comeBack(broker, redirect)).status).toBe(400);
    expect(redemptions()).toBe(0);
    terminal.paste(redirect);
    expect(await terminal.done).toMatchObject({ connection: 'demo' });
  });

  it('cannot be pasted in a terminal', async () => {
    const begun = await begin();
    const terminal = beginLogin(broker, world.mcp.url, { paste: true });
    await terminal.authorizationUrl;
    terminal.paste((await approve(begun)).href);
    terminal.endPaste();
    await expect(terminal.done).rejects.toMatchObject({ code: 'login_timeout' });
    expect(terminal.notices).toEqual([expect.stringContaining('belongs to another login')]);
    await expectUntouched(begun);
  });

  it('of another issuer ends the login before its code is used (RFC 9207 §2.4)', async () => {
    const begun = await begin();
    const redirect = await approve(begun);
    redirect.searchParams.set('iss', 'https://evil.example.com');
    const answer = await comeBack(broker, redirect);
    expect(answer.status).toBe(400);
    expect(answer.html).toContain('another authorization server');
    expect(await show(begun.id)).toMatchObject({ status: 'failed', error: { code: 'callback_invalid' } });
    expect(redemptions()).toBe(0);
    redirect.searchParams.set('iss', world.authorizationServer.issuer);
    expect((await comeBack(broker, redirect)).html).toContain('used already');
    expect(redemptions()).toBe(0);
  });

  it('with the code of somebody else connects nobody: the code is bound to the other link (RFC 7636)', async () => {
    const [victim, attacker] = [await begin({ account: 'victim' }), await begin({ account: 'attacker' })];
    const redirect = await approve(attacker, 'mallory');
    const state = new URL(victim.authorization_url).searchParams.get('state') ?? '';
    redirect.searchParams.set('state', state);
    expect((await comeBack(broker, redirect)).status).toBe(400);
    expect(await show(victim.id)).toMatchObject({ status: 'failed', error: { code: 'login_refused' } });
    expect(await show(attacker.id)).toMatchObject({ status: 'pending' });
    expect(await broker.list(OPERATOR)).toEqual([]);
  });

  it('cannot name a connection, an account or a redirect of its own', async () => {
    const begun = await begin({ account: 'alice' });
    const redirect = await approve(begun);
    for (const [name, value] of [
      ['connection', 'demo@mallory'],
      ['account', 'mallory'],
      ['redirect_uri', 'https://evil.example.com/'],
      ['resource', 'https://evil.example.com/'],
    ] as const)
      redirect.searchParams.set(name, value);
    expect((await comeBack(broker, redirect)).status).toBe(200);
    expect((await broker.list(OPERATOR)).map(({ name }) => name)).toEqual(['demo@alice']);
  });
});

describe('an answer that comes again', () => {
  it('is told to be used, connects nothing again, and says what it did', async () => {
    const begun = await begin({ account: 'alice' });
    const redirect = await approve(begun);
    await comeBack(broker, redirect);
    const again = await comeBack(broker, redirect);
    expect(again.status).toBe(400);
    expect(again.html).toContain('This answer was used already');
    expect(again.html).toContain('It connected demo@alice');
    expect(redemptions()).toBe(1);
    expect(connectionRow(world.vaultPath, 'demo@alice').generation).toBe(1);
    expect(await show(begun.id)).toMatchObject({ status: 'connected' });
  });

  it('at the same moment, at two brokers, is used once', async () => {
    const other = await world.openBroker();
    const begun = await begin();
    const redirect = await approve(begun);
    const both = Promise.all([comeBack(broker, redirect), comeBack(other, redirect)]);
    let isOver = false;
    void both.finally(() => {
      isOver = true;
    });
    while (!isOver) await world.clock.advance(50);
    const answers = await both;
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 400]);
    expect(answers.map(({ html }) => html).join()).toContain('used already');
    expect(redemptions()).toBe(1);
  });

  it('while the first is at work changes nothing', async () => {
    const begun = await begin();
    const redirect = await approve(begun);
    const gate = createGate(isRedemption);
    world.authorizationServer.fail(gate.rule);
    const first = comeBack(broker, redirect);
    await gate.arrived;
    const denied = new URL(redirect);
    denied.searchParams.delete('code');
    denied.searchParams.set('error', 'access_denied');
    expect((await comeBack(broker, denied)).html).toContain('not finished yet');
    expect(await show(begun.id)).toMatchObject({ status: 'pending' });
    gate.open();
    expect((await first).status).toBe(200);
    expect(await show(begun.id)).toMatchObject({ status: 'connected' });
  });

  it('after a failure says why it failed', async () => {
    const begun = await begin();
    const redirect = await approve(begun, 'alice', true);
    await comeBack(broker, redirect);
    expect((await comeBack(broker, redirect)).html).toMatch(/used already.*The login was denied/s);
  });
});

describe('a login that does not work', () => {
  it.each<[string, string, RegExp, () => void | Promise<void>, boolean]>([
    ['denied by the person', 'login_denied', /The login was denied/, () => {}, true],
    [
      'refused at the token endpoint',
      'login_refused',
      /did not issue a token/,
      () =>
        world.authorizationServer.fail((request) =>
          isRedemption(request) ? { status: 400, body: { error: 'invalid_grant' } } : undefined,
        ),
      false,
    ],
    [
      'left without an answer',
      'upstream_unavailable',
      /did not answer/,
      () =>
        world.authorizationServer.fail((request) =>
          isRedemption(request) ? { destroyAfter: true } : undefined,
        ),
      false,
    ],
  ])('because it was %s tells agent and person why (%s)', async (_, code, words, prepare, deny) => {
    const caller = await adminAgent(broker);
    const begun = await begin({ account: 'alice' }, caller);
    const redirect = await approve(begun, 'alice', deny);
    await prepare();
    const answer = await comeBack(broker, redirect);
    expect(answer.status).toBe(400);
    expect(answer.html).toMatch(words);
    expect(answer.html).toContain('start again there');
    expect(answer.html).not.toContain('terminal');
    const message = expect.stringMatching(new RegExp(words.source, 'i'));
    expect(await show(begun.id)).toEqual({
      id: begun.id,
      status: 'failed',
      connection: 'demo@alice',
      error: { code, message },
      expires_at: begun.expires_at,
    });
    expect(await broker.list(OPERATOR)).toEqual([]);
    const actor = `agent:${caller.kind === 'agent' && caller.agent.name}`;
    expect(auditTrail(world.vaultPath)).toContainEqual({ actor, action: 'login', outcome: code });
    expect(rowsOf(world.vaultPath, 'SELECT secrets FROM logins')).toEqual([{ secrets: null }]);
  });

  it('because somebody else signed in leaves the connection as it was', async () => {
    const scopes = ['openid', 'email'];
    const expectedAccount = 'alice@example.com';
    await comeBack(broker, await approve(await begin({ account: 'alice', scopes, expectedAccount })));
    const begun = await begin({ account: 'alice', scopes });
    const answer = await comeBack(broker, await approve(begun, 'mallory'));
    expect(answer.html).toContain('Sign out at the server first');
    expect(await show(begun.id)).toMatchObject({ status: 'failed', error: { code: 'account_mismatch' } });
    expect(connectionRow(world.vaultPath, 'demo@alice')).toMatchObject({ generation: 1, state: 'ok' });
  });

  it('shows markup of the server as text', async () => {
    const begun = await begin();
    const redirect = await approve(begun, 'alice', true);
    redirect.searchParams.set('error_description', '<script>alert(1)</script>');
    const { html } = await comeBack(broker, redirect);
    expect(html).toContain('&lt;script&gt;');
    expect(html).not.toContain('<script');
  });

  it('while another process works on the connection is not used, and works when the page is loaded again', async () => {
    await comeBack(broker, await approve(await begin()));
    const begun = await begin();
    const redirect = await approve(begun);
    changeVault(world.vaultPath, "UPDATE leases SET expires_at = 1 WHERE name = 'connection:demo'");
    const hold = () => takeLeasesAway(world.vaultPath, world.clock.now() + LEASE_MS);
    hold();
    const answered = comeBack(broker, redirect);
    let isOver = false;
    void answered.finally(() => {
      isOver = true;
    });
    while (!isOver) {
      await world.clock.advance(1_000);
      hold();
    }
    expect(await answered).toMatchObject({
      status: 503,
      html: expect.stringContaining('Load this page again'),
    });
    expect(redemptions()).toBe(1);
    expect(await show(begun.id)).toMatchObject({ status: 'pending' });
    changeVault(world.vaultPath, "UPDATE leases SET expires_at = 0 WHERE name = 'connection:demo'");
    expect(await comeBack(broker, redirect)).toMatchObject({ status: 200 });
  });
});

describe('the time of a link', () => {
  it('ends: its answer is not used, and what became of it is told for an hour', async () => {
    const begun = await begin();
    const redirect = await approve(begun);
    world.clock.jump(15 * A_MINUTE_MS);
    expect(await show(begun.id)).toMatchObject({ status: 'expired' });
    const answer = await comeBack(broker, redirect);
    expect(answer).toMatchObject({ status: 400, html: expect.stringContaining('This link has ended') });
    expect(redemptions()).toBe(0);
    await begin({ account: 'bob' });
    expect(rowsOf(world.vaultPath, 'SELECT secrets FROM logins WHERE id = ?', begun.id)).toEqual([
      { secrets: null },
    ]);
    expect((await comeBack(broker, redirect)).html).toContain('This link has ended');
    world.clock.jump(60 * A_MINUTE_MS);
    await expect(show(begun.id)).rejects.toMatchObject({ code: 'not_found' });
    expect((await comeBack(broker, redirect)).html).toContain('There is no login');
  });

  it('does not matter once it was used: its outcome is told for an hour from then', async () => {
    const begun = await begin();
    world.clock.jump(14 * A_MINUTE_MS);
    await comeBack(broker, await approve(begun));
    world.clock.jump(59 * A_MINUTE_MS);
    await begin({ account: 'bob' });
    expect(await show(begun.id)).toMatchObject({ status: 'connected' });
    world.clock.jump(A_MINUTE_MS);
    await expect(show(begun.id)).rejects.toMatchObject({ code: 'not_found' });
    await begin({ account: 'carol' });
    expect(rowsOf(world.vaultPath, 'SELECT id FROM logins WHERE id = ?', begun.id)).toEqual([]);
  });

  it('is over for a login whose process was killed while it finished it', async () => {
    const begun = await begin();
    changeVault(world.vaultPath, 'UPDATE logins SET used_at = ?', world.clock.now());
    expect(await show(begun.id)).toMatchObject({ status: 'pending' });
    world.clock.jump(10 * A_MINUTE_MS);
    expect(await show(begun.id)).toMatchObject({ status: 'failed', error: { code: 'interrupted' } });
  });
});

describe('at most 100 logins', () => {
  it('wait at a time', async () => {
    await begin();
    multiplyLogin(world.vaultPath, 100);
    await expect(begin()).rejects.toMatchObject({ code: 'rate_limited', retryAfterSeconds: 900 });
    world.clock.jump(15 * A_MINUTE_MS);
    await begin();
  });
});

describe('who may', () => {
  it.each<[string, (caller: Caller) => Promise<unknown>]>([
    ['begin a login', (caller) => begin({}, caller)],
    ['see one', (caller) => broker.webLogins.show(caller, 'any')],
    ['disconnect', (caller) => broker.logout(caller, 'demo')],
  ])('%s: no agent without the admin right', async (_, act) => {
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const caller = await adminAgent(broker, ['demo'], false);
    await expect(act(caller)).rejects.toMatchObject({ code: 'forbidden' });
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ actor: 'agent:host-0', outcome: 'forbidden' });
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ state: 'ok' });
  });

  it.each<[string, Parameters<typeof begin>[0]]>([
    ['by name', { account: 'bob' }],
    ['by the URL alone', { name: 'other' }],
    ['by a server that is not there', { target: 'other', name: undefined }],
  ])('begin one for what the agent may not use: nobody (%s)', async (_, request) => {
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const caller = await adminAgent(broker, ['demo@alice']);
    await expect(begin(request, caller)).rejects.toMatchObject({ code: 'forbidden' });
    expect(auditTrail(world.vaultPath).at(-1)).toEqual({
      actor: 'agent:host-0',
      action: 'login.begin',
      outcome: 'forbidden',
    });
    await begin({ target: 'demo', name: undefined, account: 'alice' }, caller);
  });

  it('see the login of a connection that the agent may not use: nobody', async () => {
    const { id } = await begin({ account: 'bob' });
    const caller = await adminAgent(broker, ['demo@alice']);
    await expect(broker.webLogins.show(caller, id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(broker.webLogins.show(caller, 'nothing')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('learn of a login in a terminal: nobody', async () => {
    const terminal = beginLogin(broker, world.mcp.url);
    await terminal.authorizationUrl;
    const [row] = rowsOf<{ id: string }>(world.vaultPath, 'SELECT id FROM logins');
    await expect(show(row?.id ?? '')).rejects.toMatchObject({ code: 'not_found' });
    terminal.abort();
    await expect(terminal.done).rejects.toMatchObject({ code: 'interrupted' });
  });
});

describe('what cannot begin', () => {
  it.each([
    ['an account that is no name', { account: 'a/b' }, 'usage'],
    ['an account with a newline', { account: 'a\nb' }, 'usage'],
    ['an account with an @', { account: 'a@b' }, 'usage'],
    ['an empty account', { account: '' }, 'usage'],
    ['a server nobody knows', { target: 'nothing', name: undefined }, 'not_found'],
    ['a daemon without address', { redirectUri: undefined }, 'config_error'],
  ])('%s is refused at entry', async (_, request, code) => {
    await expect(begin(request)).rejects.toMatchObject({ code, hint: expect.any(String) });
    expect(rowsOf(world.vaultPath, 'SELECT * FROM logins')).toEqual([]);
    expect(world.authorizationServer.requests).toEqual([]);
  });
});
