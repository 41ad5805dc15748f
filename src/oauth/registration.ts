/**
 * Dynamic client registration (RFC 7591), and taking a registration back (RFC 7592).
 *
 * What the server answers counts, not what we asked for: it may choose another authentication method. Fields it
 * leaves out or nulls are as we asked.
 */
import * as oauth from 'oauth4webapi';
import type { AuthMethod } from '../core/auth-methods.ts';
import { BrokerError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { chooseAuthMethod } from './client-auth.ts';
import { describeRefusal, networkError, parseObject } from './failure.ts';
import { type Fetch, isLoopback, requireSafeUrl } from './http.ts';
import type { ServerMetadata } from './server-discovery.ts';

/** The last instant a `Date` can hold. */
const MAX_DATE_MS = 8.64e15;

export interface Registration {
  clientId: string;
  authMethod: string;
  clientSecret: Secret | undefined;
  /** Epoch ms. Null: does not end. */
  clientSecretExpiresAt: number | null;
  registrationClientUri: string | undefined;
  registrationAccessToken: Secret | undefined;
}

/**
 * Registers this broker as a native client with one redirect URI.
 *
 * Throws `registration_refused` (no endpoint, or the server says no), `upstream_unavailable`.
 *
 * @see RFC 7591 §3; MCP asks for `application_type` and both grants
 */
export async function registerClient(
  metadata: ServerMetadata,
  redirectUri: string,
  fetch: Fetch,
  authMethod: AuthMethod = chooseAuthMethod(metadata),
): Promise<Registration> {
  if (metadata.registration_endpoint === undefined) {
    throw new BrokerError('registration_refused', `${metadata.issuer} does not register clients by itself`, {
      hint:
        'ask its operator for an OAuth client (native, authorization code with PKCE and refresh tokens) with the redirect URI\n' +
        `  ${redirectUri}\nand give it with --client-id (and --client-secret-file, if it has a secret)`,
    });
  }
  const wanted = {
    client_name: 'mcp-token-broker',
    redirect_uris: [redirectUri],
    application_type: 'native',
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: authMethod,
  };
  let answer = await post(metadata, wanted, fetch);
  if (answer.body?.error === 'invalid_client_metadata') {
    // Some servers issue refresh tokens, yet refuse to see the grant named.
    answer = await post(metadata, { ...wanted, grant_types: ['authorization_code'] }, fetch);
  }
  if (answer.status < 200 || answer.status > 299 || typeof answer.body?.client_id !== 'string') {
    throw new BrokerError(
      'registration_refused',
      `${metadata.issuer} refused to register a client: ${describeRefusal(answer.status, answer.text)}`,
      {
        hint:
          'ask its operator for an OAuth client with the redirect URI\n' +
          `  ${redirectUri}\nand give it with --client-id (and --client-secret-file, if it has a secret)`,
      },
    );
  }
  return readRegistration(answer.body, authMethod);
}

/** Deletes our registration. False when the server did not do it. @see RFC 7592 §2.3 */
export async function deleteRegistration(uri: string, token: Secret, fetch: Fetch): Promise<boolean> {
  try {
    requireSafeUrl(uri);
    const response = await fetch(uri, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${token.reveal()}` },
    });
    return response.status === 204 || response.status === 200 || response.status === 404;
  } catch {
    return false;
  }
}

async function post(
  metadata: ServerMetadata,
  wanted: Record<string, oauth.JsonValue>,
  fetch: Fetch,
): Promise<{ status: number; text: string; body: Record<string, unknown> | undefined }> {
  const url = metadata.registration_endpoint as string;
  const response = await oauth
    .dynamicClientRegistrationRequest(metadata, wanted as Partial<oauth.OmitSymbolProperties<oauth.Client>>, {
      [oauth.customFetch]: fetch as typeof globalThis.fetch,
      [oauth.allowInsecureRequests]: isLoopback(url),
    })
    .catch((error: unknown) => {
      throw networkError(error, url);
    });
  if (response.status >= 500 || response.status === 429) {
    throw new BrokerError(
      'upstream_unavailable',
      `${url} does not register clients now (${response.status})`,
      {
        hint: 'try again later',
      },
    );
  }
  const text = await response.text();
  return { status: response.status, text, body: parseObject(text) };
}

/** Seconds since the epoch that are a date. */
function isInstant(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value * 1000 <= MAX_DATE_MS;
}

function readRegistration(body: Record<string, unknown>, askedMethod: string): Registration {
  const text = (name: string) =>
    typeof body[name] === 'string' && body[name] !== '' ? body[name] : undefined;
  const secret = text('client_secret');
  const token = text('registration_access_token');
  const expires = body.client_secret_expires_at;
  return {
    clientId: body.client_id as string,
    authMethod: text('token_endpoint_auth_method') ?? askedMethod,
    clientSecret: secret === undefined ? undefined : new Secret(secret),
    // RFC 7591 §3.2.1: seconds since the epoch, 0 for never.
    clientSecretExpiresAt: secret !== undefined && isInstant(expires) ? Math.round(expires * 1000) : null,
    registrationClientUri: text('registration_client_uri'),
    registrationAccessToken: token === undefined ? undefined : new Secret(token),
  };
}
