import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { Fault } from '../support/fault.ts';
import { createGate } from '../support/gate.ts';
import { byPost, withMachines } from '../support/machine-client.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { connectionRow, journal } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const MINUTE_MS = 60_000;

let world: World;
let broker: Broker;

const isMint = ({ grantType }: RecordedRequest) => grantType === 'client_credentials';
const mints = () => world.authorizationServer.requests.filter(isMint).length;
const fail = (fault: Fault | undefined) =>
  world.authorizationServer.fail((request) => (isMint(request) ? fault : undefined));
const row = () => connectionRow(world.vaultPath);
const token = async () => (await broker.token(OPERATOR, 'demo')).accessToken.reveal();

async function start(): Promise<void> {
  world = await startWorld({ authorizationServer: withMachines() });
  broker = await world.openBroker();
  await broker.add(byPost(world.mcp.url));
}

afterEach(() => world.close());

describe('the token of a machine', () => {
  beforeEach(() => start());

  it('is the same until it ends, then a new one', async () => {
    const first = await token();
    world.clock.jump(59 * MINUTE_MS);
    expect(await token()).toBe(first);
    world.clock.jump(MINUTE_MS);
    const second = await token();
    expect(second).not.toBe(first);
    expect(await world.authorizationServer.tokenIsActive(second)).toMatchObject({ active: true });
    expect(mints()).toBe(2);
  });

  it('is asked for once, however many want it at the moment it has ended', async () => {
    world.clock.jump(60 * MINUTE_MS);
    const gate = createGate(isMint);
    world.authorizationServer.fail(gate.rule);
    const callers = Array.from({ length: 20 }, token);
    await gate.arrived;
    gate.open();
    expect(new Set(await Promise.all(callers)).size).toBe(1);
    expect(gate.count()).toBe(1);
    expect(row().generation).toBe(3);
  });

  it('is asked for once by two processes', async () => {
    const other = await world.openBroker();
    world.clock.jump(60 * MINUTE_MS);
    const gate = createGate(isMint);
    world.authorizationServer.fail(gate.rule);
    const both = [broker, other].map((each) => each.token(OPERATOR, 'demo'));
    await gate.arrived;
    await world.clock.untilWaiting();
    gate.open();
    let isOver = false;
    const answered = Promise.all(both).finally(() => {
      isOver = true;
    });
    // The one without the lease looks again now and then.
    while (!isOver) await world.clock.advance(10);
    const tokens = await answered;
    expect(new Set(tokens.map(({ generation }) => generation))).toEqual(new Set([3]));
    expect(gate.count()).toBe(1);
  });

  it('is replaced when the server refuses it, and on demand', async () => {
    const first = await token();
    world.clock.jump(MINUTE_MS);
    const { accessToken } = await broker.token(OPERATOR, 'demo', { rejectedGeneration: row().generation });
    expect(accessToken.reveal()).not.toBe(first);
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ generation: 4 });
  });
});

describe('a server that is down', () => {
  beforeEach(() => start());

  it('costs nothing while the token lives', async () => {
    const first = await token();
    world.clock.jump(30 * MINUTE_MS);
    await world.authorizationServer.setListening(false);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(row()).toMatchObject({ state: 'degraded', code: 'econnrefused', failures: 1 });
    expect(await token()).toBe(first);
    expect(await broker.check(OPERATOR, 'demo')).toMatchObject({
      exit_code: 1,
      message: 'degraded: the server could not be asked (econnrefused); the present token still works',
      next_step: 'broker refresh demo',
    });
    await world.authorizationServer.setListening(true);
    await broker.refresh(OPERATOR, 'demo');
    expect(row()).toMatchObject({ state: 'ok', failures: 0 });
  });

  it('is said when the token has ended, with the time to ask again', async () => {
    world.clock.jump(61 * MINUTE_MS);
    fail({ status: 503, headers: { 'retry-after': '120' } });
    const unavailable = { code: 'upstream_unavailable', retryAfterSeconds: 120 };
    await expect(token()).rejects.toMatchObject(unavailable);
    await expect(token()).rejects.toMatchObject(unavailable);
    expect(mints()).toBe(2);
    world.clock.jump(121_000);
    fail(undefined);
    await token();
  });

  it.each<[string, Fault]>([
    ['a connection that broke', { destroyBefore: true }],
    ['an answer that was lost', { status: 502, afterProcessing: true }],
    ['a page of a firewall', { status: 403, body: '<h1>Blocked</h1>' }],
  ])('or answers with %s is simply asked again', async (_, fault) => {
    world.clock.jump(60 * MINUTE_MS);
    fail(fault);
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(row().state).toBe('degraded');
    expect(journal(world.vaultPath)).toEqual([]);
    fail(undefined);
    world.clock.jump(6_500);
    await token();
    expect(row()).toMatchObject({ state: 'ok', failures: 0 });
    expect(journal(world.vaultPath)).toEqual([]);
  });

  it('and comes back with another token endpoint is found there', async () => {
    const looked = () =>
      world.authorizationServer.requests.filter(({ path }) => path.includes('/.well-known/')).length;
    const before = looked();
    fail({ status: 404, body: 'not here' });
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    fail(undefined);
    await broker.refresh(OPERATOR, 'demo');
    expect(looked()).toBeGreaterThan(before);
  });
});

describe('an answer that cannot be used', () => {
  beforeEach(() => start());

  const answered = (body: object) => fail({ status: 200, body });

  it('is a token bound to a key of somebody else', async () => {
    const before = row().generation;
    answered({ access_token: 'fake-bound-token', token_type: 'DPoP', expires_in: 60 });
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({
      code: 'config_error',
      message: expect.stringMatching(/of a type that only their owner could use$/),
    });
    expect(row()).toMatchObject({
      state: 'config_error',
      code: 'unsupported_token_type',
      generation: before,
    });
    expect(await token()).not.toBe('fake-bound-token');
  });

  it('in part is a refresh token, which is not kept', async () => {
    answered({ access_token: 'fake-access', refresh_token: 'fake-refresh', expires_in: 60 });
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ refresh_token: false });
    fail(undefined);
    world.clock.jump(2 * MINUTE_MS);
    await token();
    expect(world.authorizationServer.refreshes()).toBe(0);
  });

  it.each(['invalid_grant', 'invalid_scope', 'unauthorized_client', 'invalid_client'])(
    'is a refusal with %s: asked once, told, and never a matter of signing in',
    async (error) => {
      const before = mints();
      fail({ status: 400, body: { error } });
      const refused: unknown = await broker.refresh(OPERATOR, 'demo').catch((thrown: unknown) => thrown);
      expect(refused).toMatchObject({ hint: expect.stringMatching(/^broker refresh demo\n/) });
      expect(mints()).toBe(before + 1);
      expect(row().state).toBe(error.endsWith('client') ? 'client_invalid' : 'config_error');
      const { message, next_step } = await broker.check(OPERATOR, 'demo');
      expect(`${message} ${next_step}`).not.toMatch(/login/);
      fail(undefined);
      await broker.refresh(OPERATOR, 'demo');
      expect(row().state).toBe('ok');
    },
  );
});

describe('a connection that never got a token', () => {
  it('hands out none, also when the clock is set back', async () => {
    world = await startWorld({ authorizationServer: withMachines() });
    broker = await world.openBroker();
    fail({ status: 503 });
    await expect(broker.add(byPost(world.mcp.url))).rejects.toMatchObject({ code: 'upstream_unavailable' });
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    world.clock.jump(-60 * MINUTE_MS);
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
  });
});

describe('a logout', () => {
  beforeEach(() => start());

  it('revokes the token and forgets the connection', async () => {
    const present = await token();
    expect(await broker.logout(OPERATOR, 'demo')).toEqual({ connection: 'demo', revocation: 'revoked' });
    expect(await world.authorizationServer.tokenIsActive(present)).toEqual({ active: false });
    expect(await broker.list(OPERATOR)).toEqual([]);
  });
});
