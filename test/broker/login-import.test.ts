import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import { redeemCode } from '../../src/oauth/authorization.ts';
import { Secret } from '../../src/secret.ts';
import { approveLogin } from '../support/approved-login.ts';
import { connectedDemo, expectUsable } from '../support/connected.ts';
import type { Fault } from '../support/fault.ts';
import { beginLogin, signIn } from '../support/sign-in.ts';
import { auditTrail, connectionRow, journal } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;
/** What another program was given. */
let clientId: string;
let refreshToken: string;

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  const approved = await approveLogin(world.authorizationServer, world.mcp.url, 'mcp:all offline_access');
  const answer = await redeemCode(approved);
  clientId = approved.client.clientId;
  refreshToken = String((answer as { body: Record<string, string> }).body.refresh_token);
});

afterEach(() => world.close());

/** Takes over a token; nobody is asked. */
const takeOver = (token = refreshToken, request: Partial<LoginRequest> = {}) =>
  beginLogin(broker, world.mcp.url, { clientId, refreshToken: new Secret(token), ...request });

const refreshes = () =>
  world.authorizationServer.requests.filter(({ grantType }) => grantType === 'refresh_token');

describe('taking over a refresh token of another program', () => {
  it('makes a connection whose tokens work, without asking anybody', async () => {
    const { events, done, notices } = takeOver();
    expect(await done).toEqual(connectedDemo(world));
    expect(events.map(({ event }) => event)).toEqual(['discovered', 'registered', 'connected']);
    expect(events[1]).toMatchObject({ client_id: clientId, source: 'configured' });
    expect(notices).toEqual([]);
    await expectUsable(world, broker);
  });

  it('rotates it at once, by the path that keeps a journal', async () => {
    await takeOver().done;
    expect(refreshes().map(({ form }) => form?.refresh_token)).toEqual([refreshToken]);
    expect(await world.authorizationServer.refreshTokenIsActive(refreshToken)).toBe(false);
    expect(journal(world.vaultPath)).toMatchObject([{ generation: 1, attempt: 1, outcome: 'success' }]);
    expect(auditTrail(world.vaultPath)).toEqual([
      { actor: 'operator', action: 'login', outcome: 'ok' },
      { actor: 'operator', action: 'refresh', outcome: 'ok' },
    ]);
    await broker.refresh(OPERATOR, 'demo');
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 3 });
  });

  it('survives a connection that broke, like every refresh', async () => {
    world.authorizationServer.fail(({ grantType }) => (grantType ? { destroyBefore: true } : undefined));
    await expect(takeOver().done).rejects.toMatchObject({ code: 'upstream_unavailable' });
    world.authorizationServer.fail(undefined);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'uncertain', generation: 1 });
    await broker.refresh(OPERATOR, 'demo');
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 2 });
  });

  it('finds another way of asking where the server needs one', async () => {
    world.authorizationServer.fail(({ grantType, form }) =>
      grantType && form?.scope === undefined && form?.resource
        ? { status: 400, body: { error: 'invalid_target' } }
        : undefined,
    );
    expect(await takeOver().done).toMatchObject({ refresh_token: true });
    expect(refreshes().map(({ form }) => form?.resource)).toEqual([world.mcp.url, undefined]);
  });
});

describe('a token that is dead', () => {
  const dead = () => takeOver('dead-refresh-token');

  it('leaves a connection that says so', async () => {
    const error: unknown = await dead().done.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'upstream_unavailable', connection: 'demo' });
    expect(JSON.stringify(error) + String(error)).not.toContain('dead-refresh-token');
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ state: 'degraded', code: 'invalid_grant' });
    // A refusal of this kind is confirmed once.
    world.clock.jump(61_000);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({
      state: 'login_required',
      next_step: 'broker login demo',
    });
  });

  it('never becomes an access token', async () => {
    await expect(dead().done).rejects.toThrow();
    await expect(broker.token(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'upstream_unavailable' });
  });

  it('gives way to one that lives, and to a login', async () => {
    await expect(dead().done).rejects.toThrow();
    expect(await takeOver().done).toMatchObject({ connection: 'demo', refresh_token: true });
    await expect(takeOver('dead-refresh-token', { account: 'bob' }).done).rejects.toThrow();
    await signIn(broker, world.authorizationServer, world.mcp.url, { account: 'bob' });
    expect(await broker.show(OPERATOR, 'demo@bob')).toMatchObject({ state: 'ok' });
  });
});

describe('a token of somebody else than demanded', () => {
  const expectedAccount = 'bob@example.com';

  it.each<[string, string, RegExp]>([
    [
      'differs',
      'openid email mcp:all offline_access',
      /^the server signed in "alice@example.com", not "bob@/,
    ],
    ['is not told', 'mcp:all offline_access', /^the server does not tell whose login this is/],
  ])('when it %s is handed to nobody, and the connection says why', async (_, scope, message) => {
    const approved = await approveLogin(world.authorizationServer, world.mcp.url, scope);
    const { body } = (await redeemCode(approved)) as { body: Record<string, string> };
    const request = { clientId: approved.client.clientId, expectedAccount };
    const mismatch = {
      code: 'account_mismatch',
      connection: 'demo',
      message: expect.stringMatching(message),
    };
    const { done, events } = takeOver(body.refresh_token, request);
    await expect(done).rejects.toMatchObject(mismatch);
    expect(events.map(({ event }) => event)).not.toContain('connected');
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({
      ...{ state: 'login_required', code: 'account_mismatch', next_step: 'broker login demo' },
      cause: expect.stringMatching(message),
    });
    const handed = broker.token(OPERATOR, 'demo');
    await expect(handed).rejects.toMatchObject({ code: 'login_required' });
    const { length } = refreshes();
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
    expect(refreshes()).toHaveLength(length);
  });

  it('is no other when the account is the demanded one', async () => {
    const scope = 'openid email mcp:all offline_access';
    const approved = await approveLogin(world.authorizationServer, world.mcp.url, scope);
    const { body } = (await redeemCode(approved)) as { body: Record<string, string> };
    const request = { clientId: approved.client.clientId, expectedAccount: 'alice@example.com' };
    expect(await takeOver(body.refresh_token, request).done).toMatchObject({ account: 'alice@example.com' });
    await broker.token(OPERATOR, 'demo');
  });
});

describe('a connection that works', () => {
  beforeEach(async () => {
    await signIn(broker, world.authorizationServer, world.mcp.url);
  });

  it('is not given up for an unproven token, which is not even shown', async () => {
    const before = connectionRow(world.vaultPath);
    await expect(takeOver().done).rejects.toMatchObject({
      code: 'usage',
      connection: 'demo',
      hint: 'keep it beside the other: --account <account>\nor log out first: broker logout demo',
    });
    expect(refreshes()).toEqual([]);
    expect(connectionRow(world.vaultPath)).toEqual(before);
  });

  it.each<[string, Fault]>([
    ['degraded', { status: 503 }],
    ['uncertain', { destroyBefore: true }],
  ])('is not given up either while it is only %s', async (state, fault) => {
    world.authorizationServer.fail(({ grantType }) => (grantType ? fault : undefined));
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    world.authorizationServer.fail(undefined);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state });
    await expect(takeOver().done).rejects.toMatchObject({ code: 'usage' });
    await broker.refresh(OPERATOR, 'demo');
  });

  it('may stand beside a token that was taken over', async () => {
    expect(await takeOver(refreshToken, { account: 'bob' }).done).toMatchObject({ connection: 'demo@bob' });
    await broker.refresh(OPERATOR, 'demo');
    await broker.refresh(OPERATOR, 'demo@bob');
  });

  it('may be followed by a token that was taken over once its login is over', async () => {
    await world.authorizationServer.revokeGrantsOf('alice');
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    world.clock.jump(61_000);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
    const approved = await approveLogin(world.authorizationServer, world.mcp.url, 'mcp:all offline_access');
    const { body } = (await redeemCode(approved)) as { body: Record<string, string> };
    const { done } = takeOver(body.refresh_token, { clientId: approved.client.clientId });
    expect(await done).toMatchObject({ connection: 'demo', refresh_token: true });
    await broker.refresh(OPERATOR, 'demo');
  });
});
