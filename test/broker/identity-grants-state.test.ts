/** What becomes of connections by grants: their state follows the login of the person, and they share our client. */
import { describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { openGrantWorld } from '../support/grant-world.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const { world, broker, exchange, server, start, login, add } = openGrantWorld();

const token = async (name = 'internal@alice') => (await broker().token(OPERATOR, name)).accessToken.reveal();
const show = () => broker().show(OPERATOR, 'internal@alice');
const redeemed = () => server().asked.map(({ form }) => form);
const clients = () =>
  rowsOf<{ client_id: string }>(world().vaultPath, 'SELECT client_id FROM clients').map(
    (each) => each.client_id,
  );

describe('the state of such a connection', () => {
  it('is that of the login it is made from, with its remedy, and mended with it', async () => {
    await start();
    await add();
    await token();
    await world().authorizationServer.revokeGrantsOf('alice');
    await expect(broker().refresh(OPERATOR, 'corp@alice')).rejects.toThrow();
    world().clock.jump(MINUTE_MS);
    await expect(broker().refresh(OPERATOR, 'corp@alice')).rejects.toMatchObject({ code: 'login_required' });
    const remedy = { next_step: 'broker login corp@alice' };
    expect(await show()).toMatchObject({ state: 'login_required', ...remedy });
    expect(await broker().check(OPERATOR, 'internal@alice')).toMatchObject({ exit_code: 2, ...remedy });
    world().clock.jump(2 * HOUR_MS);
    await expect(token()).rejects.toMatchObject({ code: 'login_required', hint: 'broker login corp@alice' });
    await login('alice');
    expect(await broker().check(OPERATOR, 'internal@alice')).toMatchObject({ state: 'ok', exit_code: 0 });
    expect(await token()).toBe('fake-access-of-alice-2');
  });

  it('is found out by a check that refreshes, under its own name', async () => {
    await start();
    await add();
    await token();
    world().clock.jump(2 * HOUR_MS);
    const checked = { connection: 'internal@alice', state: 'ok', exit_code: 0 };
    expect(await broker().check(OPERATOR, 'internal@alice', { refresh: true })).toMatchObject(checked);
    expect(world().authorizationServer.refreshes()).toBe(1);
    expect(server().asked).toHaveLength(2);
    await broker().addIdentity({ name: 'other', url: server().mcp, source: 'corp', mode: 'forward' });
    expect(await broker().check(OPERATOR, 'other@alice', { refresh: true })).toMatchObject({
      ...{ ...checked, connection: 'other@alice' },
    });
    await world().authorizationServer.setListening(false);
    exchange().answer({ status: 503 });
    world().clock.jump(2 * HOUR_MS);
    expect(await broker().check(OPERATOR, 'internal@alice', { refresh: true })).toMatchObject({
      ...{
        connection: 'internal@alice',
        state: expect.stringMatching(/^(degraded|uncertain)$/),
        exit_code: 75,
      },
    });
    await world().authorizationServer.setListening(true);
  });

  it('is not that of the person before, when another one signs in under the name', async () => {
    await start();
    await add();
    expect(await token()).toBe('fake-access-of-alice-1');
    await login('alice', { person: 'mallory' });
    expect(await token()).toBe('fake-access-of-mallory-2');
    await broker().logout(OPERATOR, 'corp@alice');
    expect(rowsOf(world().vaultPath, "SELECT name FROM connections WHERE name LIKE 'internal%'")).toEqual([]);
    await login('alice');
    expect(await token()).toBe('fake-access-of-alice-3');
  });
});

describe('our client at the other server', () => {
  it('is shared by all users: one who is logged out takes it from nobody', async () => {
    await start();
    await login('bob');
    await add();
    await token();
    await broker().logout(OPERATOR, 'internal@alice');
    expect(await token('internal@bob')).toBe('fake-access-of-bob-2');
    expect(connectionRow(world().vaultPath, 'internal@bob')).toMatchObject({ state: 'ok' });
  });

  it('is replaced by the one of the next add, and by none where nothing is exchanged any more', async () => {
    await start();
    await add();
    await token();
    await add({ clientId: 'another' });
    expect(clients()).not.toContain('at-the-server');
    await token();
    expect(redeemed().at(-1)).toMatchObject({ client_id: 'another' });
    await broker().addIdentity({ name: 'internal', url: server().mcp, source: 'corp', mode: 'forward' });
    expect(clients()).not.toContain('another');
  });

  it.each([
    ['is missing', { clientId: undefined, clientSecret: undefined }, /wants to know our client$/],
    ['has a secret but no id', { clientId: undefined }, /^the OAuth client is missing$/],
    ['is of no use for what is forwarded', { mode: 'forward' }, /needs no client$/],
  ])('is refused when it %s', async (_, changes, message) => {
    await start();
    const refused = { code: 'usage', message: expect.stringMatching(message) };
    await expect(add(changes)).rejects.toMatchObject(refused);
  });

  it('is refused where no grants are taken', async () => {
    await start();
    const elsewhere = { url: world().mcp.url, name: 'other' };
    await expect(add(elsewhere)).rejects.toMatchObject({
      ...{ code: 'usage', message: expect.stringMatching(/does not take the company’s grants/) },
    });
    expect(clients()).not.toContain('at-the-server');
  });
});
