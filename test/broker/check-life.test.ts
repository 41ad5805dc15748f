import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { isRefresh } from '../support/gate.ts';
import { type SignInOptions, signIn } from '../support/sign-in.ts';
import { startWorld, type World } from '../support/world.ts';

const A_MINUTE_MS = 60_000;
const A_DAY_MS = 24 * 3_600_000;

let world: World;
let broker: Broker;

async function start(request: SignInOptions = {}): Promise<void> {
  world = await startWorld();
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url, request);
}

afterEach(() => world.close());

const check = (options = {}) => broker.check(OPERATOR, 'demo', options);
const again = () => signIn(broker, world.authorizationServer, world.mcp.url);

/** Changes what the token endpoint grants, from now on. */
function grant(body: Record<string, unknown>): void {
  const granted = { access_token: `fake-${JSON.stringify(body)}`, expires_in: 3600, ...body };
  world.authorizationServer.fail((request) =>
    isRefresh(request) ? { status: 200, body: granted } : undefined,
  );
}

describe('the age of a refresh token', () => {
  it('begins with the login, and anew with each one that a refresh brings', async () => {
    await start();
    world.clock.jump(A_MINUTE_MS);
    expect(await check()).toMatchObject({ refresh_token_age: 60 });
    grant({ refresh_token: 'fake-second' });
    await broker.refresh(OPERATOR, 'demo');
    world.clock.jump(A_MINUTE_MS / 2);
    expect(await check()).toMatchObject({ refresh_token_age: 30, last_refreshed_at: '2026-01-01T00:01:00Z' });
  });

  it.each([
    ['gives none', {}],
    ['gives the same', { refresh_token: 'fake-second' }],
  ])('goes on where a refresh %s', async (_, body) => {
    await start();
    grant({ refresh_token: 'fake-second' });
    await broker.refresh(OPERATOR, 'demo');
    world.clock.jump(A_MINUTE_MS);
    grant(body);
    await broker.refresh(OPERATOR, 'demo');
    expect(await check()).toMatchObject({ refresh_token_age: 60, last_refreshed_at: '2026-01-01T00:01:00Z' });
  });

  it('begins anew with another login, and goes on where that brings the same one', async () => {
    await start();
    world.clock.jump(A_MINUTE_MS);
    await again();
    expect(await check()).toMatchObject({ refresh_token_age: 0 });
    const body = { access_token: 'fake-access', refresh_token: 'fake-forever', expires_in: 3600 };
    world.authorizationServer.fail(({ path }) => (path === '/token' ? { status: 200, body } : undefined));
    await again();
    world.clock.jump(A_MINUTE_MS);
    await again();
    expect(await check()).toMatchObject({ refresh_token_age: 60, last_refreshed_at: '2026-01-01T00:02:00Z' });
  });

  it('is not told where there is none', async () => {
    world = await startWorld({
      authorizationServer: { metadata: (document) => ({ ...document, scopes_supported: [] }) },
    });
    broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    expect(await check()).not.toHaveProperty('refresh_token_age');
  });
});

describe('the end of a refresh token', () => {
  it('is told and warned of where its server tells it', async () => {
    await start();
    grant({ refresh_token: 'fake-second', refresh_token_expires_in: 20 * 86_400 });
    await broker.refresh(OPERATOR, 'demo');
    expect(await check()).toMatchObject({ exit_code: 0, refresh_token_expires_at: '2026-01-21T00:00:00Z' });
    expect(await check({ warnWithinMs: 21 * A_DAY_MS })).toMatchObject({
      ...{ exit_code: 1, message: 'the refresh token ends in 20 days: sign in again before' },
      next_step: 'broker login demo',
    });
  });

  it('is no reason to warn once a refresh has put it off', async () => {
    await start();
    for (const refresh_token of ['fake-second', 'fake-third']) {
      grant({ refresh_token, refresh_expires_in: 1800 });
      await broker.refresh(OPERATOR, 'demo');
      expect((await check()).exit_code).toBe(refresh_token === 'fake-second' ? 1 : 0);
      world.clock.jump(10 * A_MINUTE_MS);
    }
    world.clock.jump(14 * A_MINUTE_MS);
    expect(await check()).toMatchObject({ exit_code: 1, next_step: 'broker refresh demo' });
  });
});

describe('an idle limit', () => {
  it('is remembered, shown, and warned of before it lapses', async () => {
    await start({ idleLimitMs: 30 * A_DAY_MS });
    await again();
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ idle_limit_seconds: 2_592_000 });
    expect(await check()).toMatchObject({ exit_code: 0, refresh_token_idle_limit: 2_592_000 });
    world.clock.jump(23 * A_DAY_MS);
    expect(await check()).toMatchObject({
      ...{ exit_code: 1, next_step: 'broker refresh demo' },
      message: 'the refresh token is not being used: its server forgets it in 7 days',
    });
  });

  it('of minutes is refused', async () => {
    await start();
    const login = broker.login(
      { target: world.mcp.url, name: 'demo', idleLimitMs: 5 * A_MINUTE_MS },
      { onEvent: () => {}, notify: () => {} },
    );
    await expect(login).rejects.toMatchObject({
      code: 'usage',
      message: 'an idle limit is 10 minutes or more',
    });
  });
});

describe('the last error', () => {
  it('stays when all is well again', async () => {
    await start();
    expect(await check()).not.toHaveProperty('last_error');
    world.clock.jump(A_MINUTE_MS);
    world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    const last_error = {
      ...{ code: 'http_503', at: '2026-01-01T00:01:00Z' },
      cause: 'the server could not be asked (http_503)',
    };
    expect(await check()).toMatchObject({
      ...{ state: 'degraded', code: 'http_503', cause: last_error.cause, last_error },
      next_attempt_at: expect.stringMatching(/^2026-01-01T00:01:0/),
    });
    world.authorizationServer.fail(undefined);
    world.clock.jump(A_MINUTE_MS);
    await broker.refresh(OPERATOR, 'demo');
    const well = await check();
    expect(well).toMatchObject({ state: 'ok', exit_code: 0, last_error });
    for (const field of ['code', 'cause', 'next_attempt_at']) expect(well).not.toHaveProperty(field);
  });
});
