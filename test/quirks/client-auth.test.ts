/** Servers that want to be told in an odd way who the client is. */
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import { Secret } from '../../src/secret.ts';
import { freePort } from '../support/free-port.ts';
import { rowsOf } from '../support/vault-file.ts';
import type { Oddities } from './odd-server.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: OddWorld;

async function start(oddities?: Oddities): Promise<void> {
  world = await startOddWorld(oddities);
}

afterEach(() => world.close());

const offering = (methods: string[] | undefined): Oddities['metadata'] => {
  return (document) => ({ ...document, token_endpoint_auth_methods_supported: methods });
};

/** Where the client said who it is, at each token request: the server is strict and takes it in one place only. */
const places = () =>
  world.server.tokenRequests().map(({ form, authorization }) => ({
    header: authorization?.split(' ')[0],
    id: form.has('client_id'),
    secret: form.has('client_secret'),
  }));

const POST = { header: undefined, id: true, secret: true };
const BASIC = { header: 'Basic', id: false, secret: false };
const NONE = { header: undefined, id: true, secret: false };

describe('the authentication of a registered client', () => {
  it.each([
    ['none', ['none'], NONE],
    ['none, if that is offered besides others', ['client_secret_basic', 'none'], NONE],
    ['in the body, where that is the only way', ['client_secret_post'], POST],
    ['in the header, where that is the only way', ['client_secret_basic'], BASIC],
    ['in the body, where both are offered', ['client_secret_basic', 'client_secret_post'], POST],
    ['in the header, where nothing is said', undefined, BASIC],
  ])('is %s', async (_, methods, place) => {
    await start({ metadata: offering(methods) });
    await world.signIn();
    await world.broker.refresh(OPERATOR, 'demo');
    expect(places()).toEqual([place, place]);
  });

  it('is what the server answered, not what was asked for', async () => {
    await start({
      register: (wanted) => ({
        status: 201,
        body: { ...wanted, client_secret: 'of-this-test', token_endpoint_auth_method: 'client_secret_basic' },
      }),
    });
    await world.signIn();
    expect(world.server.registrations()).toMatchObject([{ token_endpoint_auth_method: 'none' }]);
    expect(places()).toEqual([BASIC]);
  });

  it('is none where the secret answered is empty, which is not sent', async () => {
    await start({ register: (wanted) => ({ status: 201, body: { ...wanted, client_secret: '' } }) });
    await world.signIn();
    expect(places()).toEqual([NONE]);
  });

  it('is tried once with a secret that came although none was wanted, and kept when it works', async () => {
    await start({
      register: (wanted) => ({ status: 201, body: { ...wanted, client_secret: 'of-this-test' } }),
      demands: 'client_secret_post',
    });
    await world.signIn();
    expect(places()).toEqual([NONE, POST]);
    await world.broker.refresh(OPERATOR, 'demo');
    expect(places()).toEqual([NONE, POST, POST]);
    expect(rowsOf(world.vaultPath, 'SELECT auth_method FROM clients')).toEqual([
      { auth_method: 'client_secret_post' },
    ]);
  });

  it('that is refused in every way is tried no more than twice', async () => {
    await start({
      register: (wanted) => ({ status: 201, body: { ...wanted, client_secret: 'of-this-test' } }),
      token: () => ({ status: 401, body: { error: 'invalid_client' } }),
    });
    await expect(world.signIn()).rejects.toMatchObject({ code: 'login_refused' });
    expect(places()).toEqual([NONE, POST]);
  });
});

describe('a secret that holds reserved characters', () => {
  const secret = 'a/b+c=d e%:&';

  async function signIn(methods: string[], odd: Oddities, request: Partial<LoginRequest> = {}) {
    const port = await freePort();
    const redirectUris = [`http://127.0.0.1:${port}/callback`];
    const [method = ''] = methods;
    await start({
      metadata: offering(methods),
      clients: [{ id: 'a:b', secret, method, redirectUris }],
      ...odd,
    });
    await world.signIn({ clientId: 'a:b', clientSecret: new Secret(secret), callbackPort: port, ...request });
    await world.broker.refresh(OPERATOR, 'demo');
  }

  it('is encoded like a form in the header (RFC 6749 §2.3.1)', async () => {
    await signIn(['client_secret_basic'], {});
    expect(places()).toEqual([BASIC, BASIC]);
  });

  it('goes into the body where both are offered', async () => {
    await signIn(['client_secret_post', 'client_secret_basic'], {});
    expect(places()).toEqual([POST, POST]);
  });
});

describe('a server that does not decode the header', () => {
  it('gets it as it is where an operator says so, also at each refresh', async () => {
    const port = await freePort();
    const client = { id: 'raw', secret: 'a/b+c=d%', method: 'client_secret_basic' };
    await start({
      metadata: offering(['client_secret_basic']),
      clients: [{ ...client, redirectUris: [`http://127.0.0.1:${port}/callback`] }],
      decodesBasic: false,
    });
    const request = { clientId: client.id, clientSecret: new Secret(client.secret), callbackPort: port };
    await expect(world.signIn(request)).rejects.toMatchObject({ code: 'login_refused' });
    await world.signIn({ ...request, basicEncoding: 'raw' });
    await world.broker.refresh(OPERATOR, 'demo');
    expect(places()).toEqual([BASIC, BASIC, BASIC]);
  });
});
