import { afterEach, describe, expect, it } from 'vitest';
import type { NewConnection } from '../../src/broker/add.ts';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import { byPost, MACHINE_KEY, withMachines } from '../support/machine-client.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { beginLogin, signIn } from '../support/sign-in.ts';
import { auditTrail, connectionRow, journal, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

afterEach(() => world.close());

async function start(): Promise<void> {
  world = await startWorld({ authorizationServer: withMachines() });
  broker = await world.openBroker();
}

const add = (changes: Partial<NewConnection> = {}) => broker.add(byPost(world.mcp.url, changes));

const isMint = ({ grantType }: RecordedRequest) => grantType === 'client_credentials';
const mints = () => world.authorizationServer.requests.filter(isMint);
const clients = () => rowsOf<{ client_id: string }>(world.vaultPath, 'SELECT * FROM clients');

const WRONG = { clientSecret: new Secret('fake-wrong-secret') };

describe('a connection with client credentials (RFC 6749 §4.4)', () => {
  it.each<[string, Partial<NewConnection>]>([
    ['a secret in the body', {}],
    ['a secret in HTTP Basic', { clientId: 'by-basic', authMethod: 'client_secret_basic' }],
    [
      'a signed assertion',
      {
        clientId: 'by-key',
        authMethod: undefined,
        clientSecret: undefined,
        clientKey: new Secret(MACHINE_KEY),
      },
    ],
  ])('gets a token for the resource with %s', async (_, changes) => {
    await start();
    expect(await add(changes)).toMatchObject({ name: 'demo', state: 'ok', grant: 'client credentials' });
    const { accessToken, resource, warnings } = await broker.token(OPERATOR, 'demo');
    expect(await world.authorizationServer.tokenIsActive(accessToken.reveal())).toMatchObject({
      active: true,
      aud: world.mcp.url,
      scope: 'mcp:all',
      client_id: changes.clientId ?? 'by-post',
    });
    expect({ resource, warnings }).toEqual({ resource: world.mcp.url, warnings: [] });
    expect(mints().map(({ status, form }) => [status, form?.resource])).toEqual([[200, world.mcp.url]]);
  });

  it('proves the credentials at once, and has no refresh token whose use would need a journal', async () => {
    await start();
    await add();
    expect(connectionRow(world.vaultPath)).toMatchObject({
      state: 'ok',
      has_refresh_token: 0,
      generation: 2,
    });
    expect(journal(world.vaultPath)).toEqual([]);
    expect(auditTrail(world.vaultPath)).toEqual([
      { actor: 'operator', action: 'login', outcome: 'ok' },
      { actor: 'operator', action: 'mint', outcome: 'ok' },
    ]);
  });

  it('asks for the scopes of the operator, else for those the server suggests', async () => {
    await start();
    world.authorizationServer.allowResource(world.mcp.url, 'mcp:all mcp:more');
    await add();
    await add({ scopes: ['mcp:more'] });
    expect(mints().map(({ form }) => form?.scope)).toEqual(['mcp:all', 'mcp:more']);
  });

  it('leaves out the resource where the operator says so', async () => {
    await start();
    // The provider demands it for this scope; what counts is what was sent.
    await add({ resourceParameter: 'omit' }).catch(() => undefined);
    expect(mints().map(({ form }) => form?.resource)).toEqual([undefined]);
  });
});

describe('adding it again', () => {
  it('replaces wrong credentials, which are then gone, and keeps name and agents', async () => {
    await start();
    await expect(add(WRONG)).rejects.toMatchObject({
      code: 'client_invalid',
      connection: 'demo',
      hint: 'broker refresh demo\nto correct what it shows: broker add demo …, with all it was added with',
    });
    const { id } = connectionRow(world.vaultPath);
    const { key } = await broker.agents.add({
      ...{ name: 'bot', allow: ['demo'], modes: ['token'], admin: false, expiresAt: null },
    });
    const agent = await broker.agents.authenticate(key);
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({
      state: 'client_invalid',
      code: 'invalid_client',
      next_step: 'broker refresh demo',
    });
    // Nobody asks for it over and over.
    await expect(broker.token({ kind: 'agent', agent }, 'demo')).rejects.toMatchObject({
      code: 'client_invalid',
    });
    expect(mints()).toHaveLength(1);

    await add();
    expect(connectionRow(world.vaultPath)).toMatchObject({ id, state: 'ok', failures: 0 });
    expect(clients()).toHaveLength(1);
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok' });
    await broker.token({ kind: 'agent', agent }, 'demo');
  });

  it('is not needed when the server knows the client again: the next step that was told mends it', async () => {
    await start();
    const unknown = { status: 401, body: { error: 'invalid_client' } };
    world.authorizationServer.fail((request) => (isMint(request) ? unknown : undefined));
    await expect(add()).rejects.toMatchObject({ code: 'client_invalid' });
    world.authorizationServer.fail(undefined);
    await broker.refresh(OPERATOR, 'demo');
    expect(connectionRow(world.vaultPath).state).toBe('ok');
  });

  it('may change how the client authenticates, and who it is', async () => {
    await start();
    await add();
    await add({ clientId: 'by-key', clientSecret: undefined, ...keyed() });
    expect(clients().map(({ client_id }) => client_id)).toEqual(['by-key']);
    expect(mints()).toHaveLength(2);
  });

  const keyed = () => ({ authMethod: undefined, clientKey: new Secret(MACHINE_KEY) });
});

describe('what cannot be added', () => {
  it('leaves nothing behind when the server cannot be found', async () => {
    await start();
    await world.mcp.close();
    await expect(add()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(clients()).toEqual([]);
    expect(await broker.list(OPERATOR)).toEqual([]);
    world.mcp.close = async () => {};
  });

  it('is a client that has nothing to authenticate with', async () => {
    await start();
    await expect(add({ clientSecret: undefined })).rejects.toMatchObject({ code: 'usage' });
    expect(clients()).toEqual([]);
    expect(mints()).toEqual([]);
  });

  it('is one in place of a person’s login, which is told and kept', async () => {
    await start();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    await expect(add()).rejects.toMatchObject({
      code: 'usage',
      message: 'demo is of kind oauth (the login of a person)',
      hint:
        `give that up first: broker logout demo; then the same command, with --url ${world.mcp.url}\n` +
        `or choose another name: broker add <name> --url ${world.mcp.url} …`,
    });
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ refresh_token: true });
    await broker.logout(OPERATOR, 'demo');
    expect(await add()).toMatchObject({ grant: 'client credentials' });
  });

  it('is one beside a person’s login at the same server, whose tokens would be asked for as a machine', async () => {
    await start();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    await expect(add({ name: 'demo@robot' })).rejects.toMatchObject({
      code: 'usage',
      connection: 'demo',
      hint: expect.stringContaining(`or choose another name: broker add <name> --url ${world.mcp.url} …`),
    });
    expect(await add({ name: 'robot' })).toMatchObject({ name: 'robot', server: 'robot' });
    await broker.refresh(OPERATOR, 'demo');
    await broker.refresh(OPERATOR, 'robot');
    expect(world.authorizationServer.refreshes()).toBe(1);
  });

  it('is no second machine at the same server, as long as both ask in the same way', async () => {
    await start();
    await add({ name: 'demo@one' });
    await add({ name: 'demo@two', clientId: 'by-basic', authMethod: 'client_secret_basic' });
    for (const name of ['demo@one', 'demo@two']) await broker.refresh(OPERATOR, name);
    await expect(
      add({ name: 'demo@three', grant: { kind: 'jwt_bearer', assertionFile: '/nothing' } }),
    ).rejects.toMatchObject({ code: 'usage' });
  });

  it('is no person’s login in its place either: that is told before anybody is asked', async () => {
    await start();
    await add();
    for (const name of ['demo', 'demo@alice']) {
      const refused = beginLogin(broker, world.mcp.url, { name });
      await expect(refused.done).rejects.toMatchObject({ code: 'usage' });
      expect(refused.events).toEqual([]);
    }
    await broker.refresh(OPERATOR, 'demo');
    await broker.logout(OPERATOR, 'demo');
    await signIn(broker, world.authorizationServer, world.mcp.url);
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ refresh_token: true });
  });

  it('names an identity provider by something that is no URL', async () => {
    await start();
    const identityProvider = { issuer: 'idp', clientId: 'us' };
    const grant = { kind: 'id_jag', subjectTokenFile: '/nothing', identityProvider } as const;
    await expect(add({ grant })).rejects.toMatchObject({ code: 'usage', message: '"idp" is no issuer' });
    expect(clients()).toEqual([]);
  });
});
