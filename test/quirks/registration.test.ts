/** Servers that register clients in odd ways, forget them, or do not register any. */
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { Secret } from '../../src/secret.ts';
import { freePort } from '../support/free-port.ts';
import { beginLogin } from '../support/sign-in.ts';
import { connectionRow } from '../support/vault-file.ts';
import type { Oddities } from './odd-server.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: OddWorld;

async function start(oddities?: Oddities): Promise<void> {
  world = await startOddWorld(oddities);
}

afterEach(() => world.close());

/** All a server was told, bodies, queries and headers alike. */
const toldTo = (server: OddWorld['server']) => JSON.stringify(server.requests);

describe('a registration', () => {
  it('is used again at the next login, by another process too, with the very redirect URI', async () => {
    await start();
    const first = await world.signIn();
    const again = await world.openBroker();
    const login = beginLogin(again, 'demo', { name: undefined });
    const asked = new URL(await login.authorizationUrl).searchParams;
    login.abort();
    await expect(login.done).rejects.toMatchObject({ code: 'interrupted' });
    expect(asked.get('client_id')).toBe(first.asked.get('client_id'));
    expect(asked.get('redirect_uri')).toBe(first.asked.get('redirect_uri'));
    expect(world.server.registrations()).toHaveLength(1);
  });

  it('belongs to one issuer: a resource that moves to another never shows that one what the first gave', async () => {
    await start();
    const { asked: first } = await world.signIn();
    const [old] = world.server.tokenRequests();
    const { accessToken } = await world.broker.token(OPERATOR, 'demo');
    const other = await world.add({
      register: (wanted) => ({ status: 201, body: { ...wanted, client_id: 'new' } }),
    });
    other.change({ resource: () => ({ resource: world.server.mcp }) });
    world.server.change({ resource: (document) => ({ ...document, authorization_servers: [other.url] }) });
    const { connected, asked: second } = await world.signIn({}, { approve: other });
    expect(connected.issuer).toBe(other.url);
    expect(second.get('client_id')).toBe('new');
    for (const known of [first.get('client_id'), old?.form.get('code'), accessToken.reveal()]) {
      expect(toldTo(other)).not.toContain(known);
    }
    await world.broker.refresh(OPERATOR, 'demo');
    expect(other.tokenRequests('refresh_token')).toHaveLength(1);
    expect(world.server.tokenRequests('refresh_token')).toEqual([]);
    // Back again, the first registration is still there.
    world.server.change({
      resource: (document) => ({ ...document, authorization_servers: [world.server.url] }),
    });
    expect((await world.signIn()).asked.get('client_id')).toBe(first.get('client_id'));
  });

  it('by hand belongs to one issuer too: elsewhere the login ends instead of sending it', async () => {
    const port = await freePort();
    const redirectUris = [`http://127.0.0.1:${port}/callback`];
    await start({ clients: [{ id: 'by-hand', method: 'none', redirectUris }] });
    await world.signIn({ clientId: 'by-hand', callbackPort: port });
    const other = await world.add();
    other.change({ metadata: ({ registration_endpoint: _, ...rest }) => rest });
    world.server.change({ resource: (document) => ({ ...document, authorization_servers: [other.url] }) });
    expect(await world.refused()).toMatchObject({ code: 'registration_refused' });
    expect(toldTo(other)).not.toContain('by-hand');
  });

  it('asks for a native client with both grants where the browser comes back to this machine', async () => {
    await start();
    await world.signIn();
    expect(world.server.registrations()).toMatchObject([
      { application_type: 'native', grant_types: ['authorization_code', 'refresh_token'] },
    ]);
  });

  it('asks for a web client where the browser comes back to a page', async () => {
    await start();
    const redirectUri = 'https://agents.example.com/oauth/callback';
    const { asked } = await world.signIn({ redirectUri, paste: true }, { by: 'paste' });
    expect(asked.get('redirect_uri')).toBe(redirectUri);
    expect(world.server.registrations()).toMatchObject([
      { application_type: 'web', redirect_uris: [redirectUri] },
    ]);
  });

  it('is tried with localhost where a server does not like an address', async () => {
    await start({ register: noAddress });
    const { asked } = await world.signIn();
    expect(asked.get('redirect_uri')).toMatch(/^http:\/\/localhost:\d+\/callback$/);
    expect(world.server.registrations()).toHaveLength(2);
    // The same one the next time, without asking.
    expect((await world.signIn()).asked.get('redirect_uri')).toBe(asked.get('redirect_uri'));
    expect(world.server.registrations()).toHaveLength(2);
  });

  it('is tried once only with localhost, and the words of the server are shown', async () => {
    await start({ register: () => noUri });
    expect(await world.refused()).toMatchObject({
      code: 'registration_refused',
      message: expect.stringContaining('400 invalid_redirect_uri "only pages of ours"'),
    });
    expect(world.server.registrations()).toHaveLength(2);
  });

  it('without the refresh grant is asked for where a server refuses to see it named', async () => {
    const knows = ['authorization_code'];
    await start({
      register: (wanted) =>
        JSON.stringify(wanted.grant_types) === JSON.stringify(knows)
          ? undefined
          : { status: 400, body: { error: 'invalid_client_metadata' } },
    });
    expect((await world.signIn()).connected.refresh_token).toBe(true);
    expect(world.server.registrations().map(({ grant_types }) => grant_types)).toEqual([
      ['authorization_code', 'refresh_token'],
      knows,
    ]);
  });

  it('that is answered with 200, nulls and gaps is the one that was wanted', async () => {
    await start({
      register: () => ({
        status: 200,
        body: {
          ...{ client_id: 'sparse', client_secret: null, client_secret_expires_at: null },
          ...{ token_endpoint_auth_method: null, redirect_uris: null, scope: null },
        },
      }),
      answer: (body) => ({ ...body, error: null, scope: null, id_token: null }),
    });
    expect((await world.signIn()).asked.get('client_id')).toBe('sparse');
    const [{ form } = { form: undefined }] = world.server.tokenRequests();
    expect([form?.get('client_id'), form?.has('client_secret')]).toEqual(['sparse', false]);
  });

  it('that a server answers with an ended one of ours is asked for in other words', async () => {
    const ended = 1_000_000_000;
    await start({
      register: ({ client_name, ...wanted }) => ({
        status: 201,
        body: {
          ...wanted,
          client_id: `id of ${client_name}`,
          client_secret_expires_at: client_name === 'mcp-token-broker' ? ended : 0,
          client_secret: 'of-this-test',
          token_endpoint_auth_method: 'client_secret_post',
        },
      }),
    });
    const { asked } = await world.signIn();
    expect(asked.get('client_id')).toMatch(/^id of mcp-token-broker .+/);
    expect(world.server.registrations()).toHaveLength(2);
  });

  it('that is refused is told with status and words, and with what to ask for', async () => {
    await start({ register: () => ({ status: 403, body: 'Your app is <b>not</b> on the list.' }) });
    expect(await world.refused()).toMatchObject({
      code: 'registration_refused',
      message: expect.stringMatching(/403 "Your app is +not +on the list\."/),
      hint: expect.stringContaining('--client-id'),
    });
  });
});

const noUri = {
  status: 400,
  body: { error: 'invalid_redirect_uri', error_description: 'only pages of ours' },
};
const noAddress: Oddities['register'] = ({ redirect_uris }) =>
  String(redirect_uris).includes('127.0.0.1') ? noUri : undefined;

describe('a server that registers nobody', () => {
  it('takes a client made by hand, with a page of somebody else to come back to', async () => {
    const redirectUri = 'https://agents.example.com/slack/callback';
    const client = { id: 'made.by.hand', secret: 'of-this-test', method: 'client_secret_post' };
    await start({
      clients: [{ ...client, redirectUris: [redirectUri] }],
      metadata: ({ registration_endpoint: _, ...rest }) => ({
        ...rest,
        token_endpoint_auth_methods_supported: ['client_secret_post'],
      }),
    });
    const request = {
      clientId: client.id,
      clientSecret: new Secret(client.secret),
      redirectUri,
      paste: true,
    };
    const { events } = await world.signIn(request, { by: 'paste' });
    expect(events[1]).toMatchObject({ source: 'configured', client_id: client.id });
    await world.broker.refresh(OPERATOR, 'demo');
    expect(connectionRow(world.vaultPath).generation).toBe(2);
  });

  it('is told with what to ask its operator for', async () => {
    await start({ metadata: ({ registration_endpoint: _, ...rest }) => rest });
    expect(await world.refused()).toMatchObject({
      code: 'registration_refused',
      hint: expect.stringMatching(/authorization code with PKCE.*\n +http:\/\/127\.0\.0\.1:\d+\/callback/),
    });
  });
});
