import * as oauth from 'oauth4webapi';
import type { Secret } from '../secret.ts';
import type { Fetch } from './http.ts';
import type { ServerMetadata } from './server-discovery.ts';
import { observe, requestOptions, type TokenAnswer } from './token-request.ts';

export interface RefreshRequest {
  metadata: ServerMetadata;
  clientId: string;
  auth: oauth.ClientAuth;
  refreshToken: Secret;
  /** RFC 8707, the exact string of the login: without it some servers answer with a token for another audience. Undefined: left out. */
  resource: string | undefined;
  /** Repeated where a server demands it. */
  scope?: string | undefined;
  fetch: Fetch;
  now: () => number;
}

/**
 * Presents a refresh token once (RFC 6749 §6, RFC 8707 §2.2). Only `broker/refresh.ts` calls this, after it has
 * written the journal. Never throws for what server or network do.
 */
export function presentRefreshToken(request: RefreshRequest): Promise<TokenAnswer> {
  const { metadata, clientId, auth, refreshToken, resource, scope, fetch, now } = request;
  return observe(
    oauth.refreshTokenGrantRequest(
      metadata,
      { client_id: clientId },
      auth,
      refreshToken.reveal(),
      requestOptions(metadata.token_endpoint, fetch, { resource, scope }),
    ),
    now,
  );
}
