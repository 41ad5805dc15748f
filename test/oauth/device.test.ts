import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  beginDevice,
  DEVICE_GRANT,
  type DeviceAuthorization,
  type DevicePoll,
  type DeviceRequest,
  pollDevice,
} from '../../src/oauth/device.ts';
import { discoverServer, type ServerMetadata } from '../../src/oauth/server-discovery.ts';
import { Secret } from '../../src/secret.ts';
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from '../support/authorization-server.ts';
import { NOW } from '../support/connection.ts';
import { fetch } from '../support/provider.ts';

const RESOURCE = 'https://mcp.example.com';
const PUBLIC_CLIENT = { clientId: 'fake-client', authMethod: 'none', clientSecret: undefined };

let server: AuthorizationServer;
let metadata: ServerMetadata;

/** A server with the device flow and two clients, unless told otherwise. */
async function start(options: AuthorizationServerOptions = {}) {
  const redirectUris = { redirect_uris: ['http://127.0.0.1:29999/callback'] };
  server = await startAuthorizationServer({
    device: true,
    resources: { [RESOURCE]: { scope: 'mcp:all' } },
    clients: [
      { client_id: 'fake-client', token_endpoint_auth_method: 'none', ...redirectUris },
      {
        client_id: 'confidential',
        client_secret: 'not-a-real-secret',
        token_endpoint_auth_method: 'client_secret_basic',
        ...redirectUris,
      },
      {
        client_id: 'codes-only',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        ...redirectUris,
      },
    ],
    ...options,
  });
  metadata = await discoverServer(server.issuer, fetch);
}

const begin = (changes: Partial<Parameters<typeof beginDevice>[0]> = {}) =>
  beginDevice({
    ...{ metadata, client: PUBLIC_CLIENT, resource: RESOURCE, scope: 'mcp:all offline_access' },
    ...{ fetch, now: () => NOW },
    ...changes,
  });

const poll = (authorization: DeviceAuthorization, changes: Partial<DeviceRequest> = {}) =>
  pollDevice({
    ...{ metadata, client: PUBLIC_CLIENT, authorization, resource: RESOURCE, fetch, now: () => NOW },
    ...changes,
  });

const accessTokenOf = (polled: DevicePoll) =>
  polled.kind === 'answer' && polled.answer.kind === 'answer' ? String(polled.answer.body?.access_token) : '';

const polls = () => server.requests.filter(({ grantType }) => grantType === DEVICE_GRANT);

describe('signing in on another device (RFC 8628)', () => {
  beforeEach(() => start());
  afterEach(() => server.close());

  it('shows a code and where to type it', async () => {
    const authorization = await begin();
    expect(authorization).toEqual({
      deviceCode: expect.any(Secret),
      userCode: expect.stringMatching(/^[A-Z]{4}-[A-Z]{4}$/),
      verificationUri: `${server.issuer}/device`,
      verificationUriComplete: `${server.issuer}/device?user_code=${authorization.userCode}`,
      expiresAt: NOW + 600_000,
      intervalMs: 5_000,
    });
    expect(server.requests.at(-1)).toMatchObject({
      method: 'POST',
      path: '/device/auth',
      form: { client_id: 'fake-client', scope: 'mcp:all offline_access', resource: RESOURCE },
    });
  });

  it('is pending until the person has approved, then gives tokens once', async () => {
    const authorization = await begin();
    expect(await poll(authorization)).toEqual({ kind: 'pending' });
    await server.approveDevice(authorization.userCode, { account: 'bob' });
    const polled = await poll(authorization);
    expect(polled).toMatchObject({
      kind: 'answer',
      answer: { kind: 'answer', status: 200, body: { refresh_token: expect.any(String) } },
    });
    expect(await server.tokenIsActive(accessTokenOf(polled))).toMatchObject({
      ...{ active: true, sub: 'bob', aud: RESOURCE, scope: 'mcp:all' },
    });
    expect(await poll(authorization)).toMatchObject({ answer: { body: { error: 'invalid_grant' } } });
  });

  it('needs no typing with the complete address', async () => {
    const authorization = await begin();
    await server.approveDevice(authorization.verificationUriComplete ?? '');
    expect(await poll(authorization)).toMatchObject({ kind: 'answer', answer: { status: 200 } });
  });

  it('names the resource in each poll', async () => {
    const authorization = await begin();
    await poll(authorization);
    await poll(authorization);
    expect(polls().map(({ form }) => form?.resource)).toEqual([RESOURCE, RESOURCE]);
  });

  it('leaves out the resource everywhere when there is none', async () => {
    const authorization = await begin({ resource: undefined, scope: 'openid' });
    await poll(authorization, { resource: undefined });
    const forms = server.requests.slice(-2).map(({ form }) => form);
    expect(forms.filter((form) => form && 'resource' in form)).toEqual([]);
    expect(forms).toHaveLength(2);
  });

  it('leaves the scope to the server when none is chosen', async () => {
    const authorization = await begin({ scope: undefined });
    expect(server.requests.at(-1)?.form).not.toHaveProperty('scope');
    await server.approveDevice(authorization.userCode);
    expect(await poll(authorization)).toMatchObject({ answer: { body: { scope: 'mcp:all' } } });
  });

  it('proves a confidential client at both endpoints', async () => {
    const clientSecret = new Secret('not-a-real-secret');
    const client = { clientId: 'confidential', authMethod: 'client_secret_basic', clientSecret };
    const authorization = await begin({ client });
    await server.approveDevice(authorization.userCode);
    expect(await poll(authorization, { client })).toMatchObject({ answer: { status: 200 } });
  });

  it('ends when the person says no', async () => {
    const authorization = await begin();
    await server.approveDevice(authorization.userCode, { deny: true });
    expect(await poll(authorization)).toMatchObject({
      kind: 'answer',
      answer: { body: { error: 'access_denied' } },
    });
  });

  it('ends when nobody came in time', async () => {
    const authorization = await begin();
    await server.expireDevice(authorization.userCode);
    expect(await poll(authorization)).toMatchObject({
      kind: 'answer',
      answer: { body: { error: 'expired_token' } },
    });
    await expect(server.approveDevice(authorization.userCode)).rejects.toThrow('expired');
  });

  it('goes on after slow_down, 429, 503 and a reset, none of which costs the sign-in', async () => {
    const authorization = await begin();
    const faults = [
      { status: 400, body: { error: 'slow_down' } },
      { status: 429, body: 'too many requests' },
      { status: 503, body: '<h1>Service Unavailable</h1>' },
      { destroyBefore: true as const },
    ];
    server.fail(({ grantType }) => (grantType === DEVICE_GRANT ? faults.shift() : undefined));
    await server.approveDevice(authorization.userCode);
    const kinds: string[] = [];
    for (let each = 0; each < 5; each += 1) kinds.push((await poll(authorization)).kind);
    expect(kinds).toEqual(['slow_down', 'slow_down', 'pending', 'pending', 'answer']);
  });

  it('is refused to a client that is not registered for it', async () => {
    const client = { clientId: 'codes-only', authMethod: 'none', clientSecret: undefined };
    await expect(begin({ client })).rejects.toMatchObject({
      code: 'login_refused',
      message: expect.stringContaining('is not allowed for this client'),
      hint: expect.stringContaining('--paste'),
    });
  });

  it('tells a resource the server does not know', async () => {
    await expect(begin({ resource: 'https://other.example.com' })).rejects.toMatchObject({
      code: 'login_refused',
      message: expect.stringContaining('invalid_target'),
    });
  });
});

it('a server without device sign-in is told apart, and another way named', async () => {
  await start({ device: false });
  expect(metadata.device_authorization_endpoint).toBeUndefined();
  await expect(begin()).rejects.toMatchObject({
    code: 'login_refused',
    message: expect.stringContaining('offers no device sign-in'),
    hint: expect.stringContaining('--paste'),
  });
  await server.close();
});
