import { describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import type { AuthorizationServerOptions } from '../support/authorization-server.ts';
import type { Fault } from '../support/fault.ts';
import { freePort } from '../support/free-port.ts';
import { clientId, openRegistrationWorld } from '../support/registration-world.ts';
import { beginLogin, type SignInOptions } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';
import type { World } from '../support/world.ts';

const { login, asked, names, ...registrations } = openRegistrationWorld();

let world: World;
let broker: Broker;

async function start(authorizationServer?: AuthorizationServerOptions): Promise<void> {
  ({ world, broker } = await registrations.start(authorizationServer));
}

const clients = () => rowsOf(world.vaultPath, 'SELECT * FROM clients');

describe('a client of an earlier login', () => {
  it('is used again by every connection of its server', async () => {
    await start();
    const first = await login();
    expect(clientId(await login())).toBe(clientId(first));
    expect(clientId(await login({ account: 'bob' }))).toBe(clientId(first));
    expect(asked('POST')).toHaveLength(1);
    expect(clients()).toHaveLength(1);
  });

  it('is passed over when the person wants a new registration, which differs by its name', async () => {
    await start();
    const first = await login();
    const second = await login({ reregister: true });
    expect(clientId(second)).not.toBe(clientId(first));
    expect(names()).toEqual(['mcp-token-broker', expect.stringMatching(/^mcp-token-broker [0-9a-f]{8}$/)]);
    // The next login takes the new one.
    expect(clientId(await login())).toBe(clientId(second));
  });

  it('is passed over when the server no longer knew it', async () => {
    await start();
    const first = await login();
    const unknown: Fault = { status: 401, body: { error: 'invalid_client' } };
    world.authorizationServer.fail(({ grantType }) => (grantType ? unknown : undefined));
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'client_invalid' });
    world.authorizationServer.fail(undefined);
    expect(clientId(await login())).not.toBe(clientId(first));
    await broker.refresh(OPERATOR, 'demo');
  });

  it('must authenticate as the person wishes', async () => {
    await start();
    const first = await login();
    const second = await login({ authMethod: 'client_secret_basic' });
    expect(clientId(second)).not.toBe(clientId(first));
    await broker.refresh(OPERATOR, 'demo');
  });

  it('is not used while somebody else has its port', async () => {
    await start();
    await login();
    const waiting = beginLogin(broker, world.mcp.url);
    await waiting.authorizationUrl;
    await expect(beginLogin(broker, world.mcp.url).done).rejects.toMatchObject({ code: 'port_in_use' });
    waiting.abort();
    await expect(waiting.done).rejects.toMatchObject({ code: 'interrupted' });
  });
});

describe('a registration that cannot authenticate', () => {
  it.each(['client_secret_basic', 'client_secret_post', 'private_key_jwt'])(
    'with %s is told before a person is asked, and not kept',
    async (token_endpoint_auth_method) => {
      await start();
      const registered = { client_id: 'fake-registered', token_endpoint_auth_method };
      world.authorizationServer.fail(({ path, method }) =>
        path === '/reg' && method === 'POST' ? { status: 201, body: registered } : undefined,
      );
      const refused = beginLogin(broker, world.mcp.url);
      await expect(refused.done).rejects.toMatchObject({ code: 'config_error' });
      expect(refused.events.map(({ event }) => event)).toEqual(['discovered']);
      expect(clients()).toEqual([]);
      world.authorizationServer.fail(undefined);
      await login();
    },
  );
});

describe('a client that an operator configured', () => {
  let callbackPort: number;

  async function startConfigured(): Promise<void> {
    callbackPort = await freePort();
    const redirect_uris = [`http://127.0.0.1:${callbackPort}/callback`];
    const client = { client_id: 'configured-client', redirect_uris, application_type: 'native' } as const;
    await start({ clients: [{ ...client, token_endpoint_auth_method: 'none' }] });
    await login({ clientId: 'configured-client', callbackPort });
  }

  it('stays when nothing is said of it', async () => {
    await startConfigured();
    expect(clientId(await login())).toBe('configured-client');
  });

  it('stays when the person wants a new registration', async () => {
    await startConfigured();
    const { events } = await login({ reregister: true });
    expect(events[1]).toEqual({ event: 'registered', client_id: 'configured-client', source: 'configured' });
  });

  it('stays when the server refuses it: only an operator can tell why', async () => {
    await startConfigured();
    const unknown: Fault = { status: 401, body: { error: 'invalid_client' } };
    world.authorizationServer.fail(({ grantType }) => (grantType ? unknown : undefined));
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'client_invalid' });
    world.authorizationServer.fail(undefined);
    expect(clientId(await login())).toBe('configured-client');
    expect(asked('POST')).toEqual([]);
  });

  it.each<[string, (port: number) => SignInOptions]>([
    ['the port', (callbackPort) => ({ callbackPort })],
    ['the redirect URI', (port) => ({ redirectUri: `http://127.0.0.1:${port}/other` })],
    ['how it authenticates', () => ({ authMethod: 'client_secret_basic' })],
  ])('keeps its id when only %s changes, and nothing is registered', async (_, change) => {
    callbackPort = await freePort();
    const other = await freePort();
    const redirect_uris = [
      `http://127.0.0.1:${callbackPort}/callback`,
      `http://127.0.0.1:${other}/callback`,
      `http://127.0.0.1:${other}/other`,
    ];
    const client = { client_id: 'configured-client', redirect_uris, application_type: 'native' } as const;
    const client_secret = 'fake-configured-secret';
    const token_endpoint_auth_method = 'client_secret_post';
    await start({ clients: [{ ...client, client_secret, token_endpoint_auth_method }] });
    const entered = { clientId: 'configured-client', clientSecret: new Secret(client_secret), callbackPort };
    await login({ ...entered, authMethod: 'client_secret_post' });
    const changed = beginLogin(broker, world.mcp.url, change(other));
    const url = new URL(await changed.authorizationUrl);
    expect(url.searchParams.get('client_id')).toBe('configured-client');
    expect(changed.events[1]).toMatchObject({ source: 'configured' });
    changed.abort();
    await expect(changed.done).rejects.toMatchObject({ code: 'interrupted' });
    expect(asked('POST')).toEqual([]);
    const rows = rowsOf<{ client_id: string }>(world.vaultPath, 'SELECT client_id FROM clients');
    expect(new Set(rows.map(({ client_id }) => client_id))).toEqual(new Set(['configured-client']));
  });

  it('keeps its secret too, with which the login ends well', async () => {
    callbackPort = await freePort();
    const other = await freePort();
    const redirect_uris = [callbackPort, other].map((port) => `http://127.0.0.1:${port}/callback`);
    const client = { client_id: 'configured-client', redirect_uris, application_type: 'native' } as const;
    const client_secret = 'fake-configured-secret';
    await start({
      clients: [{ ...client, client_secret, token_endpoint_auth_method: 'client_secret_post' }],
    });
    await login({
      clientId: 'configured-client',
      clientSecret: new Secret(client_secret),
      authMethod: 'client_secret_post',
      callbackPort,
    });
    await login({ callbackPort: other, authMethod: 'client_secret_post' });
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ client_id: 'configured-client' });
    expect(asked('POST')).toEqual([]);
  });

  it('takes the place of a registered one', async () => {
    await startConfigured();
    const registered = await login({ name: 'other', callbackPort: await freePort() });
    expect(clientId(registered)).not.toBe('configured-client');
    const { events } = await login({ name: 'other', clientId: 'configured-client', callbackPort });
    expect(events[1]).toMatchObject({ source: 'configured' });
  });

  it('and cannot authenticate is refused before the person is asked, and not kept', async () => {
    callbackPort = await freePort();
    await start();
    const request = {
      clientId: 'configured-client',
      authMethod: 'client_secret_post',
      callbackPort,
    } as const;
    for (let time = 0; time < 2; time += 1) {
      const refused = beginLogin(broker, world.mcp.url, request);
      await expect(refused.done).rejects.toMatchObject({ code: 'config_error' });
      expect(refused.events.map(({ event }) => event)).toEqual(['discovered']);
    }
    expect(clients()).toEqual([]);
  });
});
