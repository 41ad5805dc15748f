/**
 * Dynamic client registration (RFC 7591).
 *
 * What the server answers counts, not what we asked for: it may choose another authentication method. Fields it
 * leaves out or nulls are as we asked.
 */
import { randomUUID } from 'node:crypto';
import * as oauth from 'oauth4webapi';
import type { AuthMethod } from '../core/auth-methods.ts';
import { BrokerError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { chooseAuthMethod } from './client-auth.ts';
import { DEVICE_GRANT } from './device.ts';
import { describeRefusal, networkError, parseObject } from './failure.ts';
import { type Fetch, isLoopback } from './http.ts';
import { PRESCRIBED, type ServerMetadata } from './server-discovery.ts';

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

/** Why a server did not register us. */
export interface RegistrationRefusal {
  status: number;
  /** OAuth error code (RFC 7591 §3.2.2). Undefined: not told in that way. */
  error: string | undefined;
  /** Status, code and the server's words, safe to show. */
  told: string;
}

/** What we ask to be. */
export interface RegistrationWishes {
  redirectUri: string;
  /** Default: the best the server offers. */
  authMethod?: AuthMethod | undefined;
  /** Makes this registration differ from earlier ones: some servers answer the same request with an old client. */
  isAnother?: boolean;
}

/**
 * Registers this broker as a native client with one redirect URI, or says why the server does not.
 *
 * Throws `upstream_unavailable`.
 *
 * @see RFC 7591 §3; MCP asks for `application_type` and both grants
 */
export async function registerClient(
  metadata: ServerMetadata & { registration_endpoint: string },
  { redirectUri, authMethod = chooseAuthMethod(metadata), isAnother = false }: RegistrationWishes,
  fetch: Fetch,
): Promise<Registration | RegistrationRefusal> {
  const isNative = URL.parse(redirectUri)?.protocol === 'http:';
  const wanted = {
    client_name: isAnother ? `mcp-token-broker ${randomUUID().slice(0, 8)}` : 'mcp-token-broker',
    redirect_uris: [redirectUri],
    application_type: isNative ? 'native' : 'web',
    response_types: ['code'],
    token_endpoint_auth_method: authMethod,
  };
  let answer: RegistrationAnswer | undefined;
  for (const grants of grantsToAskFor(metadata)) {
    answer = await post(metadata, { ...wanted, grant_types: grants }, fetch);
    // Some servers issue refresh tokens, yet refuse to see the grant named.
    if (answer.body?.error !== 'invalid_client_metadata') break;
  }
  const { status, body, text } = answer as RegistrationAnswer;
  if (status >= 200 && status <= 299 && typeof body?.client_id === 'string' && body.client_id !== '') {
    // Without a secret there is only one way, whatever was asked for.
    const isSecretless = authMethod.startsWith('client_secret') && !body.client_secret;
    return readRegistration(body, isSecretless ? 'none' : authMethod);
  }
  const error = typeof body?.error === 'string' ? body.error : undefined;
  return { status, error, told: describeRefusal(status, text) };
}

/** The most useful list first. */
function grantsToAskFor(metadata: ServerMetadata): string[][] {
  const usual = ['authorization_code', 'refresh_token'];
  const device = metadata.device_authorization_endpoint === undefined ? [] : [[...usual, DEVICE_GRANT]];
  return [...device, usual, ['authorization_code']];
}

/**
 * The refusal as an error that says what to ask the vendor for: `registration_refused`; `discovery_failed` where there
 * was nothing but a guess to go by.
 */
export function registrationRefused(
  { issuer, [PRESCRIBED]: isPrescribed }: ServerMetadata,
  redirectUri: string,
  refusal: RegistrationRefusal | undefined,
  atVendor?: string,
): BrokerError {
  if (isPrescribed === true && refusal?.status === 404) {
    return new BrokerError('discovery_failed', `${issuer} wants a login, but does not say how to sign in`, {
      hint:
        'check the URL: it must be the MCP endpoint itself\n' +
        'it publishes no metadata, and what the first MCP revision prescribes is not there either\n' +
        'if you know its authorization server, vouch for it with --issuer',
    });
  }
  return new BrokerError(
    'registration_refused',
    refusal === undefined
      ? `${issuer} does not register clients by itself`
      : `${issuer} refused to register a client: ${refusal.told}`,
    {
      hint:
        `${atVendor === undefined ? '' : `${atVendor}\n`}` +
        'ask its operator for an OAuth client: native, authorization code with PKCE, refresh tokens, redirect URI\n' +
        `  ${redirectUri}\nthen give it with --client-id (and --client-secret-file, if it has a secret)`,
    },
  );
}

interface RegistrationAnswer {
  status: number;
  text: string;
  body: Record<string, unknown> | undefined;
}

async function post(
  metadata: ServerMetadata,
  wanted: Record<string, oauth.JsonValue>,
  fetch: Fetch,
): Promise<RegistrationAnswer> {
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

/** What a server answers to a registration, to a reading of it, and to a change (RFC 7591 §3.2.1, RFC 7592 §3). */
export function readRegistration(body: Record<string, unknown>, askedMethod: string): Registration {
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
