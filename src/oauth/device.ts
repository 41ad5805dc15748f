/**
 * Signing in on another device (RFC 8628): the server gives a short code, the person types it into a page of the
 * server wherever a browser is, and we ask the token endpoint now and then whether that has happened.
 *
 * How often to ask and when to give up is the caller's: each poll is one request, and says how it ended.
 */
import * as oauth from 'oauth4webapi';
import { BrokerError, printable } from '../errors.ts';
import { Secret } from '../secret.ts';
import { type BasicEncoding, type ClientCredentials, clientAuth } from './client-auth.ts';
import { describeRefusal, networkError, parseObject, readRetryAfter } from './failure.ts';
import { type Fetch, isLoopback, isSafeUrl, requireSafeUrl } from './http.ts';
import type { ServerMetadata } from './server-discovery.ts';
import { observe, requestOptions, type TokenAnswer } from './token-request.ts';

/** How registrations and token requests name this way of signing in. */
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** RFC 8628 §3.2: for a server that does not say. */
const DEFAULT_INTERVAL_MS = 5_000;
/** Faster helps nobody, slower than a minute feels broken; `slow_down` comes on top. */
const MIN_INTERVAL_MS = 1_000;
const MAX_INTERVAL_MS = 60_000;

/** For a server that does not say, or says nonsense. What most servers give. */
const DEFAULT_LIFETIME_MS = 15 * 60_000;
/** Nobody types a code a day later. */
const MAX_LIFETIME_MS = 24 * 3_600_000;

/** Besides 5xx: the server did not look at the request. */
const NOT_PROCESSED = new Set([408, 425]);

/** People type it: the longest seen in the wild has 11 characters. */
const MAX_USER_CODE = 64;
const MAX_URI = 2_000;

/** What the person is shown, and what we poll with. */
export interface DeviceAuthorization {
  deviceCode: Secret;
  /** Harmless to print. */
  userCode: string;
  /** Page where the code is typed in. https, or http to this machine; harmless to print. */
  verificationUri: string;
  /** The same with the code inside, for a link or QR code. */
  verificationUriComplete: string | undefined;
  /** Epoch ms. */
  expiresAt: number;
  /** Least time between two polls. */
  intervalMs: number;
}

export interface DeviceRequest {
  metadata: ServerMetadata;
  client: ClientCredentials;
  /** RFC 8707. Undefined: left out. */
  resource: string | undefined;
  basicEncoding?: BasicEncoding;
  fetch: Fetch;
  now: () => number;
}

/**
 * Asks for a code.
 *
 * Throws `login_refused` (no such endpoint, the server says no, or its answer cannot be shown to a person),
 * `upstream_unavailable` (network, 5xx, 429), `config_error` (our client cannot authenticate), `discovery_failed`
 * (the endpoint is no safe URL).
 *
 * @param request its `scope` is space separated; undefined leaves it to the server
 * @see RFC 8628 §3.1, §3.2
 */
export async function beginDevice(
  request: DeviceRequest & { scope: string | undefined },
): Promise<DeviceAuthorization> {
  const { metadata, client, resource, scope, fetch, now } = request;
  const endpoint = metadata.device_authorization_endpoint;
  if (typeof endpoint !== 'string') {
    throw new BrokerError('login_refused', `${metadata.issuer} offers no device sign-in`, {
      hint: 'sign in with --paste instead: open the link in any browser and paste where it ends',
    });
  }
  requireSafeUrl(endpoint);
  const auth = clientAuth(client, request.basicEncoding);
  // The code's life begins at the server, before its answer is here.
  const askedAt = now();
  const response = await oauth
    .deviceAuthorizationRequest(
      metadata,
      { client_id: client.clientId },
      auth,
      {
        ...(scope === undefined ? {} : { scope }),
        ...(resource === undefined ? {} : { resource }),
      },
      {
        [oauth.customFetch]: fetch as typeof globalThis.fetch,
        [oauth.allowInsecureRequests]: isLoopback(endpoint),
      },
    )
    .catch((error: unknown) => {
      throw networkError(error, endpoint);
    });
  if (response.status >= 500 || response.status === 429) {
    throw new BrokerError(
      'upstream_unavailable',
      `${endpoint} gives no device codes now (${response.status})`,
      {
        hint: 'try again later',
        retryAfterSeconds: readRetryAfter(response.headers.get('retry-after'), askedAt),
      },
    );
  }
  const text = await response.text();
  const body = parseObject(text);
  // Some servers report failures inside a 200.
  if (!response.ok || body === undefined || body.error !== undefined) {
    throw refusal(metadata, response.status, text, body?.error);
  }
  return readAuthorization(metadata, body, askedAt);
}

export type DevicePoll =
  /** Not decided yet, or the server was not able to say. Ask again after the interval. */
  | { kind: 'pending' }
  /** Ask again, and wait 5 s longer between polls from now on (RFC 8628 §3.5). */
  | { kind: 'slow_down' }
  /** Tokens, or a refusal such as `access_denied` and `expired_token`. */
  | { kind: 'answer'; answer: TokenAnswer };

/**
 * Asks once whether the person has decided. Throws `config_error` when our client cannot authenticate; all else is
 * in the result. An aborted `fetch` counts as `pending`.
 *
 * @see RFC 8628 §3.4, §3.5
 */
export async function pollDevice(
  request: DeviceRequest & { authorization: Pick<DeviceAuthorization, 'deviceCode'> },
): Promise<DevicePoll> {
  const { metadata, client, authorization, resource, fetch, now } = request;
  const auth = clientAuth(client, request.basicEncoding);
  const answer = await observe(
    oauth.deviceCodeGrantRequest(
      metadata,
      { client_id: client.clientId },
      auth,
      authorization.deviceCode.reveal(),
      requestOptions(metadata.token_endpoint, fetch, { resource }),
    ),
    now,
  );
  return judgePoll(answer);
}

function judgePoll(answer: TokenAnswer): DevicePoll {
  if (answer.kind !== 'answer') return { kind: isTimeout(answer.code) ? 'slow_down' : 'pending' };
  const { status, body } = answer;
  // A token that was answered is never thrown away, whatever stands beside it.
  if (typeof body?.access_token === 'string' && body.access_token !== '') return { kind: 'answer', answer };
  switch (body?.error) {
    case 'authorization_pending':
    case 'temporarily_unavailable':
    case 'server_error':
      return { kind: 'pending' };
    case 'slow_down':
      return { kind: 'slow_down' };
  }
  if (status === 429) return { kind: 'slow_down' };
  return status >= 500 || NOT_PROCESSED.has(status) ? { kind: 'pending' } : { kind: 'answer', answer };
}

/** Ours, and those of the HTTP client for connecting, headers and body. */
function isTimeout(code: string): boolean {
  return code === 'timeout' || code === 'etimedout' || /^und_err_\w+_timeout$/.test(code);
}

function refusal(metadata: ServerMetadata, status: number, text: string, error: unknown): BrokerError {
  const hints: Record<string, string> = {
    unauthorized_client:
      'the client must be registered for the device grant: ask the operator of the server to allow it\n' +
      `  ${DEVICE_GRANT}\nor sign in with --paste instead`,
    invalid_scope: 'choose other scopes with --scope',
  };
  return new BrokerError(
    'login_refused',
    `${metadata.issuer} refused the device sign-in: ${describeRefusal(status, text)}`,
    { hint: (typeof error === 'string' && hints[error]) || 'sign in with --paste instead' },
  );
}

/** Fields in every spelling seen; what is missing has a default, but for what the person needs. */
function readAuthorization(
  metadata: ServerMetadata,
  body: Record<string, unknown>,
  askedAt: number,
): DeviceAuthorization {
  const { device_code: deviceCode, user_code: userCode } = body;
  // `verification_url` is what Google says.
  const verificationUri = readUri(body.verification_uri ?? body.verification_url);
  if (typeof deviceCode !== 'string' || deviceCode === '') {
    throw unusable(metadata, 'holds no device code');
  }
  if (!isTypable(userCode)) throw unusable(metadata, 'holds no code that a person could type');
  if (verificationUri === undefined) throw unusable(metadata, 'names no page that is safe to open');
  const lifetimeMs = readSeconds(body.expires_in) || DEFAULT_LIFETIME_MS;
  const intervalMs = readSeconds(body.interval) ?? DEFAULT_INTERVAL_MS;
  return {
    deviceCode: new Secret(deviceCode),
    userCode,
    verificationUri,
    verificationUriComplete: readUri(body.verification_uri_complete ?? body.verification_url_complete),
    expiresAt: askedAt + Math.min(lifetimeMs, MAX_LIFETIME_MS),
    intervalMs: Math.min(Math.max(intervalMs, MIN_INTERVAL_MS), MAX_INTERVAL_MS),
  };
}

function unusable(metadata: ServerMetadata, why: string): BrokerError {
  return new BrokerError('login_refused', `the device sign-in of ${metadata.issuer} ${why}`, {
    hint: 'sign in with --paste instead, and tell the operator of the server',
  });
}

function isTypable(code: unknown): code is string {
  return typeof code === 'string' && code !== '' && printable(code, MAX_USER_CODE) === code;
}

/** In its ASCII form, so that no letter passes for another. Undefined for what must not be shown as a link. */
function readUri(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= MAX_URI && isSafeUrl(value)
    ? new URL(value).href
    : undefined;
}

/** Seconds, also as text, in ms. Undefined for what is no duration. */
function readSeconds(value: unknown): number | undefined {
  const isNumeric = typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value));
  const seconds = isNumeric ? Number(value) : Number.NaN;
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}
