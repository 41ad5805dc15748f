/** Authorization servers that know no browser: their metadata has no authorization endpoint (RFC 8414 §2). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import { byPost } from '../support/machine-client.ts';
import { type MachineServer, startMachineServer } from '../support/machine-server.ts';
import { fakeMetadata, serveRoutes } from '../support/provider.ts';
import type { RawServer } from '../support/raw-server.ts';
import { beginLogin } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const METADATA = '/.well-known/oauth-authorization-server';

let world: World;
let broker: Broker;
let server: MachineServer;
let others: RawServer[];

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  server = await startMachineServer({ authorization_endpoint: undefined });
  others = [];
});

afterEach(async () => {
  await world.close();
  await server.close();
  await Promise.all(others.map((each) => each.close()));
});

async function serve(...start: Parameters<typeof serveRoutes>): Promise<RawServer> {
  const other = await serveRoutes(...start);
  others.push(other);
  return other;
}

const connections = () => rowsOf(world.vaultPath, 'SELECT name FROM connections');

describe('a server for machines alone', () => {
  it('gives a machine its token, and again when that has ended', async () => {
    expect(await broker.add(byPost(server.mcp))).toMatchObject({ state: 'ok', issuer: server.url });
    world.clock.jump(2 * 60 * 60_000);
    expect((await broker.token(OPERATOR, 'demo')).accessToken.reveal()).toBe('fake-access-2');
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 3 });
  });

  it('refuses a login by browser before anything is registered or stored', async () => {
    const { done, events } = beginLogin(broker, server.mcp);
    await expect(done).rejects.toMatchObject({
      code: 'discovery_failed',
      message: `nobody can sign in to ${server.url} with a browser: its metadata names no authorization endpoint`,
      hint: expect.stringContaining('broker add <name> --url <url> --client-credentials'),
    });
    expect(events).toEqual([]);
    expect(server.asked).toEqual([]);
    expect(connections()).toEqual([]);
  });

  it('takes over a refresh token all the same', async () => {
    server.answer(() => ({ status: 200, body: { access_token: 'fake-access', expires_in: 60 } }));
    const request = { clientId: 'fake-client', refreshToken: new Secret('fake-refresh') };
    expect(await beginLogin(broker, server.mcp, request).done).toMatchObject({ refresh_token: true });
  });

  it('is passed over by a login where the resource names another one', async () => {
    const people = await serve((url) => ({ [METADATA]: { status: 200, body: fakeMetadata(url) } }));
    const resource = await serve((url) => ({
      '/mcp': { status: 401 },
      '/.well-known/oauth-protected-resource/mcp': {
        status: 200,
        body: { resource: `${url}/mcp`, authorization_servers: [server.url, people.url] },
      },
    }));
    const login = beginLogin(broker, `${resource.url}/mcp`, { clientId: 'fake-client' });
    expect(new URL(await login.authorizationUrl).origin).toBe(people.url);
    login.abort();
    await expect(login.done).rejects.toMatchObject({ code: 'interrupted' });
  });
});
