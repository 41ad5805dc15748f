/** A machine that proves who it is with a key made here: only its public half ever leaves. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AddedMachineView, NewConnection } from '../../src/broker/add.ts';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import { byPost, MACHINE_KEY, withMachines } from '../support/machine-client.ts';
import { startMachineServer } from '../support/machine-server.ts';
import { type RegisteredMachine, registerMachine } from '../support/registered-machine.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;
let machine: RegisteredMachine;

beforeEach(async () => {
  world = await startWorld({ authorizationServer: withMachines() });
  broker = await world.openBroker();
  machine = await registerMachine(world.authorizationServer.issuer);
});

afterEach(() => world.close());

const add = (changes: Partial<NewConnection> = {}): Promise<AddedMachineView> =>
  broker.add({
    ...{ name: 'demo', url: world.mcp.url, grant: { kind: 'client_credentials' } },
    ...{ clientId: machine.clientId, generateKey: true, ...changes },
  });
const mints = () =>
  world.authorizationServer.requests.filter(({ grantType }) => grantType === 'client_credentials').length;
const token = async () => (await broker.token(OPERATOR, 'demo')).accessToken.reveal();
const NOT_REGISTERED = { state: 'client_invalid', code: 'key_not_registered' };

describe('a key made here', () => {
  it('is told by its public half, and used once its operator has registered it', async () => {
    const { client_jwks, ...added } = await add();
    expect(added).toMatchObject({ ...NOT_REGISTERED, auth_method: 'private_key_jwt', is_key_new: true });
    const some = expect.any(String);
    expect(client_jwks?.keys).toEqual([{ kty: 'EC', crv: 'P-256', use: 'sig', x: some, y: some, kid: some }]);
    expect(mints()).toBe(0);
    await machine.enterKeys(client_jwks);
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok' });
    expect(await world.authorizationServer.tokenIsActive(await token())).toMatchObject({
      ...{ active: true, client_id: machine.clientId },
    });
    world.clock.jump(2 * 60 * 60_000);
    expect(await world.authorizationServer.tokenIsActive(await token())).toMatchObject({ active: true });
  });

  it('asks nobody for a token before that, and says what to do', async () => {
    await add();
    await expect(token()).rejects.toMatchObject({ code: 'client_invalid', hint: 'broker refresh demo' });
    expect(mints()).toBe(0);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'client_invalid' });
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'client_invalid', code: 'invalid_client' });
  });

  it('is shown again to the operator, and is in the vault only sealed', async () => {
    const { client_jwks } = await add();
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ client_jwks });
    const agent = { name: 'bot', allow: ['demo'], modes: ['token' as const], admin: false, expiresAt: null };
    const { key } = await broker.agents.add(agent);
    const caller = { kind: 'agent', agent: await broker.agents.authenticate(key) } as const;
    expect(await broker.show(caller, 'demo')).not.toHaveProperty('client_jwks');
    expect(await broker.list(OPERATOR)).toEqual([expect.not.objectContaining({ client_jwks })]);
    const [{ secrets } = { secrets: '' }] = rowsOf<{ secrets: string }>(
      world.vaultPath,
      'SELECT * FROM clients',
    );
    expect(secrets).toMatch(/^ey[\w-]+\.[\w-]*\./);
  });

  it('stays when the connection is added again, so that nobody has to register it twice', async () => {
    const { client_jwks } = await add();
    await machine.enterKeys(client_jwks);
    const again = await add({ scopes: ['mcp:all'] });
    expect(again).toMatchObject({ client_jwks, state: 'ok', scope: 'mcp:all' });
    expect(again).not.toHaveProperty('is_key_new');
    expect(rowsOf(world.vaultPath, 'SELECT id FROM clients')).toHaveLength(1);
  });

  it('is another one for another client, and after a logout', async () => {
    const first = await add();
    const other = await registerMachine(world.authorizationServer.issuer);
    const second = await add({ clientId: other.clientId });
    expect(second.client_jwks).not.toEqual(first.client_jwks);
    await broker.logout(OPERATOR, 'demo');
    expect((await add({ clientId: other.clientId })).client_jwks).not.toEqual(second.client_jwks);
  });

  it('is of an algorithm that the server takes', async () => {
    const server = await startMachineServer({ token_endpoint_auth_signing_alg_values_supported: ['EdDSA'] });
    const added = await add({ name: 'other', url: server.mcp });
    expect(added.client_jwks?.keys).toMatchObject([{ kty: 'OKP', crv: 'Ed25519' }]);
    await server.close();
  });

  it.each<[string, Partial<NewConnection>]>([
    ['a secret', { clientSecret: new Secret('fake-secret') }],
    ['a key that is given', { clientKey: new Secret(MACHINE_KEY) }],
    ['another way to authenticate', { authMethod: 'client_secret_basic' }],
    ['no client', { clientId: undefined }],
  ])('is refused together with %s, and nothing is stored', async (_, changes) => {
    await expect(add(changes)).rejects.toMatchObject({ code: 'usage' });
    expect(rowsOf(world.vaultPath, 'SELECT id FROM clients')).toEqual([]);
  });
});

describe('a key that is given', () => {
  it('is refused before anybody is asked when it cannot sign', async () => {
    const key = { authMethod: undefined, clientSecret: undefined, clientKey: new Secret('fake words') };
    await expect(broker.add(byPost(world.mcp.url, { clientId: 'by-key', ...key }))).rejects.toMatchObject({
      ...{ code: 'usage', message: expect.stringMatching(/neither an unencrypted PEM/) },
    });
    expect(world.authorizationServer.requests.filter(({ path }) => path.startsWith('/.well-known/'))).toEqual(
      [],
    );
    expect(rowsOf(world.vaultPath, 'SELECT name FROM connections')).toEqual([]);
  });

  it('is refused where the server takes no signature of its kind, and nothing is stored', async () => {
    const server = await startMachineServer({ token_endpoint_auth_signing_alg_values_supported: ['RS256'] });
    const key = { authMethod: undefined, clientSecret: undefined, clientKey: new Secret(MACHINE_KEY) };
    await expect(broker.add(byPost(server.mcp, { clientId: 'by-key', ...key }))).rejects.toMatchObject({
      ...{
        code: 'config_error',
        message: expect.stringMatching(/signs with ES256, and the server takes "RS256"$/),
      },
    });
    expect(server.asked).toEqual([]);
    expect(rowsOf(world.vaultPath, 'SELECT name FROM connections')).toEqual([]);
    await server.close();
  });
});
