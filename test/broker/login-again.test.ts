import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { Fault } from '../support/fault.ts';
import { freePort } from '../support/free-port.ts';
import { beginLogin, signIn } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;
let first: Awaited<ReturnType<typeof signIn>>;
let firstToken: string;

const login = (options: Parameters<typeof signIn>[3] = {}) =>
  signIn(broker, world.authorizationServer, world.mcp.url, options);

const registrations = () =>
  world.authorizationServer.requests.filter(({ path, method }) => path === '/reg' && method === 'POST');

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  first = await login();
  firstToken = (await broker.token(OPERATOR, 'demo')).accessToken.reveal();
});

afterEach(() => world.close());

describe('signing in again', () => {
  it('keeps name and id, raises the generation and puts the new token in place', async () => {
    const { id, generation } = connectionRow(world.vaultPath);
    await login();
    expect(connectionRow(world.vaultPath)).toMatchObject({ id, name: 'demo', generation: generation + 1 });
    const token = await broker.token(OPERATOR, 'demo');
    expect(token.accessToken.reveal()).not.toBe(firstToken);
    expect(token.generation).toBe(generation + 1);
  });

  it('uses the registration and the port of the first time', async () => {
    const { authorizationUrl } = await login();
    for (const name of ['client_id', 'redirect_uri']) {
      expect(authorizationUrl.searchParams.get(name)).toBe(first.authorizationUrl.searchParams.get(name));
    }
    expect(registrations()).toHaveLength(1);
    expect(rowsOf(world.vaultPath, 'SELECT id FROM clients')).toHaveLength(1);
  });

  it('works by the name alone, in a process that starts afresh', async () => {
    await broker.close();
    broker = await world.openBroker();
    const { connected } = await signIn(broker, world.authorizationServer, 'demo', { name: undefined });
    expect(connected.connection).toBe('demo');
    expect(connectionRow(world.vaultPath).generation).toBe(2);
    expect(registrations()).toHaveLength(1);
  });

  it('registers anew for another port, and keeps the old client while it may be needed', async () => {
    const callbackPort = await freePort();
    const { authorizationUrl } = await login({ callbackPort });
    const redirectUri = `http://127.0.0.1:${callbackPort}/callback`;
    expect(authorizationUrl.searchParams.get('redirect_uri')).toBe(redirectUri);
    expect(registrations()).toHaveLength(2);
  });

  it('does not revoke the old grant: some servers would end the new one with it', async () => {
    await login();
    expect(world.authorizationServer.requests.filter(({ path }) => path.includes('revocation'))).toEqual([]);
  });

  it('mends a connection whose login had ended', async () => {
    await world.authorizationServer.revokeGrantsOf('alice');
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'upstream_unavailable' });
    world.clock.jump(61_000);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
    await login();
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 2 });
    await broker.refresh(OPERATOR, 'demo');
  });
});

describe('signing in again without success leaves the working login as it was', () => {
  async function expectUntouched(): Promise<void> {
    world.authorizationServer.fail(undefined);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 1 });
    expect((await broker.token(OPERATOR, 'demo')).accessToken.reveal()).toBe(firstToken);
    expect(rowsOf(world.vaultPath, 'SELECT * FROM logins')).toEqual([]);
    await broker.refresh(OPERATOR, 'demo');
    expect(world.authorizationServer.refreshes()).toBe(1);
  }

  it('when the person says no', async () => {
    await expect(login({ deny: true })).rejects.toMatchObject({ code: 'login_denied' });
    await expectUntouched();
  });

  it.each<[string, string, Fault]>([
    ['refuses the code', 'login_refused', { status: 400, body: { error: 'invalid_grant' } }],
    ['answers a page', 'login_refused', { status: 403, body: '<h1>no</h1>' }],
    ['is out of order', 'upstream_unavailable', { status: 502, body: '<h1>Bad Gateway</h1>' }],
    ['does not answer', 'upstream_unavailable', { destroyAfter: true }],
    ['answers without a token', 'login_refused', { status: 200, body: {} }],
    [
      'answers a bound token',
      'config_error',
      { status: 200, body: { access_token: 'bound-token', token_type: 'DPoP' } },
    ],
  ])('when the token endpoint %s (%s)', async (_, code, fault) => {
    world.authorizationServer.fail((request) =>
      request.grantType === 'authorization_code' ? fault : undefined,
    );
    await expect(login()).rejects.toMatchObject({ code, hint: expect.any(String) });
    await expectUntouched();
  });

  it('when the authorization server cannot be found', async () => {
    world.authorizationServer.fail(({ path }) =>
      path.startsWith('/.well-known') ? { status: 503 } : undefined,
    );
    await expect(login()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    await expectUntouched();
  });

  it('when the code is used a second time', async () => {
    const pending = beginLogin(broker, world.mcp.url);
    const redirect = await world.authorizationServer.approve(await pending.authorizationUrl);
    pending.paste(redirect);
    pending.paste(redirect);
    await pending.done;
    expect(connectionRow(world.vaultPath).generation).toBe(2);
    const codes = world.authorizationServer.requests.filter(
      (each) => each.grantType === 'authorization_code',
    );
    expect(codes).toHaveLength(2);
  });

  it('when nobody comes back in time', async () => {
    const pending = beginLogin(broker, world.mcp.url, { timeoutMs: 60_000 });
    await pending.authorizationUrl;
    await world.clock.untilWaiting();
    const failed = expect(pending.done).rejects.toMatchObject({ code: 'login_timeout' });
    await world.clock.advance(60_000);
    await failed;
    await expectUntouched();
  });
});
