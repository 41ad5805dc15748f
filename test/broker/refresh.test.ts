import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { createGate, isRefresh } from '../support/gate.ts';
import { signIn } from '../support/sign-in.ts';
import { auditTrail, connectionRow, journal } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const AN_HOUR_MS = 3_600_000;

let world: World;
let broker: Broker;

const token = (from = broker) => from.token(OPERATOR, 'demo');
const refreshRequests = () => world.authorizationServer.requests.filter(isRefresh);

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url);
  world.clock.jump(AN_HOUR_MS);
});

afterEach(() => world.close());

describe('a token that has ended', () => {
  it('is refreshed once for any number of callers at the same time', async () => {
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const callers = Array.from({ length: 25 }, () => token());
    await gate.arrived;
    callers.push(...Array.from({ length: 25 }, () => token()));
    gate.open();
    const tokens = await Promise.all(callers);
    expect(new Set(tokens.map(({ accessToken }) => accessToken.reveal())).size).toBe(1);
    expect(tokens.every(({ generation }) => generation === 2)).toBe(true);
    expect(refreshRequests()).toHaveLength(1);
  });

  it('is refreshed once for two brokers on one vault: the second adopts what the first got', async () => {
    const other = await world.openBroker();
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const mine = token();
    await gate.arrived;
    const waits = world.clock.waiting();
    const theirs = token(other);
    await world.clock.untilWaiting(waits + 1);
    gate.open();
    const { accessToken } = await mine;
    await world.clock.advance(100);
    expect((await theirs).accessToken.reveal()).toBe(accessToken.reveal());
    expect(refreshRequests()).toHaveLength(1);
  });

  it('is not refreshed by the second broker when the first was refused: the verdict holds for both', async () => {
    const other = await world.openBroker();
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const mine = token();
    await gate.arrived;
    const waits = world.clock.waiting();
    const theirs = token(other);
    await world.clock.untilWaiting(waits + 1);
    gate.open({ status: 503 });
    await expect(mine).rejects.toMatchObject({ code: 'upstream_unavailable' });
    const failed = expect(theirs).rejects.toMatchObject({ code: 'upstream_unavailable' });
    await world.clock.advance(100);
    await failed;
    expect(refreshRequests()).toHaveLength(1);
  });

  it('delays nobody else while its server does not answer', async () => {
    await signIn(broker, world.authorizationServer, world.mcp.url, { name: 'other' });
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const slow = token();
    await gate.arrived;
    expect(await broker.token(OPERATOR, 'other')).toMatchObject({ generation: 1 });
    gate.open();
    await slow;
  });
});

describe('the order of a refresh', () => {
  it('is: journal on disk, then the request, then the new pair on disk, then the hand-out', async () => {
    const seen: unknown[] = [];
    world.authorizationServer.fail((request) => {
      if (isRefresh(request)) seen.push(journal(world.vaultPath), connectionRow(world.vaultPath).generation);
      return undefined;
    });
    const { generation } = await token();
    expect(seen).toMatchObject([[{ generation: 1, attempt: 1, finished_at: null, outcome: null }], 1]);
    expect(generation).toBe(2);
    expect(connectionRow(world.vaultPath).generation).toBe(2);
    expect(journal(world.vaultPath)).toMatchObject([{ generation: 1, attempt: 1, outcome: 'success' }]);
  });

  it('leaves a trace in the audit trail', async () => {
    await token();
    expect(auditTrail(world.vaultPath)).toContainEqual({
      actor: 'operator',
      action: 'refresh',
      outcome: 'ok',
    });
  });

  it('is finished before the broker closes, also when its caller has gone', async () => {
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const abandoned = token();
    await gate.arrived;
    const closed = broker.close();
    gate.open();
    await Promise.allSettled([abandoned, closed]);
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 2, state: 'ok' });
    expect(journal(world.vaultPath)).toMatchObject([{ outcome: 'success' }]);
  });

  it('uses a fresh socket each time, so that a reset tells something', async () => {
    await token();
    world.clock.jump(AN_HOUR_MS);
    await token();
    const ports = refreshRequests().map(({ remotePort }) => remotePort);
    expect(new Set(ports).size).toBe(2);
  });
});

describe('what a refresh answers', () => {
  const answer = (body: object) =>
    world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 200, body } : undefined));

  it('keeps the old refresh token when none is returned, and scope and account with it', async () => {
    answer({ access_token: 'second-access-token', token_type: 'Bearer', expires_in: 60 });
    expect(await token()).toMatchObject({ generation: 2, scope: 'mcp:all' });
    world.authorizationServer.fail(undefined);
    world.clock.jump(AN_HOUR_MS);
    await token();
    const [first, second] = refreshRequests().map(({ form }) => form?.refresh_token);
    expect(second).toBe(first);
    expect(world.authorizationServer.refreshes()).toBe(2);
  });

  it('rotates: the next refresh presents the newest refresh token', async () => {
    await token();
    world.clock.jump(AN_HOUR_MS);
    await token();
    const [first, second] = refreshRequests().map(({ form }) => form?.refresh_token);
    expect(second).not.toBe(first);
    expect(world.authorizationServer.refreshes()).toBe(2);
  });

  it('is saved before it is judged: an odd token type does not cost the refresh token', async () => {
    answer({
      access_token: 'bound-token',
      refresh_token: 'rotated-refresh-token',
      token_type: 'DPoP',
      expires_in: 60,
    });
    await expect(token()).rejects.toMatchObject({ code: 'config_error' });
    // Nor later: it still lives, but nobody can use it as Bearer.
    await expect(token()).rejects.toMatchObject({ code: 'config_error' });
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 2, state: 'config_error' });
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'config_error' });
    expect(refreshRequests()[1]?.form?.refresh_token).toBe('rotated-refresh-token');
  });

  it('is unknown about the expiry when it does not tell: the token is served until somebody rejects it', async () => {
    answer({ access_token: 'endless-token', refresh_token: 'r2', token_type: 'bearer' });
    expect(await token()).toMatchObject({ generation: 2, expiresAt: null, refreshAfter: null });
    world.clock.jump(1000 * AN_HOUR_MS);
    expect(await token()).toMatchObject({ generation: 2, expiresAt: null });
    expect(await broker.show(OPERATOR, 'demo')).not.toHaveProperty('expires_at');
    await broker.token(OPERATOR, 'demo', { rejectedGeneration: 2 });
    expect(refreshRequests()).toHaveLength(2);
  });
});

describe('a pair that comes late', () => {
  it('goes to the spare when a login came meanwhile, and the login stays', async () => {
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const late = token();
    await gate.arrived;
    // As after a long sleep of the machine: the lease has ended, and its heartbeat could not run.
    world.clock.jump(10 * 60_000);
    await signIn(broker, world.authorizationServer, world.mcp.url);
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 2, spare: null });
    const current = await token();
    gate.open();
    expect((await late).accessToken.reveal()).toBe(current.accessToken.reveal());
    const row = connectionRow(world.vaultPath);
    expect(row).toMatchObject({ generation: 2, state: 'ok' });
    expect(row.spare).toMatch(/^ey/);
    expect(journal(world.vaultPath)).toMatchObject([{ generation: 1, outcome: 'late' }]);
  });
});
