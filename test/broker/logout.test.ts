import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { Fault } from '../support/fault.ts';
import { freePort } from '../support/free-port.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { signIn } from '../support/sign-in.ts';
import { auditTrail, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World, type WorldOptions } from '../support/world.ts';

let world: World;
let broker: Broker;

async function start(options: WorldOptions = {}): Promise<void> {
  world = await startWorld(options);
  broker = await world.openBroker();
}

const login = (options: Parameters<typeof signIn>[3] = {}) =>
  signIn(broker, world.authorizationServer, world.mcp.url, options);

const isRevocation = ({ path }: RecordedRequest) => path.endsWith('/revocation');
const isDeletion = ({ method }: RecordedRequest) => method === 'DELETE';
const seen = (is: (request: RecordedRequest) => boolean) => world.authorizationServer.requests.filter(is);
const count = (table: string) =>
  rowsOf<{ count: number }>(world.vaultPath, `SELECT COUNT(*) AS count FROM ${table}`)[0]?.count;

afterEach(() => world.close());

describe('a logout', () => {
  beforeEach(() => start());

  it('revokes refresh and access token, deletes the registration, and forgets all of it', async () => {
    await login();
    const token = (await broker.token(OPERATOR, 'demo')).accessToken.reveal();
    expect(await broker.logout(OPERATOR, 'demo')).toEqual({
      connection: 'demo',
      revocation: 'revoked',
      registration_deleted: true,
    });
    expect(seen(isRevocation).map(({ form }) => form?.token_type_hint)).toEqual([
      'refresh_token',
      'access_token',
    ]);
    expect(await world.authorizationServer.tokenIsActive(token)).toEqual({ active: false });
    expect(seen(isDeletion)).toMatchObject([{ status: 204 }]);
    for (const table of ['connections', 'servers', 'clients', 'rotations']) expect(count(table)).toBe(0);
    await expect(broker.token(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'not_found' });
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ action: 'logout', outcome: 'ok' });
  });

  it('deletes the registration only with the last connection that uses it', async () => {
    await login({ account: 'alice' });
    await login({ account: 'bob', person: 'bob' });
    expect(await broker.logout(OPERATOR, 'demo@alice')).toEqual({
      connection: 'demo@alice',
      revocation: 'revoked',
    });
    expect(seen(isDeletion)).toEqual([]);
    await broker.refresh(OPERATOR, 'demo@bob');
    expect(await broker.logout(OPERATOR, 'demo@bob')).toMatchObject({ registration_deleted: true });
    expect(seen(isDeletion)).toHaveLength(1);
  });

  it('revokes the newest pair after a refresh', async () => {
    await login();
    await broker.refresh(OPERATOR, 'demo');
    await broker.logout(OPERATOR, 'demo');
    const refreshToken = seen(isRevocation)[0]?.form?.token;
    expect(refreshToken).not.toBe(
      seen(({ grantType }) => grantType === 'refresh_token')[0]?.form?.refresh_token,
    );
    expect(seen(isRevocation).map(({ status }) => status)).toEqual([200, 200]);
  });

  it('makes room: the same server can be connected again, with a new registration', async () => {
    const first = await login();
    await broker.logout(OPERATOR, 'demo');
    const second = await login();
    expect(second.authorizationUrl.searchParams.get('client_id')).not.toBe(
      first.authorizationUrl.searchParams.get('client_id'),
    );
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ generation: 1, state: 'ok' });
  });

  it('of something unknown is not found', async () => {
    await expect(broker.logout(OPERATOR, 'coda')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('a logout where the server does not help', () => {
  it.each<[string, Fault]>([
    ['is out of order', { status: 500 }],
    ['cuts the connection', { destroyBefore: true }],
    ['refuses', { status: 400, body: { error: 'unsupported_token_type' } }],
  ])('still forgets here, and says so, when it %s', async (_, fault) => {
    await start();
    await login();
    world.authorizationServer.fail((request) =>
      isRevocation(request) || isDeletion(request) ? fault : undefined,
    );
    expect(await broker.logout(OPERATOR, 'demo')).toEqual({
      connection: 'demo',
      revocation: 'failed',
      registration_deleted: false,
    });
    expect(count('connections')).toBe(0);
  });

  it('still forgets here when it is gone', async () => {
    await start();
    await login();
    await world.authorizationServer.close();
    expect(await broker.logout(OPERATOR, 'demo')).toMatchObject({ revocation: 'failed' });
    expect(count('connections')).toBe(0);
  });

  it('says so when it offers no revocation', async () => {
    const metadata = ({ revocation_endpoint: _, ...document }: Record<string, unknown>) => document;
    await start({ authorizationServer: { metadata } });
    await login();
    expect(await broker.logout(OPERATOR, 'demo')).toMatchObject({ revocation: 'unsupported' });
  });
});

it('a client the operator configured is never erased, there or here', async () => {
  const callbackPort = await freePort();
  const client = {
    client_id: 'configured-client',
    redirect_uris: [`http://127.0.0.1:${callbackPort}/callback`],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
  } as const;
  await start({ authorizationServer: { clients: [client] } });
  await login({ clientId: 'configured-client', callbackPort });
  expect(await broker.logout(OPERATOR, 'demo')).toEqual({ connection: 'demo', revocation: 'revoked' });
  expect(seen(isDeletion)).toEqual([]);
  expect(count('clients')).toBe(1);
});
