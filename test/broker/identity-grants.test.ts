/**
 * Enterprise-managed authorization through an identity connection: alice's ID token is exchanged at the company for a
 * grant (ID-JAG), which the authorization server of the internal server takes.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { jwtClaims } from '../../src/core/account.ts';
import { Secret } from '../../src/secret.ts';
import type { AuthorizationServerOptions } from '../support/authorization-server.ts';
import { granted, type MachineServer, startMachineServer } from '../support/machine-server.ts';
import type { RawAnswer } from '../support/raw-server.ts';
import { type SignInOptions, signIn } from '../support/sign-in.ts';
import { startTokenExchange, type TokenExchange } from '../support/token-exchange.ts';
import { auditTrail, connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
const PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag';
const SECRET = 'fake-secret-at-the-server';

let world: World;
let broker: Broker;
let exchange: TokenExchange;
let server: MachineServer;

beforeEach(async () => {
  exchange = await startTokenExchange();
  server = await startMachineServer({
    authorization_endpoint: undefined,
    authorization_grant_profiles_supported: [PROFILE],
    token_endpoint_auth_methods_supported: ['client_secret_post'],
  });
  server.answer(({ assertion = '' }) => {
    const owner = exchange.ownerOf(assertion);
    return owner ? granted(`of-${owner}-${server.asked.length}`) : refusal('invalid_grant');
  });
});

afterEach(async () => {
  await world.close();
  await server.close();
  await exchange.close();
});

const refusal = (error: string): RawAnswer => ({ status: 400, body: { error } });

/** The company, where alice has signed in. */
async function start(options: AuthorizationServerOptions = {}): Promise<void> {
  world = await startWorld({
    authorizationServer: {
      alwaysIssueRefreshToken: true,
      metadata: (document) => ({ ...document, token_endpoint: exchange.url }),
      ...options,
    },
  });
  exchange.serve(world.authorizationServer);
  broker = await world.openBroker();
  await login('alice');
}

const login = (account: string, options: SignInOptions = {}) =>
  signIn(broker, world.authorizationServer, world.authorizationServer.issuer, {
    ...{ name: 'corp', account, person: account, ...options },
  });

const add = (changes: object = {}) =>
  broker.addIdentity({
    ...{ name: 'internal', url: server.mcp, source: 'corp', mode: 'exchange' },
    ...{ clientId: 'at-the-server', clientSecret: new Secret(SECRET), ...changes },
  });
const token = async (name = 'internal@alice') => (await broker.token(OPERATOR, name)).accessToken.reveal();
const show = () => broker.show(OPERATOR, 'internal@alice');
const redeemed = () => server.asked.map(({ form }) => form);
const clients = () =>
  rowsOf<{ client_id: string }>(world.vaultPath, 'SELECT client_id FROM clients').map(
    (each) => each.client_id,
  );

describe('a grant for an identity (RFC 8693, RFC 7523)', () => {
  it('is asked for at the company with the ID token, and shown to the other server alone', async () => {
    await start();
    expect(await add()).toMatchObject({ way: 'id_jag', connections: ['internal@alice'] });
    expect(await token()).toBe('fake-access-of-alice-1');
    const [asked] = exchange.exchanges;
    const { subject_token = '', ...rest } = asked ?? {};
    expect(jwtClaims(subject_token)).toMatchObject({ sub: 'alice', iss: world.authorizationServer.issuer });
    const { client_id } = await broker.show(OPERATOR, 'corp@alice');
    expect(rest).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      requested_token_type: ID_JAG,
      audience: server.url,
      resource: server.mcp,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      client_id,
    });
    expect(redeemed()).toEqual([
      {
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion: 'fake-exchanged-1',
        resource: server.mcp,
        client_id: 'at-the-server',
        client_secret: SECRET,
      },
    ]);
    expect(await show()).toMatchObject({ state: 'ok', account: 'alice@example.com', issuer: server.url });
    expect(await broker.token(OPERATOR, 'internal@alice')).toMatchObject({
      ...{ resource: server.mcp, account: 'alice@example.com' },
    });
  });

  it('is for one user alone, and asked for anew when its token has ended', async () => {
    await start();
    await login('bob');
    await add();
    expect([await token(), await token('internal@bob')]).toEqual([
      ...['fake-access-of-alice-1', 'fake-access-of-bob-2'],
    ]);
    world.clock.jump(2 * HOUR_MS);
    expect(await token()).toBe('fake-access-of-alice-3');
  });

  it('needs an ID token, which is said with the command that brings one', async () => {
    await start();
    await login('alice', { scopes: ['email'] });
    await add();
    await expect(token()).rejects.toMatchObject({
      ...{ code: 'config_error', message: 'the login of corp@alice came without an ID token' },
      hint: expect.stringContaining('broker login corp@alice --scope'),
    });
    expect(exchange.exchanges).toEqual([]);
  });

  it('is asked for with a new ID token where the present one has ended', async () => {
    const lifetimes = [60, 999_999_999];
    const idTokenSeconds = () => lifetimes.shift() ?? 60;
    await start({ idTokenSeconds, accessTokenSeconds: 999_999_999 });
    await add();
    world.clock.jump(Date.now() + HOUR_MS - world.clock.now());
    expect(await token()).toBe('fake-access-of-alice-1');
    expect(world.authorizationServer.refreshes()).toBe(1);
  });

  it('cannot be had with an ID token that has ended for good: the company is signed in to again', async () => {
    await start({ accessTokenSeconds: 999_999_999 });
    await add();
    world.clock.jump(Date.now() + 2 * HOUR_MS - world.clock.now());
    const ended = { code: 'login_required', hint: 'broker login corp@alice' };
    await expect(token()).rejects.toMatchObject({
      ...{ ...ended, message: 'the ID token of corp@alice has ended, and no refresh brought a new one' },
    });
    expect(exchange.exchanges).toEqual([]);
    expect(await show()).toMatchObject({ state: 'login_required', next_step: 'broker login corp@alice' });
    await expect(token()).rejects.toMatchObject(ended);
    expect(await broker.check(OPERATOR, 'internal@alice')).toMatchObject({
      ...{ exit_code: 2, next_step: 'broker login corp@alice' },
    });
  });
});

describe('a refusal', () => {
  it('by the company names it, asks the other server nothing, and waits for the next attempt', async () => {
    await start();
    await add();
    exchange.answer({ status: 400, body: { error: 'invalid_target', access_token: 'fake-odd' } });
    const { issuer } = world.authorizationServer;
    const cause = `the identity provider ${issuer} refused to exchange the token (invalid_target)`;
    await expect(token()).rejects.toMatchObject({
      code: 'config_error',
      message: `internal@alice cannot be refreshed: ${cause}`,
      hint:
        'broker refresh internal@alice\nor with a new sign-in: broker login corp@alice\n' +
        'to correct what it shows: broker add internal …, with all it was added with',
    });
    expect(redeemed()).toEqual([]);
    expect(await show()).toMatchObject({ state: 'config_error', code: 'invalid_target', cause });
    await expect(token()).rejects.toMatchObject({ code: 'config_error' });
    expect(exchange.exchanges).toHaveLength(1);
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ action: 'mint', outcome: 'invalid_target' });
  });

  it('by the company is over as soon as somebody signs in anew', async () => {
    await start();
    await add();
    exchange.answer(refusal('invalid_grant'));
    await expect(token()).rejects.toMatchObject({ code: 'config_error' });
    exchange.answer(undefined);
    await login('alice');
    expect(await show()).toMatchObject({ state: 'ok' });
    expect(await token()).toBe('fake-access-of-alice-1');
  });

  it('by the other server is told as its own, with the remedy', async () => {
    await start();
    await add();
    server.answer(() => refusal('invalid_grant'));
    await expect(token()).rejects.toMatchObject({
      code: 'config_error',
      message: 'internal@alice cannot be refreshed: the server refused the request (invalid_grant)',
      hint: expect.stringMatching(
        /^broker refresh internal@alice\nor with a new sign-in: broker login corp@alice\n/,
      ),
    });
    expect(redeemed()).toHaveLength(1);
    server.answer(() => granted('mended'));
    await broker.refresh(OPERATOR, 'internal@alice');
    expect(await token()).toBe('fake-access-mended');
  });

  it('by the other server of our client is a matter of adding it again', async () => {
    await start();
    await add();
    server.answer(() => ({ status: 401, body: { error: 'invalid_client' } }));
    await expect(token()).rejects.toMatchObject({
      ...{ code: 'client_invalid', hint: expect.stringContaining('broker add internal …') },
    });
  });

  it('is never circumvented: a token of another kind is shown to nobody', async () => {
    await start();
    await add();
    const issued_token_type = 'urn:ietf:params:oauth:token-type:access_token';
    exchange.answer({ status: 200, body: { access_token: 'fake-powerful', issued_token_type } });
    await expect(token()).rejects.toMatchObject({
      ...{ code: 'config_error', message: expect.stringMatching(/issues another kind of token/) },
    });
    expect(redeemed()).toEqual([]);
    await broker.addIdentity({ name: 'other', url: world.mcp.url, source: 'corp', mode: 'exchange' });
    exchange.answer({ status: 200, body: { access_token: 'fake-grant', issued_token_type: ID_JAG } });
    await expect(token('other@alice')).rejects.toMatchObject({
      ...{ code: 'config_error', message: expect.stringMatching(/issues another kind of token/) },
    });
  });

  it('for want of the company is told, and over when it is back', async () => {
    await start();
    await add();
    exchange.answer({ status: 503 });
    await expect(token()).rejects.toMatchObject({
      ...{ code: 'upstream_unavailable', message: expect.stringContaining('could not be asked (http_503)') },
    });
    expect(await show()).toMatchObject({ state: 'degraded' });
    exchange.answer(undefined);
    world.clock.jump(7_000);
    expect(await token()).toBe('fake-access-of-alice-1');
  });
});

describe('the state of such a connection', () => {
  it('is that of the login it is made from, with its remedy, and mended with it', async () => {
    await start();
    await add();
    await token();
    await world.authorizationServer.revokeGrantsOf('alice');
    await expect(broker.refresh(OPERATOR, 'corp@alice')).rejects.toThrow();
    world.clock.jump(MINUTE_MS);
    await expect(broker.refresh(OPERATOR, 'corp@alice')).rejects.toMatchObject({ code: 'login_required' });
    const remedy = { next_step: 'broker login corp@alice' };
    expect(await show()).toMatchObject({ state: 'login_required', ...remedy });
    expect(await broker.check(OPERATOR, 'internal@alice')).toMatchObject({ exit_code: 2, ...remedy });
    world.clock.jump(2 * HOUR_MS);
    await expect(token()).rejects.toMatchObject({ code: 'login_required', hint: 'broker login corp@alice' });
    await login('alice');
    expect(await broker.check(OPERATOR, 'internal@alice')).toMatchObject({ state: 'ok', exit_code: 0 });
    expect(await token()).toBe('fake-access-of-alice-2');
  });

  it('is found out by a check that refreshes, under its own name', async () => {
    await start();
    await add();
    await token();
    world.clock.jump(2 * HOUR_MS);
    const checked = { connection: 'internal@alice', state: 'ok', exit_code: 0 };
    expect(await broker.check(OPERATOR, 'internal@alice', { refresh: true })).toMatchObject(checked);
    expect(world.authorizationServer.refreshes()).toBe(1);
    expect(server.asked).toHaveLength(2);
    await broker.addIdentity({ name: 'other', url: server.mcp, source: 'corp', mode: 'forward' });
    expect(await broker.check(OPERATOR, 'other@alice', { refresh: true })).toMatchObject({
      ...{ ...checked, connection: 'other@alice' },
    });
    await world.authorizationServer.setListening(false);
    exchange.answer({ status: 503 });
    world.clock.jump(2 * HOUR_MS);
    expect(await broker.check(OPERATOR, 'internal@alice', { refresh: true })).toMatchObject({
      ...{
        connection: 'internal@alice',
        state: expect.stringMatching(/^(degraded|uncertain)$/),
        exit_code: 75,
      },
    });
    await world.authorizationServer.setListening(true);
  });

  it('is not that of the person before, when another one signs in under the name', async () => {
    await start();
    await add();
    expect(await token()).toBe('fake-access-of-alice-1');
    await login('alice', { person: 'mallory' });
    expect(await token()).toBe('fake-access-of-mallory-2');
    await broker.logout(OPERATOR, 'corp@alice');
    expect(rowsOf(world.vaultPath, "SELECT name FROM connections WHERE name LIKE 'internal%'")).toEqual([]);
    await login('alice');
    expect(await token()).toBe('fake-access-of-alice-3');
  });
});

describe('our client at the other server', () => {
  it('is shared by all users: one who is logged out takes it from nobody', async () => {
    await start();
    await login('bob');
    await add();
    await token();
    await broker.logout(OPERATOR, 'internal@alice');
    expect(await token('internal@bob')).toBe('fake-access-of-bob-2');
    expect(connectionRow(world.vaultPath, 'internal@bob')).toMatchObject({ state: 'ok' });
  });

  it('is replaced by the one of the next add, and by none where nothing is exchanged any more', async () => {
    await start();
    await add();
    await token();
    await add({ clientId: 'another' });
    expect(clients()).not.toContain('at-the-server');
    await token();
    expect(redeemed().at(-1)).toMatchObject({ client_id: 'another' });
    await broker.addIdentity({ name: 'internal', url: server.mcp, source: 'corp', mode: 'forward' });
    expect(clients()).not.toContain('another');
  });

  it.each([
    ['is missing', { clientId: undefined, clientSecret: undefined }, /wants to know our client$/],
    ['has a secret but no id', { clientId: undefined }, /^the OAuth client is missing$/],
    ['is of no use for what is forwarded', { mode: 'forward' }, /needs no client$/],
  ])('is refused when it %s', async (_, changes, message) => {
    await start();
    const refused = { code: 'usage', message: expect.stringMatching(message) };
    await expect(add(changes)).rejects.toMatchObject(refused);
  });

  it('is refused where no grants are taken', async () => {
    await start();
    const elsewhere = { url: world.mcp.url, name: 'other' };
    await expect(add(elsewhere)).rejects.toMatchObject({
      ...{ code: 'usage', message: expect.stringMatching(/does not take the company’s grants/) },
    });
    expect(clients()).not.toContain('at-the-server');
  });
});
