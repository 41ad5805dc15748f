/** Servers that rotate, end and describe tokens in odd ways. */
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { startHostileWorld } from '../support/hostile-world.ts';
import { connectionRow } from '../support/vault-file.ts';
import type { Oddities } from './odd-server.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: Pick<OddWorld, 'close'>;

async function start(oddities?: Oddities): Promise<OddWorld> {
  const odd = await startOddWorld(oddities);
  world = odd;
  return odd;
}

afterEach(() => world.close());

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

describe('a server that rotates at each refresh', () => {
  it('sees every refresh token once, also where reuse would end the login', async () => {
    const odd = await start();
    await odd.signIn();
    for (let time = 0; time < 5; time += 1) {
      odd.clock.jump(HOUR_MS);
      await odd.broker.token(OPERATOR, 'demo');
    }
    const shown = odd.server.tokenRequests('refresh_token').map(({ form }) => form.get('refresh_token'));
    expect([shown.length, new Set(shown).size]).toEqual([5, 5]);
    expect(odd.server.family()).toEqual({ revoked: false, generation: 6 });
  });

  it('and ends the older access tokens with it: who was refused gets the newer one without a refresh', async () => {
    const odd = await start();
    await odd.signIn();
    const old = await odd.broker.token(OPERATOR, 'demo');
    await odd.broker.refresh(OPERATOR, 'demo');
    const newer = await odd.broker.token(OPERATOR, 'demo', { rejectedGeneration: old.generation });
    expect(newer.generation).toBe(2);
    expect(newer.accessToken.reveal()).not.toBe(old.accessToken.reveal());
    expect(odd.server.tokenRequests('refresh_token')).toHaveLength(1);
  });

  it.each([
    ['half an hour', 30 * MINUTE_MS],
    ['ten seconds', 10_000],
  ])(
    'and forgives a lost answer for %s is asked again within that, with the same token',
    async (_, graceMs) => {
      const hostile = await startHostileWorld({ graceMs });
      world = hostile;
      hostile.clock.jump(HOUR_MS);
      await hostile.fault('reset after commit', { times: 1 });
      expect((await hostile.askToken()).status).toBe(503);
      // The first wait is no longer than that, jitter included.
      hostile.clock.jump(7_000);
      expect((await hostile.askToken()).json).toMatchObject({ generation: 2 });
      const { presentations } = hostile.hostile;
      expect(presentations.map(({ outcome }) => outcome)).toEqual(['rotated', 'grace']);
      expect(new Set(presentations.map(({ fingerprint }) => fingerprint)).size).toBe(1);
      expect(hostile.hostile.family().revoked).toBe(false);
    },
  );
});

describe('a refusal in words of its own', () => {
  const refusing = async (status: number, error: string, deadTokenErrors: string[] = []) => {
    const odd = await start({
      token: (form) => (form.get('grant_type') === 'refresh_token' ? { status, body: { error } } : undefined),
    });
    await odd.signIn({ deadTokenErrors });
    const refresh = () => odd.broker.refresh(OPERATOR, 'demo').catch((each: unknown) => each);
    await refresh();
    odd.clock.jump(MINUTE_MS);
    return { second: await refresh(), row: connectionRow(odd.vaultPath) };
  };

  it.each([400, 401, 403])('ends the login when invalid_grant comes twice with %i', async (status) => {
    const { second, row } = await refusing(status, 'invalid_grant');
    expect(second).toMatchObject({ code: 'login_required' });
    expect(row).toMatchObject({ state: 'login_required', code: 'invalid_grant', generation: 1 });
  });

  it.each([
    [400, 'unauthorized_client'],
    [400, 'invalid_refresh_token'],
    [200, 'bad_refresh_token'],
  ])('ends the login with %i %s where an operator knows what it means', async (status, error) => {
    const { row } = await refusing(status, error, [error]);
    expect(row).toMatchObject({ state: 'login_required', code: error });
  });

  it.each([
    [400, 'unauthorized_client', 'client_invalid'],
    [400, 'invalid_refresh_token', 'uncertain'],
    [200, 'bad_refresh_token', 'uncertain'],
    [200, 'incorrect_client_credentials', 'uncertain'],
  ])('%i %s is told by its code, and deletes nothing', async (status, error, state) => {
    const { row } = await refusing(status, error);
    expect(row).toMatchObject({ state, code: error, generation: 1 });
  });

  it('with 200 brings no token, whatever else it holds', async () => {
    const odd = await start({
      token: (form) =>
        form.get('grant_type') === 'refresh_token'
          ? { status: 200, body: { error: 'invalid_grant', refresh_token: 'not-this-one', expires_in: 3600 } }
          : undefined,
    });
    await odd.signIn();
    await odd.broker.refresh(OPERATOR, 'demo').catch(() => undefined);
    odd.server.change({ token: () => undefined });
    odd.clock.jump(MINUTE_MS);
    await odd.broker.refresh(OPERATOR, 'demo');
    expect(connectionRow(odd.vaultPath)).toMatchObject({ state: 'ok', generation: 2 });
  });
});

describe('a lifetime', () => {
  const jwt = (exp: number) =>
    [{ alg: 'none' }, { exp }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['0', 0],
    ['a negative number', -3600],
    ['a word', 'soon'],
  ])(
    'told as %s is unknown: the token is served until somebody is refused with it',
    async (_, expires_in) => {
      const odd = await start({ answer: (body) => ({ ...body, expires_in }) });
      expect((await odd.signIn()).connected).not.toHaveProperty('expires_in');
      odd.clock.jump(24 * HOUR_MS);
      const token = await odd.broker.token(OPERATOR, 'demo');
      expect(token).toMatchObject({ generation: 1, expiresAt: null });
      const newer = await odd.broker.token(OPERATOR, 'demo', { rejectedGeneration: 1 });
      expect(newer.generation).toBe(2);
      expect(odd.server.tokenRequests('refresh_token')).toHaveLength(1);
    },
  );

  it('told as text is a lifetime', async () => {
    const odd = await start({ answer: (body) => ({ ...body, expires_in: '1800' }) });
    expect((await odd.signIn()).connected.expires_in).toBe(1800);
  });

  it('not told is the one a JWT holds', async () => {
    const odd = await start();
    const exp = odd.clock.now() / 1000 + 900;
    odd.server.change({
      answer: ({ expires_in: _, ...body }) => ({ ...body, access_token: `${jwt(exp)}.signature` }),
    });
    expect((await odd.signIn()).connected.expires_in).toBe(900);
  });

  it('of a minute is refreshed at its end, not long before', async () => {
    const odd = await start({ answer: (body) => ({ ...body, expires_in: 60 }) });
    await odd.signIn();
    odd.clock.jump(50_000);
    expect((await odd.broker.token(OPERATOR, 'demo')).generation).toBe(1);
    odd.clock.jump(5_000);
    expect((await odd.broker.token(OPERATOR, 'demo')).generation).toBe(2);
  });
});

describe('a refresh', () => {
  it('that brings no refresh token keeps the old one', async () => {
    const odd = await start({
      answer: ({ refresh_token, ...body }, form) =>
        form.get('grant_type') === 'refresh_token' ? body : { ...body, refresh_token },
      graceMs: HOUR_MS,
    });
    await odd.signIn();
    await odd.broker.refresh(OPERATOR, 'demo');
    await odd.broker.refresh(OPERATOR, 'demo');
    const shown = odd.server.tokenRequests('refresh_token').map(({ form }) => form.get('refresh_token'));
    expect(new Set(shown).size).toBe(1);
    expect(await odd.broker.show(OPERATOR, 'demo')).toMatchObject({ refresh_token: true, state: 'ok' });
  });

  it('needs nothing but the vault: another process does it while all pages of the server are gone', async () => {
    const odd = await start();
    const { connected } = await odd.signIn();
    const gone = { status: 404, body: 'gone' };
    odd.server.change({
      routes: () => ({
        'GET /.well-known/oauth-protected-resource/mcp': gone,
        'GET /.well-known/oauth-authorization-server': gone,
      }),
    });
    odd.clock.jump(48 * HOUR_MS);
    // What is remembered for a day may be gone sooner.
    const file = new DatabaseSync(odd.vaultPath);
    file.exec('DELETE FROM cache');
    file.close();
    const other = await odd.openBroker();
    expect(await other.token(OPERATOR, 'demo')).toMatchObject({
      ...{ generation: 2, resource: connected.resource, scope: 'mcp:all' },
    });
  });
});
