/**
 * The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636): begin, check what came back, redeem.
 *
 * What comes back is checked in a fixed order: `state` (is this the answer to our question), `iss` (from the
 * server we asked, RFC 9207), `error`, and only then the code. Nothing of an answer that fails an earlier step
 * is acted on or shown.
 */
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { isScopeToken } from '../core/scope.ts';
import type { ServerSettings } from '../core/server-settings.ts';
import { BrokerError, quote } from '../errors.ts';
import { Secret } from '../secret.ts';
import { type ClientCredentials, clientAuth } from './client-auth.ts';
import { describeRefusal, networkError, parseObject } from './failure.ts';
import { type Fetch, isLoopback, requireSafeUrl } from './http.ts';
import { requireBrowserServer, type ServerMetadata } from './server-discovery.ts';
import { observe, requestOptions, type TokenAnswer } from './token-request.ts';

export interface AuthorizationRequest {
  /** Where the person must go. */
  url: string;
  state: Secret;
  codeVerifier: Secret;
}

/** What of a server's settings concerns a login. */
export type LoginManner = Pick<
  ServerSettings,
  'resourceParameter' | 'authorizationParameters' | 'basicEncoding'
>;

export interface AuthorizationParameters {
  metadata: ServerMetadata;
  client: ClientCredentials & { redirectUri: string };
  settings: LoginManner;
  resource: string;
  /** Space separated. Undefined: the parameter is left out and the server decides. */
  scope: string | undefined;
  fetch: Fetch;
}

/**
 * Builds the authorization request with fresh `state` and PKCE verifier, and pushes it first where the server
 * demands that (RFC 9126).
 *
 * Throws `upstream_unavailable`, `login_refused`, `config_error` for a pushed request, `discovery_failed` where there is
 * no page to send a person to.
 */
export async function beginAuthorization(request: AuthorizationParameters): Promise<AuthorizationRequest> {
  const { client: ours, settings, resource, scope } = request;
  const metadata = requireBrowserServer(request.metadata);
  const codeVerifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const configuration = new client.Configuration(metadata, ours.clientId);
  if (isLoopback(metadata.authorization_endpoint)) client.allowInsecureRequests(configuration);
  const parameters = {
    // Without it OpenID providers drop offline_access in silence (OpenID Connect Core 1.0 §11).
    ...(scope?.split(' ').includes('offline_access') ? { prompt: 'consent' } : {}),
    ...settings.authorizationParameters,
    client_id: ours.clientId,
    redirect_uri: ours.redirectUri,
    response_type: 'code',
    code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
    state,
    ...(settings.resourceParameter === 'send' ? { resource } : {}),
    ...(scope === undefined ? {} : { scope }),
  };
  const isPushed = metadata.require_pushed_authorization_requests === true;
  const shown = isPushed ? { request_uri: await pushRequest(request, parameters) } : parameters;
  const url = client.buildAuthorizationUrl(configuration, shown);
  requireSafeUrl(url.href);
  return { url: url.href, state: new Secret(state), codeVerifier: new Secret(codeVerifier) };
}

/** Lays the request down at the server; what comes back stands for it (RFC 9126 §2). */
async function pushRequest(
  { metadata, client: ours, settings, fetch }: AuthorizationParameters,
  parameters: Record<string, string>,
): Promise<string> {
  const endpoint = metadata.pushed_authorization_request_endpoint;
  if (endpoint === undefined) throw notPushed(metadata, 'it names no place for that');
  const response = await oauth
    .pushedAuthorizationRequest(
      metadata,
      { client_id: ours.clientId },
      clientAuth(ours, settings.basicEncoding),
      parameters,
      {
        [oauth.customFetch]: fetch as typeof globalThis.fetch,
        [oauth.allowInsecureRequests]: isLoopback(endpoint),
      },
    )
    .catch((error: unknown) => {
      throw networkError(error, endpoint);
    });
  const text = await response.text();
  const uri = parseObject(text)?.request_uri;
  if (response.status >= 500 || response.status === 429)
    throw networkError(new Error(`status ${response.status}`), endpoint);
  if (response.ok && typeof uri === 'string') return uri;
  throw notPushed(metadata, describeRefusal(response.status, text));
}

function notPushed({ issuer }: ServerMetadata, reason: string): BrokerError {
  return new BrokerError(
    'login_refused',
    `${issuer} wants the request beforehand and did not take it: ${reason}`,
    {
      hint: 'nothing was changed; run the login again, or ask its operator',
    },
  );
}

/**
 * The scope to ask for: what the operator chose, else what the challenge demands, else all the resource
 * supports, else none. `offline_access` is added when the server advertises it, never otherwise.
 */
export function chooseScope(
  chosen: readonly string[],
  challengeScope: string | undefined,
  scopesSupported: string[] | undefined,
  metadata: ServerMetadata,
): string | undefined {
  const suggested = challengeScope?.split(/\s+/) ?? scopesSupported ?? [];
  const wanted = chosen.length > 0 ? chosen : suggested.filter(isScopeToken);
  const offline = metadata.scopes_supported?.includes('offline_access') ? ['offline_access'] : [];
  const scope = [...new Set([...wanted, ...offline])].join(' ');
  return scope === '' ? undefined : scope;
}

export type Callback =
  /** Not an answer to our question: discard it and go on waiting. */
  { kind: 'foreign' } | { kind: 'answer'; parameters: URLSearchParams };

/**
 * Checks what the authorization server sent back with the person.
 *
 * Throws `callback_invalid` (issuer wrong or missing, no code), `login_denied` (the person said no),
 * `login_refused` (the server said no). Returns `foreign` for a missing or wrong `state`.
 *
 * @see RFC 9207 §2.4: strings are compared as they are, without normalising
 */
export function checkCallback(
  parameters: URLSearchParams,
  state: Secret,
  metadata: ServerMetadata,
): Callback {
  if (parameters.getAll('state').length !== 1 || parameters.get('state') !== state.reveal())
    return { kind: 'foreign' };
  checkIssuer(parameters, metadata);
  const error = parameters.get('error');
  if (error !== null) throw refusal(error, parameters.get('error_description'), metadata);
  const unasked = ['response', 'id_token', 'token'].find((name) => parameters.has(name));
  if (unasked !== undefined) {
    throw new BrokerError(
      'callback_invalid',
      `the answer of ${metadata.issuer} holds a ${unasked}, which was not asked for`,
      {
        hint: 'the code was not used; start the login again, and if it stays so, tell the operator of the server',
      },
    );
  }
  if (parameters.getAll('code').length !== 1 || parameters.get('code') === '') {
    throw new BrokerError('callback_invalid', `the answer of ${metadata.issuer} holds no code`, {
      hint: 'start the login again; if it stays so, the server is not following OAuth',
    });
  }
  return { kind: 'answer', parameters };
}

function checkIssuer(parameters: URLSearchParams, metadata: ServerMetadata): void {
  const issuers = parameters.getAll('iss');
  const isAdvertised = metadata.authorization_response_iss_parameter_supported === true;
  if (issuers.length === 0 && isAdvertised) {
    throw new BrokerError(
      'callback_invalid',
      'the answer does not say which server it comes from (iss is missing)',
      {
        hint: `${metadata.issuer} announces that it always does; if you pasted the URL, paste it whole\nthe code was not used; start the login again`,
      },
    );
  }
  if (issuers.some((iss) => iss !== metadata.issuer) || issuers.length > 1) {
    throw new BrokerError('callback_invalid', 'the answer comes from another authorization server', {
      hint: `asked was ${quote(metadata.issuer)}, answered has ${quote(issuers.join(' '))}\nthe code was not used; start the login again`,
    });
  }
}

function refusal(error: string, description: string | null, metadata: ServerMetadata): BrokerError {
  const words = description ? `: ${quote(description)}` : '';
  if (error === 'access_denied') {
    return new BrokerError('login_denied', `the login was denied at ${metadata.issuer}${words}`, {
      hint: 'nothing was changed; run the login again and approve it',
    });
  }
  return new BrokerError(
    'login_refused',
    `${metadata.issuer} refused the login with ${quote(error)}${words}`,
    {
      hint:
        'invalid_scope' === error
          ? 'choose other scopes with --scope'
          : 'nothing was changed; run the login again',
    },
  );
}

/**
 * Redeems the code once (RFC 6749 §4.1.3). Throws `config_error` when our client cannot authenticate; all else
 * is in the answer.
 */
export async function redeemCode(request: {
  metadata: ServerMetadata;
  client: ClientCredentials;
  parameters: URLSearchParams;
  state: Secret;
  codeVerifier: Secret;
  redirectUri: string;
  settings: LoginManner;
  resource: string;
  fetch: Fetch;
  now: () => number;
}): Promise<TokenAnswer> {
  const { metadata, fetch, settings, redirectUri, codeVerifier } = request;
  const auth = clientAuth(request.client, settings.basicEncoding);
  const resource = settings.resourceParameter === 'send' ? request.resource : undefined;
  const registered = { client_id: request.client.clientId };
  const checked = oauth.validateAuthResponse(
    metadata,
    registered,
    request.parameters,
    request.state.reveal(),
  );
  return observe(
    oauth.authorizationCodeGrantRequest(
      metadata,
      registered,
      auth,
      checked,
      redirectUri,
      codeVerifier.reveal(),
      requestOptions(metadata.token_endpoint, fetch, { resource }),
    ),
    request.now,
  );
}
