import * as oauth from 'oauth4webapi';
import type { AuthorizationServer } from '../support/authorization-server.ts';

/** http is fine on loopback; oauth4webapi wants to hear it at each call. */
export const INSECURE = { [oauth.allowInsecureRequests]: true };

/** Where `register` says the client listens, below the ports that are drawn; nobody does, `approve` only returns the address. */
export const REDIRECT_URI = 'http://127.0.0.1:29999/callback';

/** A finished login, ready to be refreshed. */
export interface SignIn {
  server: oauth.AuthorizationServer;
  client: oauth.Client;
  tokens: oauth.TokenEndpointResponse;
}

/** What the proofs of the authorization server may ask for. */
export interface SignInOptions {
  account?: string;
  scope?: string;
  resource?: string;
}

/** Reads the server's metadata (RFC 8414). */
export async function discover(issuer: string): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer);
  const response = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...INSECURE });
  return oauth.processDiscoveryResponse(url, response);
}

/** Registers a public native client (RFC 7591), with `scope` when given. */
export async function register(server: oauth.AuthorizationServer, scope?: string): Promise<oauth.Client> {
  const metadata: Partial<oauth.Client> = {
    application_type: 'native',
    redirect_uris: [REDIRECT_URI],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
    ...(scope === undefined ? {} : { scope }),
  };
  const response = await oauth.dynamicClientRegistrationRequest(server, metadata, INSECURE);
  return oauth.processDynamicClientRegistrationResponse(response);
}

/** Builds an authorization request with PKCE and `state-1`; `parameters` add to it or replace what is there. */
export async function authorizationUrl(
  server: oauth.AuthorizationServer,
  client: oauth.Client,
  parameters: Record<string, string>,
): Promise<{ url: string; verifier: string }> {
  const verifier = oauth.generateRandomCodeVerifier();
  const url = new URL(server.authorization_endpoint as string);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: REDIRECT_URI,
    state: 'state-1',
    prompt: 'consent',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...parameters,
  }).toString();
  return { url: url.href, verifier };
}

/** Checks the callback address and exchanges its code. */
export async function redeem(
  server: oauth.AuthorizationServer,
  client: oauth.Client,
  callback: string,
  verifier: string,
  resource?: string,
): Promise<oauth.TokenEndpointResponse> {
  const parameters = oauth.validateAuthResponse(server, client, new URL(callback), 'state-1');
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    oauth.None(),
    parameters,
    REDIRECT_URI,
    verifier,
    { ...INSECURE, ...(resource === undefined ? {} : { additionalParameters: { resource } }) },
  );
  return oauth.processAuthorizationCodeResponse(server, client, response);
}

/** Discovery, registration, login and code exchange in one go. */
export async function signIn(
  authorizationServer: AuthorizationServer,
  { account = 'alice', scope = 'openid offline_access', resource }: SignInOptions = {},
): Promise<SignIn> {
  const server = await discover(authorizationServer.issuer);
  const client = await register(server);
  const { url, verifier } = await authorizationUrl(server, client, {
    ...(scope ? { scope } : {}),
    ...(resource === undefined ? {} : { resource }),
  });
  const callback = await authorizationServer.approve(url, { account });
  return { server, client, tokens: await redeem(server, client, callback, verifier, resource) };
}

/** Presents a refresh token, with `resource` when given. Throws what the library throws. */
export async function refresh(
  { server, client }: SignIn,
  refreshToken: string | undefined,
  resource?: string,
): Promise<oauth.TokenEndpointResponse> {
  const response = await oauth.refreshTokenGrantRequest(
    server,
    client,
    oauth.None(),
    refreshToken as string,
    {
      ...INSECURE,
      ...(resource === undefined ? {} : { additionalParameters: { resource } }),
    },
  );
  return oauth.processRefreshTokenResponse(server, client, response);
}
