import { afterEach, describe, expect, it } from 'vitest';
import {
  type RegistrationRefusal,
  registerClient,
  registrationRefused,
} from '../../src/oauth/registration.ts';
import { deleteManaged } from '../../src/oauth/registration-management.ts';
import { discoverServer, type ServerMetadata } from '../../src/oauth/server-discovery.ts';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts';
import { fakeMetadata, fetch, REDIRECT_URI, register } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

let raw: RawServer | undefined;
let real: AuthorizationServer | undefined;

afterEach(async () => {
  await raw?.close();
  await real?.close();
  raw = undefined;
  real = undefined;
});

/** What registering is like at a server that gives these answers one after the other. */
async function answering(
  ...answers: RawAnswer[]
): Promise<ServerMetadata & { registration_endpoint: string }> {
  const server = await startRawServer(() => answers.shift() ?? { status: 500, body: 'asked too often' });
  raw = server;
  return { ...fakeMetadata(server.url), registration_endpoint: `${server.url}/register` };
}

/** Registers there. Throws when that is refused. */
const registerAt = async (...answers: RawAnswer[]) => register(await answering(...answers));

/** The refusal there. */
async function refusalAt(...answers: RawAnswer[]): Promise<RegistrationRefusal> {
  const answer = await registerClient(await answering(...answers), { redirectUri: REDIRECT_URI }, fetch);
  return 'told' in answer ? answer : expect.unreachable('the client was registered');
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
    const registration = await register(metadata);
    expect(registration).toMatchObject({
      authMethod: 'none',
      clientSecret: undefined,
      clientSecretExpiresAt: null,
    });
    const { registrationClientUri: uri, registrationAccessToken: token } = registration;
    if (!uri || !token) throw new Error('the server manages no registrations');
    const managed = { ...registration, registrationClientUri: uri, registrationAccessToken: token };
    expect(await deleteManaged(managed, fetch)).toBe(true);
    // A client that is gone has no token that could delete it again.
    expect(await deleteManaged(managed, fetch)).toBe(false);
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

  it('takes a client without a secret for a public one when the server does not say', async () => {
    const server = await startRawServer(() => made());
    raw = server;
    const { token_endpoint_auth_methods_supported: _, ...metadata } = fakeMetadata(server.url);
    expect((await register(metadata)).authMethod).toBe('none');
    expect(sent()?.[0].token_endpoint_auth_method).toBe('client_secret_basic');
  });

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
    expect(await refusalAt(refusal, refusal, made())).toMatchObject({ error: 'invalid_client_metadata' });
    expect(raw?.requests).toHaveLength(2);
  });

  it('does not try again after another refusal', async () => {
    await refusalAt({ status: 400, body: { error: 'invalid_redirect_uri' } }, made());
    expect(raw?.requests).toHaveLength(1);
  });
});

describe('a registration that is refused', () => {
  it.each<[string, RawAnswer, RegistrationRefusal]>([
    [
      'an OAuth error',
      { status: 400, body: { error: 'invalid_redirect_uri', error_description: 'no http' } },
      { status: 400, error: 'invalid_redirect_uri', told: '400 invalid_redirect_uri "no http"' },
    ],
    [
      'plain text',
      { status: 403, body: 'Only partners\u001b[2J' },
      { status: 403, error: undefined, told: '403 "Only partners [2J"' },
    ],
    [
      'a page',
      { status: 403, body: '<h1>Access denied</h1>' },
      { status: 403, error: undefined, told: '403 "Access denied"' },
    ],
    [
      'no client_id',
      { status: 201, body: { error: 'none left' } },
      { status: 201, error: 'none left', told: '201 none left' },
    ],
    ['a client_id that is none', made({ client_id: '' }), { status: 201, error: undefined, told: '201' }],
    [
      'an error that is no text',
      { status: 400, body: { error: {} } },
      { status: 400, error: undefined, told: '400' },
    ],
  ])('by %s is told with the reason in quotes', async (_, answer, refusal) => {
    expect(await refusalAt(answer)).toEqual(refusal);
  });

  it('never tells a secret of a half answer', async () => {
    const half = { clientId: 'x', client_secret: 'fake-secret' };
    expect(JSON.stringify(await refusalAt({ status: 201, body: half }))).not.toContain('fake-secret');
  });

  it('by a real server that wants an invitation is refused', async () => {
    real = await startAuthorizationServer({ openRegistration: false });
    const { registration_endpoint = '', ...metadata } = await discoverServer(real.issuer, fetch);
    const wishes = { redirectUri: REDIRECT_URI };
    expect(await registerClient({ ...metadata, registration_endpoint }, wishes, fetch)).toMatchObject({
      error: 'invalid_token',
    });
  });

  it('becomes an error that says what to ask the operator for', () => {
    const metadata = fakeMetadata('https://as.example.com');
    const refusal = {
      status: 400,
      error: 'invalid_redirect_uri',
      told: '400 invalid_redirect_uri "no http"',
    };
    expect(registrationRefused(metadata, REDIRECT_URI, refusal)).toMatchObject({
      code: 'registration_refused',
      message: 'https://as.example.com refused to register a client: 400 invalid_redirect_uri "no http"',
      hint: expect.stringContaining(`${REDIRECT_URI}\nthen give it with --client-id`),
    });
    expect(registrationRefused(metadata, REDIRECT_URI, undefined)).toMatchObject({
      code: 'registration_refused',
      message: 'https://as.example.com does not register clients by itself',
      hint: expect.stringContaining(`${REDIRECT_URI}\nthen give it with --client-id`),
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
