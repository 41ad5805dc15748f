/** Tokens for machines: no person, no redirect, one request to the token endpoint. */
import * as oauth from 'oauth4webapi';
import type { Secret } from '../secret.ts';
import { type BasicEncoding, type ClientCredentials, clientAuth } from './client-auth.ts';
import type { Fetch } from './http.ts';
import type { ServerMetadata } from './server-discovery.ts';
import { given, observe, requestOptions, type TokenAnswer } from './token-request.ts';

export interface MachineRequest {
  metadata: ServerMetadata;
  /** With an empty `clientId` nothing says who we are but the assertion. */
  client: ClientCredentials;
  basicEncoding: BasicEncoding;
  /** RFC 8707. Undefined: left out. */
  resource: string | undefined;
  /** Space separated. Undefined: left to the server. */
  scope: string | undefined;
  fetch: Fetch;
  now: () => number;
}

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
/** `issued_token_type` of a token that a server takes (RFC 8693 §3). */
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
/** `issued_token_type` of a grant at another authorization server. */
export const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token';

/** With the client's own credentials. @see RFC 6749 §4.4.2 */
export function requestByCredentials(request: MachineRequest): Promise<TokenAnswer> {
  return ask(request, 'client_credentials', {});
}

/** With an assertion somebody else has signed. @see RFC 7523 §2.1 */
export function requestByAssertion(request: MachineRequest, assertion: Secret): Promise<TokenAnswer> {
  return ask(request, JWT_BEARER, { assertion: assertion.reveal() });
}

/** Exchanges an access token at its issuer for one that is meant for another resource. @see RFC 8693 §2.1 */
export function exchangeForToken(request: MachineRequest, subjectToken: Secret): Promise<TokenAnswer> {
  return ask(request, TOKEN_EXCHANGE, {
    requested_token_type: ACCESS_TOKEN,
    subject_token: subjectToken.reveal(),
    subject_token_type: ACCESS_TOKEN,
  });
}

/**
 * Exchanges an ID token at its issuer for a grant at another authorization server. The grant is the answer's
 * `access_token`.
 *
 * @param request its `resource` is the one the grant is for
 * @param audience issuer of the other authorization server
 * @see RFC 8693 §2.1, draft-ietf-oauth-identity-assertion-authz-grant §4.3
 */
export function exchangeForGrant(
  request: MachineRequest,
  subjectToken: Secret,
  audience: string,
): Promise<TokenAnswer> {
  return ask(request, TOKEN_EXCHANGE, {
    requested_token_type: ID_JAG,
    audience,
    subject_token: subjectToken.reveal(),
    subject_token_type: ID_TOKEN,
  });
}

function ask(
  { metadata, client, basicEncoding, resource, scope, fetch, now }: MachineRequest,
  grantType: string,
  parameters: Record<string, string>,
): Promise<TokenAnswer> {
  const auth: oauth.ClientAuth = client.clientId === '' ? () => {} : clientAuth(client, basicEncoding);
  return observe(
    oauth.genericTokenEndpointRequest(
      metadata,
      { client_id: client.clientId === '' ? 'unnamed' : client.clientId },
      auth,
      grantType,
      // Of these requests the library takes no additional parameters: all go here.
      { ...parameters, ...given({ resource, scope }) },
      requestOptions(metadata.token_endpoint, fetch, {}),
    ),
    now,
  );
}
