import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { Fault } from '../support/fault.ts';
import { isRefresh } from '../support/gate.ts';
import { beginLogin, type SignInOptions, signIn } from '../support/sign-in.ts';
import { startWorld, type World, type WorldOptions } from '../support/world.ts';

const AN_HOUR_MS = 3_600_000;
const A_DAY_MS = 24 * AN_HOUR_MS;

let world: World;
let broker: Broker;

async function start(options: WorldOptions = {}, request: SignInOptions = {}): Promise<void> {
  world = await startWorld(options);
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url, request);
}

const check = (options = {}) => broker.check(OPERATOR, 'demo', options);
const presentations = () => world.authorizationServer.requests.filter(isRefresh).length;

const answer = (fault: Fault | undefined) =>
  world.authorizationServer.fail((request) => (isRefresh(request) ? fault : undefined));

/** Only openid: no offline_access, so no refresh token. */
const withoutRefreshToken: WorldOptions = {
  authorizationServer: { metadata: (document) => ({ ...document, scopes_supported: [] }) },
};

afterEach(() => world.close());

describe('a check without asking anybody', () => {
  it('is 0 while all is well, also when the token has ended but can be refreshed', async () => {
    await start();
    expect(await check()).toEqual({
      connection: 'demo',
      state: 'ok',
      exit_code: 0,
      message: 'ok',
      expires_at: '2026-01-01T01:00:00Z',
      last_refreshed_at: '2026-01-01T00:00:00Z',
      refresh_token_age: 0,
    });
    world.clock.jump(AN_HOUR_MS);
    expect(await check()).toMatchObject({ exit_code: 0 });
    expect(presentations()).toBe(0);
  });

  it('is 1 for a login without refresh token that ends soon, 2 once it has ended', async () => {
    await start(withoutRefreshToken);
    expect(await check()).toMatchObject({ exit_code: 1, next_step: 'broker login demo' });
    expect(await check({ warnWithinMs: 60_000 })).toMatchObject({ exit_code: 0 });
    world.clock.jump(AN_HOUR_MS);
    expect(await check()).toMatchObject({ exit_code: 2, next_step: 'broker login demo' });
  });

  it('is 1 when the client secret ends within 30 days, 2 once it has ended', async () => {
    const metadata = (document: Record<string, unknown>) => ({
      ...document,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    });
    world = await startWorld({ authorizationServer: { metadata } });
    broker = await world.openBroker();
    world.authorizationServer.fail(({ path, json }) =>
      path === '/reg'
        ? {
            status: 201,
            body: {
              ...(json as object),
              client_id: 'short-lived',
              client_secret: 'fake-secret',
              client_secret_expires_at: (world.clock.now() + 31 * A_DAY_MS) / 1000,
            },
          }
        : path === '/token'
          ? { status: 200, body: { access_token: 'a', refresh_token: 'r', expires_in: 3600 } }
          : undefined,
    );
    // The server itself does not know this client, so its redirect is written by hand.
    const login = beginLogin(broker, world.mcp.url);
    const asked = new URL(await login.authorizationUrl).searchParams;
    const { issuer } = world.authorizationServer;
    const answered = new URLSearchParams({ code: 'fake-code', state: asked.get('state') ?? '', iss: issuer });
    login.paste(`${asked.get('redirect_uri')}?${answered}`);
    await login.done;
    expect(await check()).toMatchObject({ exit_code: 0 });
    expect(await check({ warnWithinMs: 40 * A_DAY_MS })).toMatchObject({ exit_code: 1 });
    world.clock.jump(A_DAY_MS);
    const soon = { exit_code: 1, next_step: 'broker login demo' };
    expect(await check({ warnWithinMs: 60_000 })).toMatchObject(soon);
    expect((await check()).message).toContain('the client secret ends in 30 days');
    world.clock.jump(30 * A_DAY_MS);
    expect(await check()).toMatchObject({ exit_code: 2, next_step: 'broker login demo' });
  });
});

describe('the state a check reports', () => {
  beforeEach(() => start());

  it.each<[string, Fault, string, number]>([
    ['degraded', { status: 503 }, 'broker refresh demo', 75],
    ['uncertain', { status: 502 }, 'broker refresh demo', 75],
    ['client_invalid', { status: 401, body: { error: 'invalid_client' } }, 'broker login demo', 2],
    ['config_error', { status: 400, body: { error: 'invalid_target' } }, 'broker login demo', 2],
  ])('%s after a token that ended could not be refreshed', async (state, fault, next_step, exit_code) => {
    world.clock.jump(AN_HOUR_MS);
    answer(fault);
    await expect(broker.token(OPERATOR, 'demo')).rejects.toThrow();
    expect(await check()).toMatchObject({ state, exit_code, next_step });
  });

  it.each<[string, Fault]>([
    ['degraded', { status: 503 }],
    ['uncertain', { status: 502 }],
  ])('%s is only 1 while the present token still works', async (state, fault) => {
    answer(fault);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    const found = await check();
    expect(found).toMatchObject({ state, exit_code: 1 });
    expect(found.message).toContain('still works');
  });

  it('login_required is 2', async () => {
    await world.authorizationServer.revokeGrantsOf('alice');
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    world.clock.jump(60_000);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    expect(await check()).toMatchObject({
      state: 'login_required',
      exit_code: 2,
      next_step: 'broker login demo',
    });
  });
});

describe('a check with a refresh', () => {
  it('proves that refreshing works', async () => {
    await start();
    expect(await check({ refresh: true })).toMatchObject({ exit_code: 0 });
    expect(presentations()).toBe(1);
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ generation: 2 });
  });

  it('finds out that it does not', async () => {
    await start();
    answer({ status: 503 });
    expect(await check({ refresh: true })).toMatchObject({ state: 'degraded', exit_code: 1 });
    world.clock.jump(AN_HOUR_MS);
    expect(await check({ refresh: true })).toMatchObject({ state: 'degraded', exit_code: 75 });
  });

  it('presents no refresh token that is known to be dead', async () => {
    await start();
    await world.authorizationServer.revokeGrantsOf('alice');
    expect(await check({ refresh: true })).toMatchObject({ state: 'degraded' });
    world.clock.jump(60_000);
    expect(await check({ refresh: true })).toMatchObject({ state: 'login_required', exit_code: 2 });
    expect(await check({ refresh: true })).toMatchObject({ state: 'login_required', exit_code: 2 });
    expect(presentations()).toBe(2);
  });

  it('leaves a login without refresh token alone', async () => {
    await start(withoutRefreshToken);
    expect(await check({ refresh: true })).toMatchObject({ exit_code: 1 });
    expect(presentations()).toBe(0);
  });
});

it('a check of something unknown is not found', async () => {
  await start();
  await expect(broker.check(OPERATOR, 'coda')).rejects.toMatchObject({ code: 'not_found' });
});
