import { clientAuth } from '../../src/oauth/client-auth.ts';
import { createFetch } from '../../src/oauth/http.ts';
import type { RefreshRequest } from '../../src/oauth/refresh.ts';
import { type Registration, type RegistrationWishes, registerClient } from '../../src/oauth/registration.ts';
import type { ServerMetadata } from '../../src/oauth/server-discovery.ts';
import { Secret } from '../../src/secret.ts';
import { NOW } from './connection.ts';
import { type RawAnswer, type RawServer, startRawServer } from './raw-server.ts';

/** The broker's own `fetch`, without a proxy. */
export const fetch = createFetch({
  proxy: { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined },
  caFile: undefined,
});

/** Where our client listens; nobody does. */
export const REDIRECT_URI = 'http://127.0.0.1:29999/callback';

/** Metadata of an authorization server at `issuer` that passes every check, changed as the test wants. */
export function fakeMetadata(issuer: string, changes: Partial<ServerMetadata> = {}): ServerMetadata {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    registration_endpoint: `${issuer}/register`,
    revocation_endpoint: `${issuer}/revoke`,
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post'],
    ...changes,
  };
}

/** A refresh with `fake-refresh` at such a server, by a client without a secret, changed as the test wants. */
export function fakeRefresh(issuer: string, changes: Partial<RefreshRequest> = {}): RefreshRequest {
  return {
    metadata: fakeMetadata(issuer),
    clientId: 'fake-client',
    auth: clientAuth({ clientId: 'fake-client', authMethod: 'none', clientSecret: undefined }),
    refreshToken: new Secret('fake-refresh'),
    resource: 'https://mcp.example.com',
    fetch,
    now: () => NOW,
    ...changes,
  };
}

/** Registers at the endpoint the metadata names. Throws when it names none, or the server refuses. */
export async function register(
  metadata: ServerMetadata,
  wishes: Partial<RegistrationWishes> = {},
): Promise<Registration> {
  const { registration_endpoint } = metadata;
  if (registration_endpoint === undefined) throw new Error('the server registers nobody');
  const asked = { redirectUri: REDIRECT_URI, ...wishes };
  const answer = await registerClient({ ...metadata, registration_endpoint }, asked, fetch);
  if ('told' in answer) throw new Error(`the server refused: ${answer.told}`);
  return answer;
}

/** A raw server with one fixed answer per path, query included; 404 for every other path. */
export function serveRoutes(routes: (url: string) => Record<string, RawAnswer>): Promise<RawServer> {
  const started: Promise<RawServer> = startRawServer(async ({ path }) => {
    const { url } = await started;
    return routes(url)[path] ?? { status: 404, body: 'not found' };
  });
  return started;
}
