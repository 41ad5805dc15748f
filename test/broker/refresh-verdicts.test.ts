import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { Fault } from '../support/fault.ts';
import { isRefresh } from '../support/gate.ts';
import { signIn } from '../support/sign-in.ts';
import { auditTrail, connectionRow, journal, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const AN_HOUR_MS = 3_600_000;

let world: World;
let broker: Broker;
let sealedBefore: string;

const token = () => broker.token(OPERATOR, 'demo');
const refreshNow = () => broker.refresh(OPERATOR, 'demo');
const presentations = () => world.authorizationServer.requests.filter(isRefresh).length;
const secrets = () =>
  rowsOf<{ secrets: string }>(world.vaultPath, 'SELECT secrets FROM connections')[0]?.secrets;
const row = () => connectionRow(world.vaultPath);

/** Every refresh ends like this from now on. */
const answer = (fault: Fault | undefined) =>
  world.authorizationServer.fail((request) => (isRefresh(request) ? fault : undefined));

const oauthError = (error: string, status = 400): Fault => ({ status, body: { error } });

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url);
  world.clock.jump(AN_HOUR_MS);
  sealedBefore = secrets() as string;
});

afterEach(() => world.close());

/** What must hold after any failure: nothing deleted, nothing changed but the state. */
function expectNothingLost(): void {
  expect(secrets()).toBe(sealedBefore);
  expect(row().generation).toBe(1);
}

describe('a refresh the server did not act on', () => {
  it.each<[string, Fault, string]>([
    ['503', { status: 503, body: 'busy' }, 'http_503'],
    ['429', { status: 429 }, 'http_429'],
    ['temporarily_unavailable', oauthError('temporarily_unavailable'), 'temporarily_unavailable'],
    ['server_error', oauthError('server_error', 500), 'server_error'],
  ])('is retried later after %s, and its journal is closed', async (_, fault, code) => {
    answer(fault);
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable', connection: 'demo' });
    expect(row()).toMatchObject({ state: 'degraded', code, failures: 1 });
    expect(row().next_attempt_at).toBeGreaterThan(world.clock.now());
    expect(journal(world.vaultPath)).toMatchObject([{ attempt: 1, outcome: code }]);
    expectNothingLost();
  });

  it('is retried when Retry-After says so, and not before', async () => {
    answer({ status: 503, headers: { 'retry-after': '120' } });
    await expect(token()).rejects.toMatchObject({ retryAfterSeconds: 120 });
    answer(undefined);
    world.clock.jump(119_000);
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable', retryAfterSeconds: 1 });
    expect(presentations()).toBe(1);
    world.clock.jump(1_000);
    expect(await token()).toMatchObject({ generation: 2, warnings: [] });
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ state: 'ok' });
  });

  it('is retried later and later, but a minute later for who has no token at all', async () => {
    answer({ status: 503 });
    const waits: number[] = [];
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const error = await token().catch((each: { retryAfterSeconds: number }) => each);
      const { retryAfterSeconds } = error as { retryAfterSeconds: number };
      waits.push(retryAfterSeconds);
      world.clock.jump(retryAfterSeconds * 1000);
    }
    expect(presentations()).toBe(5);
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waits[4]).toBe(60);
    // Nobody asked: the next attempt would have been later.
    expect((row().next_attempt_at as number) - world.clock.now()).toBeGreaterThanOrEqual(20_000);
  });

  it('is not asked before the time it named itself, whoever wants a token', async () => {
    answer({ status: 503, headers: { 'retry-after': '600' } });
    expect(await token().catch((each: unknown) => each)).toMatchObject({ retryAfterSeconds: 600 });
    world.clock.jump(590_000);
    await expect(token()).rejects.toMatchObject({ retryAfterSeconds: 10 });
    expect(presentations()).toBe(1);
    world.clock.jump(10_000);
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(presentations()).toBe(2);
  });

  it('is well again for the next who asks, a minute after the last attempt, however long it was down', async () => {
    answer({ status: 503 });
    for (let attempt = 0; attempt < 12; attempt += 1) {
      await token().catch(() => undefined);
      world.clock.jump(60_000);
    }
    expect(presentations()).toBeGreaterThan(9);
    answer(undefined);
    await expect(token()).resolves.toMatchObject({ generation: 2 });
    expect(row()).toMatchObject({ state: 'ok', next_attempt_at: null, ask_again_at: null });
  });

  it('is told by its cause when the server cannot be reached', async () => {
    await world.authorizationServer.close();
    await expect(token()).rejects.toMatchObject({
      code: 'upstream_unavailable',
      message: expect.stringContaining('econnrefused'),
    });
    expect(row()).toMatchObject({ state: 'degraded', code: 'econnrefused' });
    expectNothingLost();
  });
});

describe('a refresh whose outcome nobody knows', () => {
  it.each<[string, Fault]>([
    ['a reset before the server acted', { destroyBefore: true }],
    ['a firewall with a page and 403', { status: 403, body: '<html>blocked</html>' }],
    ['502', { status: 502, body: '<h1>Bad Gateway</h1>' }],
    ['504', { status: 504 }],
    ['a 200 that is a page', { status: 200, body: '<html>sign in to the hotel</html>' }],
    ['a 200 cut short', { status: 200, headers: { 'content-length': '4000' }, body: '{"access_token":' }],
    ['a 400 without an OAuth error', { status: 400, body: { message: 'no' } }],
  ])('stays open in the journal after %s', async (_, fault) => {
    answer(fault);
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(row()).toMatchObject({ state: 'uncertain', failures: 1 });
    expect(row().next_attempt_at).toBeLessThanOrEqual(world.clock.now() + 10_000);
    expect(journal(world.vaultPath)).toMatchObject([{ attempt: 1, outcome: null, finished_at: null }]);
    expectNothingLost();
  });

  it('recovers by presenting the same token again, each time with a journal row of its own', async () => {
    answer({ destroyBefore: true });
    await expect(token()).rejects.toThrow();
    world.clock.jump(10_000);
    await expect(token()).rejects.toThrow();
    answer(undefined);
    world.clock.jump(20_000);
    expect(await token()).toMatchObject({ generation: 2, warnings: [] });
    const rows = journal(world.vaultPath);
    expect(rows.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [1, 'superseded'],
      [2, 'superseded'],
      [3, 'success'],
    ]);
    const shown = world.authorizationServer.requests.filter(isRefresh).map(({ form }) => form?.refresh_token);
    expect(new Set(shown).size).toBe(1);
  });

  it('ends in login_required at once when the server then says invalid_grant', async () => {
    // The server did rotate; only its answer was lost.
    answer({ destroyAfter: true });
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    answer(undefined);
    world.clock.jump(10_000);
    await expect(token()).rejects.toMatchObject({ code: 'login_required', hint: 'broker login demo' });
    expect(presentations()).toBe(2);
    expectNothingLost();
  });
});

describe('invalid_grant', () => {
  it.each<[string, Fault]>([
    ['400', oauthError('invalid_grant')],
    ['401', oauthError('invalid_grant', 401)],
    ['200, as some servers do', oauthError('invalid_grant', 200)],
  ])('is not believed the first time, whatever its status (%s)', async (_, fault) => {
    answer(fault);
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable', retryAfterSeconds: 60 });
    expect(row()).toMatchObject({ state: 'degraded', code: 'invalid_grant' });
    expectNothingLost();
    answer(undefined);
    world.clock.jump(60_000);
    expect(await token()).toMatchObject({ generation: 2 });
  });

  it('ends the login when it comes again a minute later, after exactly two presentations', async () => {
    await world.authorizationServer.revokeGrantsOf('alice');
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    world.clock.jump(30_000);
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(presentations()).toBe(1);
    world.clock.jump(30_000);
    await expect(token()).rejects.toMatchObject({ code: 'login_required', hint: 'broker login demo' });
    world.clock.jump(AN_HOUR_MS);
    await expect(token()).rejects.toMatchObject({ code: 'login_required' });
    await expect(refreshNow()).rejects.toMatchObject({ code: 'login_required' });
    expect(presentations()).toBe(2);
    expectNothingLost();
    expect(auditTrail(world.vaultPath).filter(({ outcome }) => outcome === 'invalid_grant')).toHaveLength(2);
  });

  it('is confirmed by any presentation a minute after the first, however often somebody asked in between', async () => {
    await world.authorizationServer.revokeGrantsOf('alice');
    for (const code of ['upstream_unavailable', 'upstream_unavailable', 'login_required']) {
      await expect(refreshNow()).rejects.toMatchObject({ code });
      world.clock.jump(40_000);
    }
  });
});

describe('a refused client', () => {
  it.each([
    ['invalid_client', 401],
    ['unauthorized_client', 400],
  ])('is told as client_invalid after %s, and never asked again by itself', async (error, status) => {
    answer(oauthError(error, status));
    await expect(token()).rejects.toMatchObject({ code: 'client_invalid', hint: 'broker login demo' });
    expect(row()).toMatchObject({ state: 'client_invalid', code: error, next_attempt_at: null });
    world.clock.jump(24 * AN_HOUR_MS);
    await expect(token()).rejects.toMatchObject({ code: 'client_invalid' });
    expect(presentations()).toBe(1);
    expectNothingLost();
  });

  it('is registered anew by the next login, and only by that', async () => {
    answer(oauthError('invalid_client', 401));
    await expect(token()).rejects.toMatchObject({ code: 'client_invalid' });
    const before = await broker.show(OPERATOR, 'demo');
    answer(undefined);
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const after = await broker.show(OPERATOR, 'demo');
    expect(after).toMatchObject({ state: 'ok', generation: 2 });
    expect(after.client_id).not.toBe(before.client_id);
    await refreshNow();
  });
});

it('a request the server calls wrong is told as config_error and tried again rarely', async () => {
  answer(oauthError('invalid_target'));
  await expect(token()).rejects.toMatchObject({ code: 'config_error' });
  expect(row()).toMatchObject({ state: 'config_error', code: 'invalid_target' });
  expect(row().next_attempt_at).not.toBeNull();
  expectNothingLost();
});
