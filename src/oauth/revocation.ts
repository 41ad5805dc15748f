import * as client from 'openid-client';
import type { Secret } from '../secret.ts';
import { type BasicEncoding, type ClientCredentials, clientAuth } from './client-auth.ts';
import { type Fetch, isLoopback } from './http.ts';
import type { ServerMetadata } from './server-discovery.ts';

/** `unsupported`: the server names no revocation endpoint, the token lives until it ends by itself. */
export type RevocationOutcome = 'revoked' | 'unsupported' | 'failed';

/** Asks the server to end a token (RFC 7009). Never throws: a logout goes on whatever the server says. */
export async function revokeToken(
  metadata: ServerMetadata,
  credentials: ClientCredentials,
  token: Secret,
  hint: 'refresh_token' | 'access_token',
  fetch: Fetch,
  basicEncoding?: BasicEncoding,
): Promise<RevocationOutcome> {
  if (metadata.revocation_endpoint === undefined) return 'unsupported';
  try {
    const configuration = new client.Configuration(
      metadata,
      credentials.clientId,
      undefined,
      clientAuth(credentials, basicEncoding),
    );
    configuration[client.customFetch] = fetch as client.CustomFetch;
    if (isLoopback(metadata.revocation_endpoint)) client.allowInsecureRequests(configuration);
    await client.tokenRevocation(configuration, token.reveal(), { token_type_hint: hint });
    return 'revoked';
  } catch {
    return 'failed';
  }
}
