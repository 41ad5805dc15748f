import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import { startInternal } from '../support/identity-world.ts';
import { startMachineServer } from '../support/machine-server.ts';
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

  it.each(['forward', 'exchange'] as const)(
    '(%s) can be allowed by name before it was ever used, and is shown with the agent',
    async (mode) => {
      await add(mode);
      const agent = { modes: ['token' as const], admin: false, expiresAt: null };
      await broker.agents.add({ ...agent, name: 'one', allow: ['internal@alice'] });
      await broker.agents.add({ ...agent, name: 'all', allow: ['internal@*'] });
      for (const name of ['one', 'all'])
        expect(await broker.agents.show(name)).toMatchObject({
          connections: ['internal@alice'],
          unmatched: [],
        });
      const absent = broker.agents.add({ ...agent, name: 'two', allow: ['internal@bob'] });
      await expect(absent).rejects.toMatchObject({ code: 'usage', connection: 'internal@bob' });
    },
  );

  it('that is forwarded does not take the login along when it is logged out', async () => {
    await add('forward');
    await expect(broker.logout(OPERATOR, 'internal@alice')).rejects.toMatchObject({
      code: 'usage',
      hint: 'to end that login: broker logout corp@alice\nto give up internal for all its users: broker logout internal',
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

describe('a server of identities that is logged out', () => {
  const revoked = () =>
    world.authorizationServer.requests
      .filter(({ path }) => path.endsWith('/revocation'))
      .map(({ form }) => form?.token);
  const rows = (table: string) => rowsOf<{ id: string }>(world.vaultPath, `SELECT * FROM ${table}`);

  it('and forwarded is gone for all, and touches no login', async () => {
    await login('bob');
    await add('forward');
    const own = await token();
    expect(await broker.logout(OPERATOR, 'internal')).toEqual({
      ...{ connection: 'internal', revocation: 'nothing', gone: ['internal@alice', 'internal@bob'] },
    });
    expect(await names()).toEqual(['corp@alice', 'corp@bob']);
    await expect(token()).rejects.toMatchObject({ code: 'not_found' });
    expect(revoked()).toEqual([]);
    expect(await token('corp@alice')).toBe(own);
    await add('forward');
    expect(await token()).toBe(own);
  });

  it('and exchanged ends what was exchanged, and nothing else', async () => {
    await login('bob');
    await add('exchange');
    const [exchanged, own] = [await token(), await token('corp@alice')];
    expect(await broker.logout(OPERATOR, 'internal')).toMatchObject({
      ...{ revocation: 'revoked', gone: ['internal@alice', 'internal@bob'] },
    });
    expect(revoked()).toEqual([exchanged]);
    expect(rows('connections')).toHaveLength(2);
    expect(rowsOf(world.vaultPath, 'SELECT name FROM servers')).toEqual([{ name: 'corp' }]);
    expect(await token('corp@alice')).toBe(own);
    expect(await broker.refresh(OPERATOR, 'corp@alice')).toMatchObject({ state: 'ok' });
  });

  it('is not found a second time, and no agent may do it for all users', async () => {
    await add('forward');
    const { key } = await broker.agents.add({
      ...{ name: 'hub', allow: ['internal', 'internal@*'], modes: ['token'], admin: true, expiresAt: null },
      allowUnknown: true,
    });
    const agent = await broker.agents.authenticate(key);
    await expect(broker.logout({ kind: 'agent', agent }, 'internal')).rejects.toMatchObject({
      ...{ code: 'login_required', hint: 'broker login corp' },
    });
    expect(await names()).toContain('internal@alice');
    await broker.logout(OPERATOR, 'internal');
    await expect(broker.logout(OPERATOR, 'internal')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('keeps its client of its own as long as users may come, and then forgets it', async () => {
    const server = await startMachineServer({
      authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'],
    });
    const wanted = { name: 'internal', url: server.mcp, source: 'corp', mode: 'exchange' } as const;
    const as = (clientId: string) =>
      broker.addIdentity({ ...wanted, clientId, clientSecret: new Secret('fake-client-secret') });
    const clients = () =>
      rowsOf<{ client_id: string }>(world.vaultPath, "SELECT * FROM clients WHERE redirect_uri = ''");
    try {
      expect(await as('us')).toMatchObject({ way: 'id_jag' });
      // An ID token is no access token to this company: what counts is that the connection is there.
      await token().catch(() => undefined);
      await broker.logout(OPERATOR, 'internal@alice');
      expect(clients().map(({ client_id }) => client_id)).toEqual(['us']);
      await token().catch(() => undefined);
      expect(connectionRow(world.vaultPath, 'internal@alice')).toBeTruthy();
      await as('us-again');
      expect(clients().map(({ client_id }) => client_id)).toEqual(['us-again']);
      await broker.logout(OPERATOR, 'internal');
      expect(clients()).toEqual([]);
    } finally {
      await server.close();
    }
  });
});

describe('a credential entered by hand in place of a server of identities', () => {
  const credential = { kind: 'bearer', token: new Secret('fake-pat') } as const;
  const enter = (name: string) => broker.addStatic({ name, url: internal.url, credential });

  it.each(['forward', 'exchange'] as const)(
    '(%s) takes the place of all of it, and says so',
    async (mode) => {
      await add(mode);
      await token();
      expect(await enter('internal')).toMatchObject({
        kind: 'bearer',
        notes: [
          'it was of kind identity (made from the logins at corp); those logins stay',
          'no longer there: internal@alice',
        ],
      });
      expect(await names()).toEqual(['corp@alice', 'internal']);
      expect(await token('internal')).toBe('fake-pat');
      await expect(token()).rejects.toMatchObject({ code: 'not_found' });
    },
  );

  it.each(['forward', 'exchange'] as const)('(%s) is refused for a single account', async (mode) => {
    await add(mode);
    const before = await token();
    for (const name of ['internal@alice', 'internal@bob']) {
      await expect(enter(name)).rejects.toMatchObject({
        code: 'usage',
        message: 'internal is of kind identity (made from the logins at corp)',
        hint: expect.stringContaining('or give up what is there: broker logout internal'),
      });
    }
    expect(await token()).toBe(before);
  });
});
