import { afterEach, describe, expect, it } from 'vitest';
import { redeemCode } from '../../src/oauth/authorization.ts';
import { revokeToken } from '../../src/oauth/revocation.ts';
import { Secret } from '../../src/secret.ts';
import { approveLogin } from '../support/approved-login.ts';
import { startAuthorizationServer } from '../support/authorization-server.ts';
import { fakeMetadata, fetch } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

const PUBLIC = { clientId: 'fake-client', authMethod: 'none', clientSecret: undefined };
const TOKEN = new Secret('fake-refresh');

let raw: RawServer | undefined;

afterEach(() => raw?.close());

async function revokeAt(answer: RawAnswer) {
  raw = await startRawServer(() => answer);
  return revokeToken(fakeMetadata(raw.url), PUBLIC, TOKEN, 'refresh_token', fetch);
}

describe('revoking a token (RFC 7009)', () => {
  it('ends it at a real server', async () => {
    const resource = 'https://mcp.example.com/mcp';
    const server = await startAuthorizationServer({ resources: { [resource]: { scope: 'mcp:all' } } });
    const login = await approveLogin(server, resource, 'mcp:all');
    const { metadata, client } = login;
    const answer = await redeemCode(login);
    const { access_token = '' } = (answer as { body: Record<string, string> }).body;

    expect(await server.tokenIsActive(access_token)).toMatchObject({ active: true });
    const outcome = await revokeToken(metadata, client, new Secret(access_token), 'access_token', fetch);
    expect(outcome).toBe('revoked');
    expect(await server.tokenIsActive(access_token)).toEqual({ active: false });
    await server.close();
  });

  it('sends token, hint and client', async () => {
    expect(await revokeAt({ status: 200 })).toBe('revoked');
    expect(raw?.requests[0]).toMatchObject({ method: 'POST', path: '/revoke' });
    expect(Object.fromEntries(new URLSearchParams(raw?.requests[0]?.body))).toEqual({
      token: 'fake-refresh',
      token_type_hint: 'refresh_token',
      client_id: 'fake-client',
    });
  });

  it('proves a client whose server does not decode', async () => {
    raw = await startRawServer(() => ({ status: 200 }));
    const client = { clientId: 'fake:client', authMethod: 'client_secret_basic', clientSecret: TOKEN };
    const metadata = fakeMetadata(raw.url);
    expect(await revokeToken(metadata, client, TOKEN, 'refresh_token', fetch, 'raw')).toBe('revoked');
    expect(raw.requests[0]?.headers.authorization).toBe(`Basic ${btoa('fake:client:fake-refresh')}`);
  });

  it('is not possible where the server names no endpoint', async () => {
    const { revocation_endpoint: _, ...metadata } = fakeMetadata('https://as.example.com');
    expect(await revokeToken(metadata, PUBLIC, TOKEN, 'refresh_token', fetch)).toBe('unsupported');
  });

  it.each<[string, RawAnswer]>([
    ['an OAuth error', { status: 400, body: { error: 'unsupported_token_type' } }],
    ['503', { status: 503 }],
    ['a page', { status: 404, body: '<h1>Not found</h1>' }],
    ['a reset', 'reset'],
  ])('never throws, also after %s', async (_, answer) => {
    expect(await revokeAt(answer)).toBe('failed');
  });

  it('never throws for a client that cannot authenticate', async () => {
    const broken = { ...PUBLIC, authMethod: 'client_secret_post' };
    const outcome = await revokeToken(
      fakeMetadata('https://as.example.com'),
      broken,
      TOKEN,
      'refresh_token',
      fetch,
    );
    expect(outcome).toBe('failed');
  });
});
