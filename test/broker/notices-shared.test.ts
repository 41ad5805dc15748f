import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { NotifySettings } from '../../src/broker/notify-ways.ts';
import { Secret } from '../../src/secret.ts';
import { isSigned, type NoticeWorld, startNoticeWorld } from '../support/notice-world.ts';
import { signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

let world: NoticeWorld;
let log: string;

/** A command that writes the message down, a line each. */
const byCommand = (): NotifySettings => ({
  ...world.byWebhook,
  command: `echo "$BROKER_NOTICE_MESSAGE" >> '${log}'`,
  webhook: undefined,
});
const told = async () => (await readFile(log, 'utf8').catch(() => '')).split('\n').filter(Boolean);
const addToken = (endsAt: number) =>
  world.broker.addStatic({
    name: 'api',
    url: world.mcp.url,
    credential: { kind: 'bearer', token: new Secret('fake-pat') },
    expiresAt: endsAt,
  });
const relogin = () => signIn(world.broker, world.authorizationServer, world.mcp.url);

beforeEach(async () => {
  world = await startNoticeWorld({ isResident: false });
  log = join(world.home.path, 'told');
});

afterEach(() => world.close());

describe('several that see the same', () => {
  it('tell it once between them', async () => {
    const brokers = await Promise.all(Array.from({ length: 5 }, () => world.openBroker()));
    await world.endLogin();
    const failed = await Promise.all(brokers.map((each) => each.notices.tellNow(world.byWebhook)));
    expect(failed.flat()).toEqual([]);
    expect(world.receiver.received).toHaveLength(1);
    expect(rowsOf(world.vaultPath, 'SELECT kind FROM notices')).toEqual([{ kind: 'transition' }]);
  });

  it('leave to its sender what is on its way, and take it over a minute after the sender died', async () => {
    const other = await world.openBroker();
    await world.endLogin();
    const { promise: held, resolve: answer } = Promise.withResolvers<number>();
    world.receiver.answer(held);
    // As good as dead: what it claimed is on its way for more than a minute.
    const stuck = other.notices.tellNow(world.byWebhook);
    const first = await world.receiver.next();
    expect(await world.broker.notices.tellNow(world.byWebhook)).toEqual([]);
    expect(world.receiver.received).toHaveLength(1);
    world.clock.jump(MINUTE_MS + 1);
    world.receiver.answer(204);
    expect(await world.broker.notices.tellNow(world.byWebhook)).toEqual([]);
    const second = await world.receiver.next();
    expect(second.headers['webhook-id']).toBe(first.headers['webhook-id']);
    answer(500);
    await stuck;
    // What the first sender says late changes nothing.
    expect(world.deliveries()).toMatchObject([{ attempts: 2, outcome: 'delivered' }]);
    expect(world.receiver.received).toHaveLength(2);
  });

  it('tell each in its own way, when they are set up differently', async () => {
    await world.endLogin();
    await world.broker.notices.tellNow(world.byWebhook);
    await world.broker.notices.tellNow(byCommand());
    await world.broker.notices.tellNow(byCommand());
    expect(world.receiver.received).toHaveLength(1);
    expect(await told()).toEqual([world.receiver.received[0]?.json.text]);
    await relogin();
    await world.broker.notices.tellNow({ ...byCommand(), webhook: world.byWebhook.webhook });
    expect((await told())[1]).toMatch(/^demo works again/);
    expect(world.receiver.received[1]?.json.data.kind).toBe('recovery');
  });
});

describe('one way of two that fails', () => {
  it('does not keep the other from telling, and is told of the rest when it works again', async () => {
    const both = { ...byCommand(), webhook: world.byWebhook.webhook };
    world.receiver.answer(429, { 'retry-after': '600' });
    await world.endLogin();
    expect(await world.broker.notices.tellNow(both)).toEqual([
      { connection: 'demo', way: 'webhook', failure: 'the webhook answered 429' },
    ]);
    expect(await told()).toHaveLength(1);
    expect(await world.broker.notices.list()).toMatchObject([
      {
        deliveries: [
          { way: 'command', outcome: 'delivered' },
          { way: 'webhook', outcome: 'pending', attempts: 1, failure: 'the webhook answered 429' },
        ],
      },
    ]);
    world.receiver.answer(204);
    world.clock.jump(10 * MINUTE_MS);
    expect(await world.broker.notices.tellNow(both)).toEqual([]);
    expect(await told()).toHaveLength(1);
    expect(world.receiver.received.filter(isSigned)).toHaveLength(2);
  });
});

describe('a stop', () => {
  it('lets what is on its way arrive', async () => {
    const daemon = await world.openBroker({ isResident: true });
    await world.endLogin();
    const { promise: held, resolve: answer } = Promise.withResolvers<number>();
    world.receiver.answer(held);
    daemon.notices.start(world.byWebhook);
    await world.receiver.next();
    const closed = vi.fn();
    const closing = daemon.close().then(closed);
    expect(world.deliveries()).toMatchObject([{ outcome: null }]);
    expect(closed).not.toHaveBeenCalled();
    answer(204);
    await closing;
    expect(world.deliveries()).toMatchObject([{ outcome: 'delivered', attempts: 1 }]);
  });
});

describe('what is remembered of notices', () => {
  it('is 90 days, and of a connection that is still bad its last one', async () => {
    await world.endLogin();
    await world.broker.notices.tellNow(byCommand());
    await relogin();
    await world.broker.notices.tellNow(byCommand());
    world.clock.jump(91 * DAY_MS);
    await world.endLogin();
    await world.broker.notices.tellNow(byCommand());
    expect(rowsOf(world.vaultPath, 'SELECT kind, sequence FROM notices')).toEqual([
      { kind: 'transition', sequence: 3 },
    ]);
    expect(world.deliveries()).toHaveLength(1);
    await addToken(world.clock.now() + 1);
    world.clock.jump(1);
    await world.broker.notices.tellNow(byCommand());
    world.clock.jump(200 * DAY_MS);
    await world.broker.notices.tellNow(byCommand());
    expect(rowsOf(world.vaultPath, 'SELECT connection, kind FROM notices ORDER BY connection')).toEqual([
      { connection: 'api', kind: 'reminder' },
      { connection: 'demo', kind: 'reminder' },
    ]);
  });
});

describe('a person who signs in every few weeks', () => {
  it('is told of the end of a token that nobody can refresh, and again as it comes nearer', async () => {
    const { broker } = world;
    const days = async (left: number) => {
      world.clock.jump(endsAt - left * DAY_MS - world.clock.now());
      await broker.notices.tellNow(byCommand());
    };
    const endsAt = world.clock.now() + 40 * DAY_MS;
    await addToken(endsAt);
    for (const left of [20, 13, 12, 2, 1.5, 0.5]) await days(left);
    await days(-1);
    expect(await told()).toEqual([
      'api needs you soon: the credential ends in 13 days. Enter it again: broker add api --bearer-file <file>',
      'reminder: api needs you soon: the credential ends in 2 days. Enter it again: broker add api --bearer-file <file>',
      'reminder: api needs you soon: the credential ends in 12 hours. Enter it again: broker add api --bearer-file <file>',
      'api needs you: the credential has ended. Enter it again: broker add api --bearer-file <file>',
    ]);
    await addToken(world.clock.now() + 40 * DAY_MS);
    await broker.notices.tellNow(byCommand());
    expect((await told()).at(-1)).toBe('api works again (was down for 24 h)');
  });
});
