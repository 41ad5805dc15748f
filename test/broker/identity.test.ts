import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import { startInternal } from '../support/identity-world.ts';
import type { McpTestServer } from '../support/mcp-server.ts';
import { signIn } from '../support/sign-in.ts';
import { startTokenExchange, type TokenExchange } from '../support/token-exchange.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

let world: World;
let broker: Broker;
let exchange: TokenExchange;
let internal: McpTestServer;

beforeEach(async () => {
  exchange = await startTokenExchange();
  world = await startWorld({
    authorizationServer: {
      alwaysIssueRefreshToken: true,
      metadata: (document) => ({ ...document, token_endpoint: exchange.url }),
    },
  });
  exchange.serve(world.authorizationServer);
  internal = await startInternal(world.authorizationServer, exchange);
  broker = await world.openBroker();
  await login('alice');
});

afterEach(async () => {
  await world.close();
  await internal.close();
  await exchange.close();
});

const login = (person: string) =>
  signIn(broker, world.authorizationServer, world.authorizationServer.issuer, {
    ...{ name: 'corp', account: person, person },
  });
const add = (mode: 'forward' | 'exchange') =>
  broker.addIdentity({ name: 'internal', url: internal.url, source: 'corp', mode });
const token = async (name = 'internal@alice') => (await broker.token(OPERATOR, name)).accessToken.reveal();
const show = (name = 'internal@alice') => broker.show(OPERATOR, name);
const names = async () => (await broker.list(OPERATOR)).map(({ name }) => name);
const refreshes = () => world.authorizationServer.refreshes();

/** The company ends what alice granted, and both attempts to refresh say so. */
async function endLogin(): Promise<void> {
  await world.authorizationServer.revokeGrantsOf('alice');
  await expect(broker.refresh(OPERATOR, 'corp@alice')).rejects.toThrow();
  world.clock.jump(MINUTE_MS);
  await expect(broker.refresh(OPERATOR, 'corp@alice')).rejects.toMatchObject({ code: 'login_required' });
}

describe('a connection made from an identity', () => {
  it.each(['forward', 'exchange'] as const)(
    '(%s) is in the state of the login, with its remedy',
    async (mode) => {
      expect(await add(mode)).toMatchObject({ connections: ['internal@alice'], source: 'corp' });
      await token();
      expect(await show()).toMatchObject({ kind: 'identity', state: 'ok' });
      await endLogin();
      expect(await show()).toMatchObject({ state: 'login_required', next_step: 'broker login corp@alice' });
      world.clock.jump(2 * HOUR_MS);
      await expect(token()).rejects.toMatchObject({
        code: 'login_required',
        hint: 'broker login corp@alice',
      });
      await login('alice');
      expect(await show()).toMatchObject({ state: 'ok' });
      expect(await token()).toBeTruthy();
    },
  );

  it.each(['forward', 'exchange'] as const)('(%s) appears with each login, and needs one', async (mode) => {
    await add(mode);
    expect(await names()).toEqual(['corp@alice', 'internal@alice']);
    await expect(token('internal@bob')).rejects.toMatchObject({
      ...{ code: 'login_required', hint: 'broker login corp@bob' },
    });
    await login('bob');
    expect(await names()).toEqual(['corp@alice', 'corp@bob', 'internal@alice', 'internal@bob']);
    expect(await token('internal@bob')).not.toBe(await token());
  });

  it.each(['forward', 'exchange'] as const)('(%s) is refused once its login is logged out', async (mode) => {
    await add(mode);
    await token();
    await broker.logout(OPERATOR, 'corp@alice');
    await expect(token()).rejects.toMatchObject({ code: 'login_required', hint: 'broker login corp@alice' });
  });

  it('that is forwarded does not take the login along when it is logged out', async () => {
    await add('forward');
    await expect(broker.logout(OPERATOR, 'internal@alice')).rejects.toMatchObject({
      ...{ code: 'usage', hint: 'broker logout corp@alice' },
    });
    expect(await names()).toContain('corp@alice');
  });

  it('is there again after the login was logged out and made again', async () => {
    await add('exchange');
    await token();
    await broker.logout(OPERATOR, 'internal@alice');
    expect(await names()).toEqual(['corp@alice', 'internal@alice']);
    await broker.logout(OPERATOR, 'corp@alice');
    await signIn(broker, world.authorizationServer, 'corp@alice', { name: undefined });
    expect(await token()).toBe('fake-exchanged-2');
  });

  it('that was exchanged is forwarded once the server is added so', async () => {
    await add('exchange');
    expect(await token()).toBe('fake-exchanged-1');
    await add('forward');
    expect(await token()).toBe(await token('corp@alice'));
  });

  it('that was forwarded is exchanged once the server is added so', async () => {
    await add('forward');
    const own = await token('corp@alice');
    expect(await token()).toBe(own);
    await add('exchange');
    expect(await token()).toBe('fake-exchanged-1');
  });
});

describe('an exchanged token', () => {
  it('is asked for once for all, kept, and asked for anew when it ends, with an identity that lives', async () => {
    await add('exchange');
    expect(new Set(await Promise.all([token(), token(), token()]))).toEqual(new Set(['fake-exchanged-1']));
    expect(exchange.exchanges).toHaveLength(1);
    expect(refreshes()).toBe(0);
    world.clock.jump(2 * HOUR_MS);
    expect(await token()).toBe('fake-exchanged-2');
    expect(refreshes()).toBe(1);
    expect(connectionRow(world.vaultPath, 'internal@alice')).toMatchObject({ state: 'ok' });
  });

  it('is asked for anew when the server is added with other scopes', async () => {
    await add('exchange');
    await token();
    const wanted = { name: 'internal', url: internal.url, source: 'corp', mode: 'exchange' } as const;
    await broker.addIdentity({ ...wanted, scopes: ['reports'] });
    expect(await token()).toBe('fake-exchanged-2');
    expect(exchange.exchanges.map(({ scope }) => scope)).toEqual([undefined, 'reports']);
  });

  it('is not in clear in the vault', async () => {
    await add('exchange');
    await token();
    expect(JSON.stringify(rowsOf(world.vaultPath, 'SELECT * FROM connections'))).not.toContain(
      'fake-exchanged',
    );
  });
});

describe('a server of identities', () => {
  it('needs a source of logins, and a name no other connection has', async () => {
    const refused = { code: 'usage' };
    const wanted = { url: internal.url, mode: 'forward' } as const;
    await expect(broker.addIdentity({ ...wanted, name: 'internal', source: 'nobody' })).rejects.toMatchObject(
      refused,
    );
    await expect(
      broker.addIdentity({ ...wanted, name: 'internal@alice', source: 'corp' }),
    ).rejects.toMatchObject(refused);
    const credential = { kind: 'bearer', token: new Secret('fake-pat') } as const;
    await broker.addStatic({ name: 'internal', url: internal.url, credential });
    await expect(broker.addIdentity({ ...wanted, name: 'internal', source: 'corp' })).rejects.toMatchObject(
      refused,
    );
    await expect(broker.addIdentity({ ...wanted, name: 'again', source: 'internal' })).rejects.toMatchObject(
      refused,
    );
  });
});
