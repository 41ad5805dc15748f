/**
 * Enterprise-managed authorization through an identity connection: alice's ID token is exchanged at the company for a
 * grant (ID-JAG), which the authorization server of the internal server takes.
 */
import { describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { jwtClaims } from '../../src/core/account.ts';
import { openGrantWorld, refusal, SECRET_AT_SERVER } from '../support/grant-world.ts';
import { granted } from '../support/machine-server.ts';
import { auditTrail } from '../support/vault-file.ts';

const HOUR_MS = 60 * 60_000;
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';

const { world, broker, exchange, server, start, login, add } = openGrantWorld();

const token = async (name = 'internal@alice') => (await broker().token(OPERATOR, name)).accessToken.reveal();
const show = () => broker().show(OPERATOR, 'internal@alice');
const redeemed = () => server().asked.map(({ form }) => form);

describe('a grant for an identity (RFC 8693, RFC 7523)', () => {
  it('is asked for at the company with the ID token, and shown to the other server alone', async () => {
    await start();
    expect(await add()).toMatchObject({ way: 'id_jag', connections: ['internal@alice'] });
    expect(await token()).toBe('fake-access-of-alice-1');
    const [asked] = exchange().exchanges;
    const { subject_token = '', ...rest } = asked ?? {};
    expect(jwtClaims(subject_token)).toMatchObject({ sub: 'alice', iss: world().authorizationServer.issuer });
    const { client_id } = await broker().show(OPERATOR, 'corp@alice');
    expect(rest).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      requested_token_type: ID_JAG,
      audience: server().url,
      resource: server().mcp,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      client_id,
    });
    expect(redeemed()).toEqual([
      {
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion: 'fake-exchanged-1',
        resource: server().mcp,
        client_id: 'at-the-server',
        client_secret: SECRET_AT_SERVER,
      },
    ]);
    expect(await show()).toMatchObject({ state: 'ok', account: 'alice@example.com', issuer: server().url });
    expect(await broker().token(OPERATOR, 'internal@alice')).toMatchObject({
      ...{ resource: server().mcp, account: 'alice@example.com' },
    });
  });

  it('is for one user alone, and asked for anew when its token has ended', async () => {
    await start();
    await login('bob');
    await add();
    expect([await token(), await token('internal@bob')]).toEqual([
      ...['fake-access-of-alice-1', 'fake-access-of-bob-2'],
    ]);
    world().clock.jump(2 * HOUR_MS);
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
    expect(exchange().exchanges).toEqual([]);
  });

  it('is asked for with a new ID token where the present one has ended', async () => {
    const lifetimes = [60, 999_999_999];
    const idTokenSeconds = () => lifetimes.shift() ?? 60;
    await start({ idTokenSeconds, accessTokenSeconds: 999_999_999 });
    await add();
    world().clock.jump(Date.now() + HOUR_MS - world().clock.now());
    expect(await token()).toBe('fake-access-of-alice-1');
    expect(world().authorizationServer.refreshes()).toBe(1);
  });

  it('cannot be had with an ID token that has ended for good: the company is signed in to again', async () => {
    await start({ accessTokenSeconds: 999_999_999 });
    await add();
    world().clock.jump(Date.now() + 2 * HOUR_MS - world().clock.now());
    const ended = { code: 'login_required', hint: 'broker login corp@alice' };
    await expect(token()).rejects.toMatchObject({
      ...{ ...ended, message: 'the ID token of corp@alice has ended, and no refresh brought a new one' },
    });
    expect(exchange().exchanges).toEqual([]);
    expect(await show()).toMatchObject({ state: 'login_required', next_step: 'broker login corp@alice' });
    await expect(token()).rejects.toMatchObject(ended);
    expect(await broker().check(OPERATOR, 'internal@alice')).toMatchObject({
      ...{ exit_code: 2, next_step: 'broker login corp@alice' },
    });
  });
});

describe('a refusal', () => {
  it('by the company names it, asks the other server nothing, and waits for the next attempt', async () => {
    await start();
    await add();
    exchange().answer({ status: 400, body: { error: 'invalid_target', access_token: 'fake-odd' } });
    const { issuer } = world().authorizationServer;
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
    expect(exchange().exchanges).toHaveLength(1);
    expect(auditTrail(world().vaultPath).at(-1)).toMatchObject({ action: 'mint', outcome: 'invalid_target' });
  });

  it('by the company is over as soon as somebody signs in anew', async () => {
    await start();
    await add();
    exchange().answer(refusal('invalid_grant'));
    await expect(token()).rejects.toMatchObject({ code: 'config_error' });
    exchange().answer(undefined);
    await login('alice');
    expect(await show()).toMatchObject({ state: 'ok' });
    expect(await token()).toBe('fake-access-of-alice-1');
  });

  it('by the other server is told as its own, with the remedy', async () => {
    await start();
    await add();
    server().answer(() => refusal('invalid_grant'));
    await expect(token()).rejects.toMatchObject({
      code: 'config_error',
      message: 'internal@alice cannot be refreshed: the server refused the request (invalid_grant)',
      hint: expect.stringMatching(
        /^broker refresh internal@alice\nor with a new sign-in: broker login corp@alice\n/,
      ),
    });
    expect(redeemed()).toHaveLength(1);
    server().answer(() => granted('mended'));
    await broker().refresh(OPERATOR, 'internal@alice');
    expect(await token()).toBe('fake-access-mended');
  });

  it('by the other server of our client is a matter of adding it again', async () => {
    await start();
    await add();
    server().answer(() => ({ status: 401, body: { error: 'invalid_client' } }));
    await expect(token()).rejects.toMatchObject({
      ...{ code: 'client_invalid', hint: expect.stringContaining('broker add internal …') },
    });
  });

  it('is never circumvented: a token of another kind is shown to nobody', async () => {
    await start();
    await add();
    const issued_token_type = 'urn:ietf:params:oauth:token-type:access_token';
    exchange().answer({ status: 200, body: { access_token: 'fake-powerful', issued_token_type } });
    await expect(token()).rejects.toMatchObject({
      ...{ code: 'config_error', message: expect.stringMatching(/issues another kind of token/) },
    });
    expect(redeemed()).toEqual([]);
    await broker().addIdentity({ name: 'other', url: world().mcp.url, source: 'corp', mode: 'exchange' });
    exchange().answer({ status: 200, body: { access_token: 'fake-grant', issued_token_type: ID_JAG } });
    await expect(token('other@alice')).rejects.toMatchObject({
      ...{ code: 'config_error', message: expect.stringMatching(/issues another kind of token/) },
    });
  });

  it('for want of the company is told, and over when it is back', async () => {
    await start();
    await add();
    exchange().answer({ status: 503 });
    await expect(token()).rejects.toMatchObject({
      ...{ code: 'upstream_unavailable', message: expect.stringContaining('could not be asked (http_503)') },
    });
    expect(await show()).toMatchObject({ state: 'degraded' });
    exchange().answer(undefined);
    world().clock.jump(7_000);
    expect(await token()).toBe('fake-access-of-alice-1');
  });
});
