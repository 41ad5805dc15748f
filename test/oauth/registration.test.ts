import { afterEach, describe, expect, it } from 'vitest';
import { deleteRegistration, registerClient } from '../../src/oauth/registration.ts';
import { discoverServer } from '../../src/oauth/server-discovery.ts';
import { Secret } from '../../src/secret.ts';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts';
import { fakeMetadata, fetch, REDIRECT_URI } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

let raw: RawServer | undefined;
let real: AuthorizationServer | undefined;

afterEach(async () => {
  await raw?.close();
  await real?.close();
  raw = undefined;
  real = undefined;
});

/** Registers at a server that gives these answers one after the other. */
async function registerAt(...answers: RawAnswer[]) {
  raw = await startRawServer(() => answers.shift() ?? { status: 500, body: 'asked too often' });
  return registerClient(fakeMetadata(raw.url), REDIRECT_URI, fetch);
}

const sent = () => raw?.requests.map(({ body }) => JSON.parse(body));
const made = (changes: object = {}): RawAnswer => ({
  status: 201,
  body: { client_id: 'fake-client', ...changes },
});

describe('registering a client (RFC 7591 §3)', () => {
  it('works with a real server, and can be taken back', async () => {
    real = await startAuthorizationServer();
    const metadata = await discoverServer(real.issuer, fetch);
    const registration = await registerClient(metadata, REDIRECT_URI, fetch);
    expect(registration).toMatchObject({
      authMethod: 'none',
      clientSecret: undefined,
      clientSecretExpiresAt: null,
    });
    const { registrationClientUri: uri, registrationAccessToken: token } = registration;
    if (!uri || !token) throw new Error('the server manages no registrations');
    expect(await deleteRegistration(uri, token, fetch)).toBe(true);
    // A client that is gone has no token that could delete it again.
    expect(await deleteRegistration(uri, token, fetch)).toBe(false);
  });

  it('asks for what MCP wants: native, one redirect URI, code and refresh tokens', async () => {
    await registerAt(made());
    expect(sent()).toEqual([
      {
        client_name: 'mcp-token-broker',
        redirect_uris: [REDIRECT_URI],
        application_type: 'native',
        response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
      },
    ]);
    expect(raw?.requests[0]).toMatchObject({ method: 'POST', path: '/register' });
  });

  it('believes the method the server answers, not the one we asked for', async () => {
    const secret = { token_endpoint_auth_method: 'client_secret_post', client_secret: 'fake-secret' };
    const registration = await registerAt(made({ ...secret, client_secret_expires_at: 1_800_000_000 }));
    expect(registration.authMethod).toBe('client_secret_post');
    expect(registration.clientSecret?.reveal()).toBe('fake-secret');
    expect(registration.clientSecretExpiresAt).toBe(1_800_000_000_000);
  });

  it('takes null for absent, and 0 for a secret that never ends', async () => {
    const nulls = { client_secret: null, client_secret_expires_at: null, registration_client_uri: null };
    expect(await registerAt(made({ ...nulls, token_endpoint_auth_method: null }))).toEqual({
      clientId: 'fake-client',
      authMethod: 'none',
      clientSecret: undefined,
      clientSecretExpiresAt: null,
      registrationClientUri: undefined,
      registrationAccessToken: undefined,
    });
    await raw?.close();
    const forever = await registerAt(made({ client_secret: 'fake-secret', client_secret_expires_at: 0 }));
    expect(forever.clientSecretExpiresAt).toBeNull();
  });

  it.each([1e13, 1e16, 1.5, -5])(
    'keeps an expiry that can be stored and shown: %d',
    async (client_secret_expires_at) => {
      const { clientSecretExpiresAt } = await registerAt(
        made({ client_secret: 'fake-secret', client_secret_expires_at }),
      );
      if (clientSecretExpiresAt !== null)
        expect(new Date(clientSecretExpiresAt).getTime()).toBe(clientSecretExpiresAt);
    },
  );

  it('takes an empty secret for none', async () => {
    expect((await registerAt(made({ client_secret: '' }))).clientSecret).toBeUndefined();
  });

  it('accepts 200 instead of 201', async () => {
    expect((await registerAt({ status: 200, body: { client_id: 'fake-client' } })).clientId).toBe(
      'fake-client',
    );
  });

  it('tries again without naming the refresh grant when the server dislikes the metadata', async () => {
    const refusal: RawAnswer = { status: 400, body: { error: 'invalid_client_metadata' } };
    expect((await registerAt(refusal, made())).clientId).toBe('fake-client');
    expect(sent()?.map(({ grant_types }) => grant_types)).toEqual([
      ['authorization_code', 'refresh_token'],
      ['authorization_code'],
    ]);
  });

  it('tries again once only', async () => {
    const refusal: RawAnswer = {
      status: 400,
      body: { error: 'invalid_client_metadata', error_description: 'no' },
    };
    await expect(registerAt(refusal, refusal, made())).rejects.toMatchObject({
      code: 'registration_refused',
    });
    expect(raw?.requests).toHaveLength(2);
  });
});

describe('a registration that is refused', () => {
  it.each<[string, RawAnswer, string]>([
    [
      'an OAuth error',
      { status: 400, body: { error: 'invalid_redirect_uri', error_description: 'no http' } },
      '400 invalid_redirect_uri "no http"',
    ],
    ['plain text', { status: 403, body: 'Only partners\u001b[2J' }, '403 "Only partners [2J"'],
    ['a page', { status: 403, body: '<h1>Access denied</h1>' }, '403 "Access denied"'],
    ['no client_id', { status: 201, body: { error: 'none left' } }, '201 none left'],
  ])('by %s shows the reason in quotes, and what to ask the operator for', async (_, answer, reason) => {
    await expect(registerAt(answer)).rejects.toMatchObject({
      code: 'registration_refused',
      message: expect.stringContaining(reason),
      hint: expect.stringContaining(REDIRECT_URI),
    });
  });

  it('never shows a secret of a half answer', async () => {
    const error: unknown = await registerAt({
      status: 201,
      body: { clientId: 'x', client_secret: 'fake-secret' },
    }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'registration_refused' });
    expect(`${error}`).not.toContain('fake-secret');
  });

  it('because there is no endpoint says what to ask the operator for', async () => {
    const { registration_endpoint: _, ...metadata } = fakeMetadata('https://as.example.com');
    await expect(registerClient(metadata, REDIRECT_URI, fetch)).rejects.toMatchObject({
      code: 'registration_refused',
      hint: expect.stringContaining(`${REDIRECT_URI}\nand give it with --client-id`),
    });
  });

  it('by a real server that wants an invitation is refused', async () => {
    real = await startAuthorizationServer({ openRegistration: false });
    const metadata = await discoverServer(real.issuer, fetch);
    await expect(registerClient(metadata, REDIRECT_URI, fetch)).rejects.toMatchObject({
      code: 'registration_refused',
    });
  });
});

describe('a registration that cannot be made now', () => {
  it.each<[string, RawAnswer]>([
    ['the server is out of order', { status: 503, body: 'later' }],
    ['the connection is reset', 'reset'],
    ['there were too many', { status: 429, headers: { 'retry-after': '30' }, body: 'slow down' }],
  ])('because %s is worth another try', async (_, answer) => {
    const temporary = expect.stringMatching(/^(upstream_unavailable|rate_limited)$/);
    await expect(registerAt(answer)).rejects.toMatchObject({ code: temporary });
  });
});

describe('taking a registration back (RFC 7592 §2.3)', () => {
  it.each([
    [204, true],
    [200, true],
    [404, true],
    [401, false],
    [500, false],
  ])('that is answered with %i is done: %s', async (status, isDone) => {
    raw = await startRawServer(() => ({ status }));
    expect(await deleteRegistration(`${raw.url}/register/1`, new Secret('fake-token'), fetch)).toBe(isDone);
    expect(raw.requests[0]).toMatchObject({ method: 'DELETE', path: '/register/1' });
    expect(raw.requests[0]?.headers.authorization).toBe('Bearer fake-token');
  });

  it('sends its token to no unsafe URL, and never throws', async () => {
    expect(await deleteRegistration('http://as.example.com/1', new Secret('fake-token'), fetch)).toBe(false);
    raw = await startRawServer(() => 'reset');
    expect(await deleteRegistration(raw.url, new Secret('fake-token'), fetch)).toBe(false);
  });
});
