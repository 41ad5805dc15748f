import { decodeJwt } from 'jose';
import * as oauth from 'oauth4webapi';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from '../support/authorization-server.ts';
import {
  authorizationUrl,
  discover,
  INSECURE,
  REDIRECT_URI,
  redeem,
  refresh,
  register,
  signIn,
} from './oauth-client.ts';

const RESOURCE = 'http://127.0.0.1:29998/mcp';

let running: AuthorizationServer | undefined;

async function start(options: AuthorizationServerOptions = {}): Promise<AuthorizationServer> {
  running = await startAuthorizationServer(options);
  return running;
}

afterEach(async () => {
  await running?.close();
  running = undefined;
});

describe('the authorization server', () => {
  it('registers a native client, signs it in with PKCE, and gives tokens', async () => {
    const server = await start();
    const { tokens } = await signIn(server, { account: 'bob', scope: 'openid email offline_access' });
    expect(tokens.expires_in).toBe(3600);
    expect(tokens.refresh_token).toBeDefined();
    expect(decodeJwt(tokens.id_token as string)).toMatchObject({ sub: 'bob', email: 'bob@example.com' });
    expect(await server.tokenIsActive(tokens.access_token)).toMatchObject({ active: true, sub: 'bob' });
    expect(server.requests.find(({ path }) => path === '/reg')).toMatchObject({
      status: 201,
      json: { application_type: 'native' },
    });
  });

  it('rotates refresh tokens, and revokes the whole family when an old one is used again', async () => {
    const server = await start();
    const login = await signIn(server);
    const second = await refresh(login, login.tokens.refresh_token);
    expect(second.refresh_token).not.toBe(login.tokens.refresh_token);
    const third = await refresh(login, second.refresh_token);
    expect(server.refreshes()).toBe(2);
    await expect(refresh(login, login.tokens.refresh_token)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    await expect(refresh(login, third.refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' });
    expect(await server.tokenIsActive(third.access_token)).toEqual({ active: false });
    expect(server.refreshes()).toBe(2);
  });

  it('keeps the refresh token when rotation is off', async () => {
    const login = await signIn(await start({ rotateRefreshTokens: false }));
    const second = await refresh(login, login.tokens.refresh_token);
    expect(second.refresh_token).toBe(login.tokens.refresh_token);
  });

  it('gives a refresh token only when asked for one, unless told to give it always', async () => {
    const strict = await signIn(await start(), { scope: 'openid' });
    expect(strict.tokens.refresh_token).toBeUndefined();
    await running?.close();
    const generous = await signIn(await start({ alwaysIssueRefreshToken: true }), { scope: 'openid' });
    expect(generous.tokens.refresh_token).toBeDefined();
  });

  it('sends access_denied back when the person says no', async () => {
    const server = await start();
    const metadata = await discover(server.issuer);
    const { url } = await authorizationUrl(metadata, await register(metadata), { scope: 'openid' });
    const callback = new URL(await server.approve(url, { deny: true }));
    expect(callback.searchParams.get('error')).toBe('access_denied');
    expect(callback.searchParams.get('iss')).toBe(server.issuer);
    expect(callback.searchParams.has('code')).toBe(false);
  });

  it('shows an error page for an unknown client, which approve reports', async () => {
    const server = await start();
    const { url } = await authorizationUrl(await discover(server.issuer), { client_id: 'nobody' }, {});
    await expect(server.approve(url)).rejects.toThrow('invalid_client');
  });

  it('refuses a refresh after the grants of the account are revoked', async () => {
    const server = await start();
    const login = await signIn(server);
    await server.revokeGrantsOf('somebody-else');
    const second = await refresh(login, login.tokens.refresh_token);
    await server.revokeGrantsOf('alice');
    await expect(refresh(login, second.refresh_token)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('revokes a refresh token of a public client (RFC 7009)', async () => {
    const login = await signIn(await start());
    const { server, client, tokens } = login;
    const token = tokens.refresh_token as string;
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(server, client, oauth.None(), token, INSECURE),
    );
    await expect(refresh(login, token)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('leaves iss out of metadata and answers when told so', async () => {
    const server = await start({ advertiseIss: false });
    const metadata = await discover(server.issuer);
    expect(metadata.authorization_response_iss_parameter_supported).toBeUndefined();
    const { url, verifier } = await authorizationUrl(metadata, await register(metadata), { scope: 'openid' });
    for (const deny of [true, false]) {
      const callback = await server.approve(url, { deny });
      expect(new URL(callback).searchParams.has('iss')).toBe(false);
      if (!deny) await redeem(metadata, { client_id: clientOf(url) }, callback, verifier);
    }
  });

  it('serves the metadata a test wants', async () => {
    const server = await start({ metadata: ({ code_challenge_methods_supported: _, ...rest }) => rest });
    expect((await discover(server.issuer)).code_challenge_methods_supported).toBeUndefined();
  });

  it('refuses registration without an initial access token when it is not open', async () => {
    const server = await start({ openRegistration: false });
    await expect(register(await discover(server.issuer))).rejects.toThrow();
    expect(server.requests.at(-1)).toMatchObject({ path: '/reg', status: 401 });
  });

  it('accepts a registration that names a scope of a resource', async () => {
    const server = await start({ resources: { [RESOURCE]: { scope: 'mcp:all' } } });
    expect(await register(await discover(server.issuer), 'mcp:all offline_access')).toHaveProperty(
      'client_id',
    );
  });

  it('forgets a client that deletes its registration (RFC 7592)', async () => {
    const metadata = await discover((await start()).issuer);
    const client = await register(metadata);
    const deleted = await fetch(client.registration_client_uri as string, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${client.registration_access_token}` },
    });
    expect(deleted.status).toBe(204);
    const { url } = await authorizationUrl(metadata, client, { scope: 'openid' });
    await expect(running?.approve(url)).rejects.toThrow('invalid_client');
  });

  it('knows a static confidential client', async () => {
    const redirectUri = 'http://127.0.0.1:29999/callback';
    const client = { client_id: 'static', client_secret: 'not-a-real-secret' };
    const server = await start({ clients: [{ ...client, redirect_uris: [redirectUri] }] });
    const metadata = await discover(server.issuer);
    const { url, verifier } = await authorizationUrl(metadata, client, { scope: 'openid offline_access' });
    const callback = new URL(await server.approve(url));
    const response = await oauth.authorizationCodeGrantRequest(
      metadata,
      client,
      oauth.ClientSecretBasic(client.client_secret),
      oauth.validateAuthResponse(metadata, client, callback, 'state-1'),
      redirectUri,
      verifier,
      INSECURE,
    );
    const tokens = await oauth.processAuthorizationCodeResponse(metadata, client, response);
    expect(tokens.refresh_token).toBeDefined();
  });
});

describe('the device flow (RFC 8628)', () => {
  const client = { client_id: 'fake-client' };
  const options = {
    device: true,
    clients: [{ ...client, token_endpoint_auth_method: 'none' as const, redirect_uris: [REDIRECT_URI] }],
  };

  const ask = async (metadata: oauth.AuthorizationServer) => {
    const parameters = { scope: 'openid offline_access' };
    const asked = oauth.deviceAuthorizationRequest(metadata, client, oauth.None(), parameters, INSECURE);
    return oauth.processDeviceAuthorizationResponse(metadata, client, await asked);
  };

  const redeemCode = async (metadata: oauth.AuthorizationServer, deviceCode: string) => {
    const asked = oauth.deviceCodeGrantRequest(metadata, client, oauth.None(), deviceCode, INSECURE);
    return oauth.processDeviceCodeResponse(metadata, client, await asked);
  };

  it('gives tokens to the account that typed the code', async () => {
    const server = await start(options);
    const metadata = await discover(server.issuer);
    const { device_code, user_code } = await ask(metadata);
    await expect(redeemCode(metadata, device_code)).rejects.toMatchObject({ error: 'authorization_pending' });
    await server.approveDevice(user_code, { account: 'bob' });
    const { id_token, refresh_token } = await redeemCode(metadata, device_code);
    expect(decodeJwt(id_token as string).sub).toBe('bob');
    expect(refresh_token).toBeDefined();
  });

  it('says no when the person does, and when the code has expired', async () => {
    const server = await start(options);
    const metadata = await discover(server.issuer);
    const denied = await ask(metadata);
    await server.approveDevice(denied.verification_uri_complete as string, { deny: true });
    await expect(redeemCode(metadata, denied.device_code)).rejects.toMatchObject({ error: 'access_denied' });
    const late = await ask(metadata);
    await server.expireDevice(late.user_code);
    await expect(redeemCode(metadata, late.device_code)).rejects.toMatchObject({ error: 'expired_token' });
  });

  it('reports a code that nobody knows, and one that was used', async () => {
    const server = await start(options);
    await expect(server.approveDevice('BCDF-GHJK')).rejects.toThrow('the code was not found');
    await expect(server.expireDevice('BCDF-GHJK')).rejects.toThrow('BCDF-GHJK');
    const { user_code } = await ask(await discover(server.issuer));
    await server.approveDevice(user_code);
    await expect(server.approveDevice(user_code)).rejects.toThrow('already been used');
  });

  it('is not there unless told so', async () => {
    const server = await start();
    expect(await discover(server.issuer)).not.toHaveProperty('device_authorization_endpoint');
    await expect(server.approveDevice('BCDF-GHJK')).rejects.toThrow('404');
  });
});

describe('resource indicators (RFC 8707)', () => {
  it('makes an allowed resource the audience, also of refreshed tokens', async () => {
    const server = await start();
    server.allowResource(RESOURCE, 'mcp:all mcp:read');
    expect((await discover(server.issuer)).scopes_supported).toContain('mcp:read');
    const login = await signIn(server, { scope: 'openid offline_access mcp:all', resource: RESOURCE });
    expect(login.tokens.scope).toBe('mcp:all');
    const expected = { active: true, aud: RESOURCE, scope: 'mcp:all', sub: 'alice' };
    expect(await server.tokenIsActive(login.tokens.access_token)).toMatchObject(expected);
    const second = await refresh(login, login.tokens.refresh_token, RESOURCE);
    expect(await server.tokenIsActive(second.access_token)).toMatchObject(expected);
    expect(server.requests.at(-1)?.form).toMatchObject({ resource: RESOURCE });
  });

  it('gives a refresh without resource a token for nobody, unless told to keep the granted one', async () => {
    const resources = { [RESOURCE]: { scope: 'mcp:all' } };
    const asked = { scope: 'openid offline_access mcp:all', resource: RESOURCE };
    const strict = await start({ resources });
    const login = await signIn(strict, asked);
    const lost = await refresh(login, login.tokens.refresh_token);
    expect((await strict.tokenIsActive(lost.access_token)).aud).toBeUndefined();
    await running?.close();
    const lenient = await start({ resources, useGrantedResource: true });
    const kept = await signIn(lenient, asked);
    const second = await refresh(kept, kept.tokens.refresh_token);
    expect((await lenient.tokenIsActive(second.access_token)).aud).toBe(RESOURCE);
  });

  it('sends invalid_target back for a resource it does not know', async () => {
    const server = await start();
    const metadata = await discover(server.issuer);
    const parameters = { scope: 'openid', resource: RESOURCE };
    const { url } = await authorizationUrl(metadata, await register(metadata), parameters);
    expect(new URL(await server.approve(url)).searchParams.get('error')).toBe('invalid_target');
  });

  it('grants the whole scope of the resource when none is asked for', async () => {
    const server = await start({
      resources: { [RESOURCE]: { scope: 'mcp:all' } },
      alwaysIssueRefreshToken: true,
    });
    const { tokens } = await signIn(server, { scope: '', resource: RESOURCE });
    expect(tokens.scope).toBe('mcp:all');
    expect(tokens.refresh_token).toBeDefined();
  });

  it('issues JWT access tokens when told so', async () => {
    const server = await start({ resources: { [RESOURCE]: { scope: 'mcp:all' } }, accessTokenFormat: 'jwt' });
    const { tokens } = await signIn(server, { scope: 'mcp:all', resource: RESOURCE });
    const expected = { aud: RESOURCE, sub: 'alice', scope: 'mcp:all' };
    expect(decodeJwt(tokens.access_token)).toMatchObject(expected);
    expect(await server.tokenIsActive(tokens.access_token)).toMatchObject({ active: true, ...expected });
    expect(await server.tokenIsActive(`${tokens.access_token}x`)).toEqual({ active: false });
  });
});

function clientOf(url: string): string {
  return new URL(url).searchParams.get('client_id') as string;
}
