/** Whom a login belongs to, where only the userinfo endpoint tells a name: as OpenID Connect Core §5.4 has it. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import type { AuthorizationServerOptions } from '../support/authorization-server.ts';
import type { Fault } from '../support/fault.ts';
import { beginLogin, type SignInOptions, signIn } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const ALICE = 'alice@example.com';

let world: World;
let broker: Broker;

afterEach(() => world.close());

async function start(options: AuthorizationServerOptions = {}): Promise<void> {
  world = await startWorld({
    authorizationServer: { namesAtUserinfo: true, alwaysIssueRefreshToken: true, ...options },
  });
  broker = await world.openBroker();
}

/** Signs in at the provider itself: an identity, for no resource in particular. */
const login = (options: SignInOptions = {}) =>
  signIn(broker, world.authorizationServer, world.authorizationServer.issuer, { name: 'corp', ...options });

const asked = () => world.authorizationServer.requests.filter(({ path }) => path === '/me').length;
const failing = (fault: Fault) =>
  world.authorizationServer.fail(({ path }) => (path === '/me' ? fault : undefined));
const row = () => connectionRow(world.vaultPath, 'corp');
const connections = () => rowsOf(world.vaultPath, 'SELECT name FROM connections');

describe('an account that the ID token does not name', () => {
  it('is asked for, told at the login, and shown and listed', async () => {
    await start();
    const { connected } = await login();
    expect(connected).toMatchObject({ account: ALICE });
    expect(connected).not.toHaveProperty('notes');
    expect(asked()).toBe(1);
    expect(await broker.show(OPERATOR, 'corp')).toMatchObject({ account: ALICE });
    expect(await broker.list(OPERATOR)).toMatchObject([{ name: 'corp', account: ALICE }]);
    expect(await broker.token(OPERATOR, 'corp')).toMatchObject({ account: ALICE });
  });

  it('keeps its name at a refresh, for which nobody is asked again', async () => {
    await start();
    await login({ expectedAccount: ALICE });
    expect(await broker.refresh(OPERATOR, 'corp')).toMatchObject({ account: ALICE, state: 'ok' });
    expect(asked()).toBe(1);
  });

  it('is asked for at a sign-in with a device code too', async () => {
    await start({ device: true });
    const { authorizationServer } = world;
    const device = beginLogin(broker, authorizationServer.issuer, { name: 'corp', device: true });
    const code = await vi.waitFor(() => {
      const event = device.events.find((each) => each.event === 'device_code');
      expect(event).toBeDefined();
      return (event as { user_code: string }).user_code;
    });
    await authorizationServer.approveDevice(code);
    await world.clock.untilWaiting();
    await world.clock.advance(5_000);
    expect(await device.done).toMatchObject({ account: ALICE });
  });

  it('is its sub where it cannot be asked for, and the login stands, with a note', async () => {
    await start();
    failing({ status: 503 });
    const { connected } = await login();
    expect(connected).toMatchObject({
      account: 'alice',
      notes: [expect.stringMatching(/did not tell a name for the account: it answered 503$/)],
    });
    expect(await broker.show(OPERATOR, 'corp')).toMatchObject({ account: 'alice', state: 'ok' });
  });

  it('is its sub where the answer is about somebody else', async () => {
    await start();
    failing({ status: 200, body: { sub: 'mallory', email: 'mallory@example.com' } });
    expect((await login()).connected).toMatchObject({
      account: 'alice',
      notes: [expect.stringMatching(/it answered for somebody else \("mallory", not "alice"\)$/)],
    });
  });

  it('is not asked for without openid, nor where the ID token names it', async () => {
    await start();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    expect(asked()).toBe(0);
    await world.close();
    await start({ namesAtUserinfo: false });
    expect((await login()).connected).toMatchObject({ account: ALICE });
    expect(asked()).toBe(0);
  });
});

describe('an account that is demanded', () => {
  it('may be the one that is asked for', async () => {
    await start();
    expect((await login({ expectedAccount: ALICE })).connected).toMatchObject({ account: ALICE });
    expect(await broker.show(OPERATOR, 'corp')).toMatchObject({ expected_account: ALICE });
  });

  it('may be given by its sub', async () => {
    await start();
    expect((await login({ expectedAccount: 'alice' })).connected).toMatchObject({ account: ALICE });
  });

  it('and is another one is refused before anything is saved', async () => {
    await start();
    await expect(login({ expectedAccount: ALICE, person: 'mallory' })).rejects.toMatchObject({
      code: 'account_mismatch',
      message: `the server signed in "mallory@example.com", not "${ALICE}"`,
    });
    expect(connections()).toEqual([]);
    await login({ expectedAccount: ALICE });
    const before = row();
    await expect(login({ person: 'mallory' })).rejects.toMatchObject({ code: 'account_mismatch' });
    expect(row()).toEqual(before);
  });

  it('is refused where it cannot be asked for, with the reason', async () => {
    await start();
    failing({ status: 503 });
    await expect(login({ expectedAccount: ALICE })).rejects.toMatchObject({
      code: 'account_mismatch',
      message: `the server signed in "alice", not "${ALICE}"`,
      hint: expect.stringMatching(/did not tell a name for the account: it answered 503$/),
    });
    expect(connections()).toEqual([]);
  });
});

describe('a refresh token that is taken over', () => {
  /** One of alice's, for a client of another program. */
  async function foreign(): Promise<{ clientId: string; refreshToken: Secret }> {
    await login();
    const { client_id: clientId = '' } = await broker.show(OPERATOR, 'corp');
    const given = world.authorizationServer.requests.find((each) => each.grantType === 'authorization_code');
    const { refresh_token = '' } = (given?.answer ?? {}) as { refresh_token?: string };
    await world.authorizationServer.setListening(false);
    await broker.logout(OPERATOR, 'corp');
    await world.authorizationServer.setListening(true);
    return { clientId, refreshToken: new Secret(refresh_token) };
  }
  const takeOver = (request: object) =>
    beginLogin(broker, world.authorizationServer.issuer, { name: 'corp', scopes: ['openid'], ...request })
      .done;

  it('tells whose it is', async () => {
    await start();
    const given = await foreign();
    expect(await takeOver(given)).toMatchObject({ account: ALICE });
    expect(await broker.show(OPERATOR, 'corp')).toMatchObject({ account: ALICE, state: 'ok' });
  });

  it('is proven to be whose it should be, and then handed out', async () => {
    await start();
    const given = await foreign();
    expect(await takeOver({ ...given, expectedAccount: ALICE })).toMatchObject({ account: ALICE });
    expect(await broker.token(OPERATOR, 'corp')).toMatchObject({ account: ALICE });
  });

  it('of somebody else is handed to nobody', async () => {
    await start();
    const given = await foreign();
    const demanded = { ...given, expectedAccount: 'bob@example.com' };
    await expect(takeOver(demanded)).rejects.toMatchObject({
      message: `the server signed in "${ALICE}", not "bob@example.com"`,
    });
    expect(await broker.show(OPERATOR, 'corp')).toMatchObject({
      ...{ state: 'login_required', code: 'account_mismatch', account: ALICE },
    });
    await expect(broker.token(OPERATOR, 'corp')).rejects.toMatchObject({ code: 'login_required' });
  });
});
