import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { writeClientDocument } from '../../src/core/client-document.ts';
import { Secret } from '../../src/secret.ts';
import { freePort } from '../support/free-port.ts';
import { type HostedDocument, hostDocument } from '../support/hosted-document.ts';
import { beginLogin, type SignInOptions, signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' });

let world: World;
let broker: Broker;
let hosted: HostedDocument;
let redirectUri: string;
let callbackPort: number;

interface StartOptions {
  /** Whether the server says that it takes documents. Default true. */
  isSupported?: boolean;
  /** Whether the client it knows by this document signs. Default false. */
  signs?: boolean;
}

/** Starts a server that knows what is in the document: oidc-provider does not read any by itself here. */
async function start({ isSupported = true, signs = false }: StartOptions = {}): Promise<void> {
  const jwks = { keys: [{ ...KEY.publicKey.export({ format: 'jwk' }), use: 'sig', kid: 'key-1' }] };
  const client = { application_type: 'native', redirect_uris: [redirectUri] } as const;
  const proof = signs
    ? ({ token_endpoint_auth_method: 'private_key_jwt', jwks } as never)
    : ({ token_endpoint_auth_method: 'none' } as const);
  world = await startWorld({
    authorizationServer: {
      clients: [
        { ...client, ...proof, client_id: hosted.url },
        { ...client, token_endpoint_auth_method: 'none', client_id: 'configured-client' },
      ],
      metadata: (document) => ({ ...document, client_id_metadata_document_supported: isSupported }),
    },
  });
  world.settings.caFile = hosted.caFile;
  broker = await world.openBroker();
}

beforeEach(async () => {
  callbackPort = await freePort();
  redirectUri = `http://127.0.0.1:${callbackPort}/callback`;
  hosted = await hostDocument();
  hosted.answer(200, writeClientDocument({ url: hosted.url, redirectUris: [redirectUri] }));
});

afterEach(async () => {
  await world.close();
  await hosted.close();
});

/** Signs in with the document at hand. */
const login = (options: SignInOptions = {}) =>
  signIn(broker, world.authorizationServer, world.mcp.url, { clientMetadataUrl: hosted.url, ...options });

const registered = ({ events }: Awaited<ReturnType<typeof signIn>>) => events[1];
const byDocument = () => ({ event: 'registered', client_id: hosted.url, source: 'metadata_document' });

const registrations = () =>
  world.authorizationServer.requests.filter(({ path, method }) => path === '/reg' && method === 'POST');

describe('a client metadata document', () => {
  it('is who we are where the server takes such, and nothing is registered', async () => {
    await start();
    const signedIn = await login();
    expect(registered(signedIn)).toEqual(byDocument());
    expect(signedIn.authorizationUrl.searchParams.get('client_id')).toBe(hosted.url);
    expect(signedIn.authorizationUrl.searchParams.get('redirect_uri')).toBe(redirectUri);
    expect(signedIn.page).toContain('demo is connected');
    expect(registrations()).toEqual([]);
    await broker.refresh(OPERATOR, 'demo');
  });

  it('is remembered: another login needs neither the option nor the page', async () => {
    await start();
    await login();
    await hosted.stop();
    expect(registered(await login())).toEqual(byDocument());
    expect(registered(await login({ clientMetadataUrl: undefined }))).toEqual(byDocument());
    expect(hosted.count()).toBe(1);
    expect(rowsOf(world.vaultPath, 'SELECT * FROM clients')).toHaveLength(1);
  });

  it('signs with the key of its client', async () => {
    await start({ signs: true });
    const clientKey = new Secret(String(KEY.privateKey.export({ type: 'pkcs8', format: 'pem' })));
    expect(registered(await login({ clientKey }))).toEqual(byDocument());
    await broker.refresh(OPERATOR, 'demo');
    const tokenRequests = world.authorizationServer.requests.filter(({ grantType }) => grantType);
    expect(tokenRequests.map(({ grantType }) => grantType)).toEqual(['authorization_code', 'refresh_token']);
    for (const { form } of tokenRequests) expect(form).toHaveProperty('client_assertion');
  });

  it('takes the place of a registration', async () => {
    await start();
    const first = await login({ clientMetadataUrl: undefined });
    expect(registered(first)).toMatchObject({ source: 'registered' });
    expect(registered(await login())).toEqual(byDocument());
    expect(registrations()).toHaveLength(1);
  });

  it('is not used where the server does not say that it takes such', async () => {
    await start({ isSupported: false });
    expect(registered(await login())).toMatchObject({ source: 'registered' });
    expect(hosted.count()).toBe(0);
  });

  it('stands behind a client that an operator configured', async () => {
    await start();
    const configured = { client_id: 'configured-client', source: 'configured' };
    const first = await login({ clientId: 'configured-client', callbackPort });
    expect(registered(first)).toMatchObject(configured);
    expect(registered(await login())).toMatchObject(configured);
    expect(hosted.count()).toBe(0);
  });
});

describe('a client metadata document that cannot be read from here', () => {
  it.each<[string, () => Promise<void> | void]>([
    ['its server is gone', () => hosted.stop()],
    ['its server is out of order', () => hosted.answer(503)],
  ])('because %s is used unread, and the person is told', async (_, breakIt) => {
    await start();
    await breakIt();
    const pending = beginLogin(broker, world.mcp.url, { clientMetadataUrl: hosted.url, callbackPort });
    const redirect = await world.authorizationServer.approve(await pending.authorizationUrl);
    pending.paste(redirect);
    await pending.done;
    expect(pending.events[1]).toEqual(byDocument());
    expect(pending.notices).toEqual([
      expect.stringMatching(
        /^the client metadata document could not be read from here .*; using its URL unread$/,
      ),
    ]);
  });
});

describe('a client metadata document that does not fit', () => {
  it.each<[string, () => [number, object?], string]>([
    ['is not there', () => [404], 'it answers 404 and is no JSON object'],
    ['names another client', () => [200, { client_id: 'https://example.com/c' }], 'its client_id is'],
    ['lists no redirect URI', () => [200, { client_id: hosted.url }], 'it lists no redirect URI'],
  ])('because it %s is told before the person is asked', async (_, answer, reason) => {
    await start();
    hosted.answer(...answer());
    const pending = beginLogin(broker, world.mcp.url, { clientMetadataUrl: hosted.url });
    await expect(pending.done).rejects.toMatchObject({
      code: 'config_error',
      message: expect.stringContaining(reason),
      hint: expect.stringContaining('broker client-metadata'),
    });
    expect(pending.events.map(({ event }) => event)).toEqual(['discovered']);
    expect(rowsOf(world.vaultPath, 'SELECT * FROM clients')).toEqual([]);
  });

  it('because it does not list the wished redirect URI is told', async () => {
    await start();
    const wish = { clientMetadataUrl: hosted.url, redirectUri: `${redirectUri}/mine` };
    await expect(beginLogin(broker, world.mcp.url, wish).done).rejects.toMatchObject({
      code: 'config_error',
      message: expect.stringContaining(`it does not list ${redirectUri}/mine`),
    });
  });
});
