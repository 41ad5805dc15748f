import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { MOUNTING, toSmallDisk, unmountAll } from '../support/failing-disk.ts';
import { isRefresh } from '../support/gate.ts';
import { isSigned, type NoticeWorld, startNoticeWorld } from '../support/notice-world.ts';
import { signIn } from '../support/sign-in.ts';
import { connectionRow } from '../support/vault-file.ts';
import { breakSaves } from '../support/vault-hold.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

let world: NoticeWorld;

const relogin = () => signIn(world.broker, world.authorizationServer, world.mcp.url);
const messages = () => world.receiver.received.map(({ json }) => json.data.message);

beforeEach(async () => {
  world = await startNoticeWorld();
});

afterEach(() => world.close());

describe('a daemon that tells people', () => {
  beforeEach(() => world.broker.notices.start(world.byWebhook));

  it('tells once that a login ended, reminds, and tells that it works again', async () => {
    await world.endLogin();
    const ended = await world.untilTold();
    const message =
      'demo needs you: the server ended the login (invalid_grant). Sign in again: broker login demo';
    expect(ended.json).toMatchObject({
      type: 'connection.login_required',
      timestamp: expect.stringMatching(/^2026-01-01T00:/),
      text: message,
      data: {
        kind: 'transition',
        connection: 'demo',
        level: 2,
        state: 'login_required',
        code: 'invalid_grant',
        message,
        next_step: 'broker login demo',
        host: expect.stringMatching(/./),
      },
    });
    expect(isSigned(ended)).toBe(true);
    expect(isSigned({ ...ended, body: `${ended.body} ` })).toBe(false);
    await world.pass(10);
    expect(world.receiver.received).toHaveLength(1);

    world.clock.jump(DAY_MS);
    const reminder = await world.untilTold();
    expect(reminder.json).toMatchObject({ data: { kind: 'reminder', message: `reminder: ${message}` } });
    expect(reminder.headers['webhook-id']).not.toBe(ended.headers['webhook-id']);

    await relogin();
    const recovery = await world.untilTold();
    expect(recovery.json).toMatchObject({
      type: 'connection.recovered',
      data: { kind: 'recovery', level: 0 },
    });
    expect(recovery.json.text).toMatch(/^demo works again \(was down for 2[45] h\)$/);
    expect(recovery.json.data).not.toHaveProperty('next_step');
    await world.pass(5);
    expect(world.receiver.received).toHaveLength(3);
    expect(await world.broker.notices.list()).toMatchObject(
      ['recovery', 'reminder', 'transition'].map((kind) => ({
        connection: 'demo',
        kind,
        deliveries: [{ way: 'webhook', outcome: 'delivered', attempts: 1 }],
      })),
    );
  });

  it('lets nobody know of an outage that heals within a quarter of an hour', async () => {
    world.clock.jump(DAY_MS);
    world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));
    await world.broker.refresh(OPERATOR, 'demo').catch(() => undefined);
    expect(connectionRow(world.vaultPath).state).toBe('degraded');
    await world.pass(10);
    world.authorizationServer.fail(undefined);
    await world.broker.refresh(OPERATOR, 'demo');
    await world.pass(10);
    expect(world.receiver.received).toEqual([]);
    expect(await world.broker.notices.list()).toEqual([]);
  });

  it('tells of one that lasts, and of its end', async () => {
    world.clock.jump(DAY_MS);
    world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));
    const failedAt = world.clock.now();
    await world.broker.refresh(OPERATOR, 'demo').catch(() => undefined);
    const down = await world.untilTold();
    expect(world.clock.now() - failedAt).toBeGreaterThanOrEqual(15 * MINUTE_MS);
    expect(down.json).toMatchObject({ type: 'connection.degraded', data: { level: 75 } });
    expect(down.json.text).toBe(
      'demo is down: refreshing fails (http_503), and no token is valid at the moment. It is tried again by itself; now: broker refresh demo',
    );
    world.authorizationServer.fail(undefined);
    await world.broker.refresh(OPERATOR, 'demo');
    expect((await world.untilTold()).json.text).toMatch(/^demo works again \(was down for \d+ min\)$/);
  });

  it('ends in silence for a connection that was logged out', async () => {
    await world.endLogin();
    await world.untilTold();
    await world.broker.logout(OPERATOR, 'demo');
    world.clock.jump(DAY_MS);
    await world.pass(5);
    expect(messages()).toHaveLength(1);
  });

  it('begins anew for a connection that was logged out and signed in again under the same name', async () => {
    await world.endLogin();
    await world.untilTold();
    await world.broker.logout(OPERATOR, 'demo');
    await relogin();
    await world.pass(5);
    expect(messages()).toHaveLength(1);
    await world.endLogin();
    expect((await world.untilTold()).json.data.kind).toBe('transition');
  });

  it.each([-400, 400])('neither falls silent nor floods when the clock is set by %d days', async (days) => {
    await world.endLogin();
    await world.untilTold();
    world.clock.jump(days * DAY_MS);
    expect((await world.untilTold()).json.data.kind).toBe('reminder');
    await world.pass(5);
    expect(messages()).toHaveLength(2);
    world.clock.jump(2 * DAY_MS);
    expect((await world.untilTold()).json.data.kind).toBe('reminder');
  });
});

describe('a vault that cannot take a new token', () => {
  it('is told of past the vault, once, and so is its recovery', async () => {
    world.broker.notices.start(world.byWebhook);
    const disk = breakSaves(world.vaultPath);
    const refreshed = world.broker.refresh(OPERATOR, 'demo').catch((error: unknown) => error);
    world.receiver.failOnce(503);
    const failed = await world.untilTold();
    const alarm = await world.untilTold();
    expect(alarm.json).toMatchObject({
      type: 'vault.save_failed',
      text: `vault needs you: new tokens cannot be saved in ${world.vaultPath}. Make room there and check its permissions, then: broker check`,
      data: { kind: 'transition', level: 2, code: 'save_failed', next_step: 'broker check' },
    });
    expect(alarm.headers['webhook-id']).toBe(failed.headers['webhook-id']);
    expect(await refreshed).toMatchObject({ code: 'save_failed' });
    await world.pass(3);
    expect(world.receiver.received).toHaveLength(2);
    disk.mend();
    const recovery = await world.untilTold();
    expect(recovery.json).toMatchObject({ type: 'vault.recovered', data: { kind: 'recovery', level: 0 } });
    expect(recovery.json.text).toMatch(/^vault works again \(could not be written for \d+ min\)$/);
    await world.pass(2);
    expect(world.receiver.received).toHaveLength(3);
  });

  it.skipIf(MOUNTING.isMissing)(`is told of before the disk is full${MOUNTING.note}`, async () => {
    const directory = dirname(world.vaultPath);
    const disk = toSmallDisk(directory);
    try {
      world.broker.notices.start(world.byWebhook);
      disk.fill(8 * 1024 * 1024);
      expect((await world.untilTold()).json).toMatchObject({
        type: 'vault.disk_full',
        text: expect.stringMatching(
          /^vault needs you: the disk of the vault \S+ is nearly full, so no token is refreshed\. Make/,
        ),
        data: { kind: 'transition', level: 2, code: 'disk_full', next_step: 'broker check' },
      });
      disk.makeRoom();
      expect((await world.untilTold()).json).toMatchObject({
        type: 'vault.recovered',
        data: { kind: 'recovery' },
      });
      expect(world.receiver.received).toHaveLength(2);
    } finally {
      unmountAll(directory);
    }
  });
});

describe('a receiver that fails', () => {
  it('is tried again with the same id and a new time, quickly and then ever more rarely', async () => {
    world.broker.notices.start(world.byWebhook);
    world.receiver.answer(503);
    await world.endLogin();
    const first = await world.untilTold();
    for (let attempt = 2; attempt <= 5; attempt += 1) await world.untilTold();
    await vi.waitFor(() => expect(world.deliveries()).toMatchObject([{ attempts: 5, outcome: null }]));
    world.receiver.answer(200);
    const last = await world.untilTold();
    expect(last.body).toBe(first.body);
    expect(last.headers['webhook-id']).toBe(first.headers['webhook-id']);
    expect(Number(last.headers['webhook-timestamp'])).toBeGreaterThan(
      Number(first.headers['webhook-timestamp']) + 700,
    );
    expect(isSigned(last)).toBe(true);
    await vi.waitFor(() => expect(world.deliveries()).toMatchObject([{ attempts: 6, outcome: 'delivered' }]));
  });

  it('is left the time it asks for', async () => {
    world.receiver.answer(429, { 'retry-after': '3600' });
    await world.endLogin();
    await world.broker.notices.tellNow(world.byWebhook);
    const [delivery] = world.deliveries();
    expect(delivery).toMatchObject({ attempts: 1, next_attempt_at: world.clock.now() + 60 * MINUTE_MS });
  });

  it('is never asked again about what it answered with 410, and neither is a redirect followed', async () => {
    await world.endLogin();
    world.receiver.answer(410);
    const [failed] = await world.broker.notices.tellNow(world.byWebhook);
    expect(failed).toEqual({
      connection: 'demo',
      way: 'webhook',
      failure: 'the webhook answered 410: it is not tried again',
    });
    expect(world.deliveries()).toMatchObject([{ outcome: 'refused', next_attempt_at: null }]);
    world.receiver.answer(307, { location: world.receiver.url });
    await relogin();
    expect(await world.broker.notices.tellNow(world.byWebhook)).toEqual([]);
    await world.endLogin();
    let isOver = false;
    const telling = world.broker.notices.tellNow(world.byWebhook).finally(() => {
      isOver = true;
    });
    while (!isOver) await world.pass(0.5);
    expect(await telling).toMatchObject([{ failure: 'the webhook answered 307' }]);
  });

  it('that never heard of the trouble does not hear of its end', async () => {
    await world.endLogin();
    world.receiver.answer(429, { 'retry-after': '3600' });
    await world.broker.notices.tellNow(world.byWebhook);
    world.receiver.answer(204);
    await relogin();
    world.clock.jump(DAY_MS);
    expect(await world.broker.notices.tellNow(world.byWebhook)).toEqual([]);
    expect(world.receiver.received).toHaveLength(1);
    expect(world.deliveries()).toMatchObject([{ outcome: 'overtaken' }]);
    expect(await world.broker.notices.list()).toMatchObject([{ kind: 'recovery', deliveries: [] }, {}]);
  });
});
