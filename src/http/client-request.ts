/**
 * Reading a token request of RFC 6749 §4.4.2: who asks, and for what.
 *
 * Nothing is guessed: what is said twice, in the wrong place or in two ways is refused, because passing over it
 * in silence could mean a token for something else than the client wanted.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { ClientCredentials } from '../broker/authenticate.ts';
import type { ClientWish } from '../broker/token-for-client.ts';
import { Secret } from '../secret.ts';

/** A request as it stands, before anybody is known. */
export interface TokenRequest extends ClientWish {
  client: ClientCredentials;
  grantType: string;
}

/** An answer of RFC 6749 §5.2. */
export interface OAuthRefusal {
  status: number;
  error:
    | 'invalid_request'
    | 'invalid_client'
    | 'invalid_target'
    | 'unsupported_grant_type'
    | 'temporarily_unavailable'
    | 'server_error';
  description: string;
  /** Whether the answer asks for Basic credentials. */
  isChallenge?: boolean;
}

const BASIC = /^Basic +([\w+/-]+={0,2})$/i;

/** Reads headers and form. What cannot be a request is returned as the refusal it gets. */
export function readTokenRequest(
  { authorization }: Pick<IncomingHttpHeaders, 'authorization'>,
  body: string,
): TokenRequest | { refused: OAuthRefusal } {
  // A parameter without a value counts as left out (RFC 6749 §3.2).
  const sent = [...new URLSearchParams(body)].filter(([, value]) => value !== '');
  const resources = sent.filter(([name]) => name === 'resource').map(([, value]) => value);
  const others = sent.filter(([name]) => name !== 'resource');
  const form = new Map(others);
  if (form.size < others.length) return invalidRequest('a parameter is there twice');
  const client = readClient(authorization, form);
  if ('refused' in client) return client;
  const grantType = form.get('grant_type');
  if (grantType === undefined) return invalidRequest('grant_type is missing: send client_credentials');
  return { client, grantType, resources, scope: form.get('scope') };
}

/** `invalid_request`. */
export function invalidRequest(description: string, status = 400): { refused: OAuthRefusal } {
  return { refused: { status, error: 'invalid_request', description } };
}

/** Name and key by Basic or in the form, never both (RFC 6749 §2.3). */
function readClient(
  authorization: string | undefined,
  form: Map<string, string>,
): ClientCredentials | { refused: OAuthRefusal } {
  const clientId = form.get('client_id');
  const clientSecret = form.get('client_secret');
  if (authorization === undefined) {
    if (clientId !== undefined && clientSecret !== undefined)
      return { clientId, clientSecret: new Secret(clientSecret) };
    const isAnonymous = clientId === undefined && clientSecret === undefined;
    return invalidClient('send the agent name as client_id and the agent key as client_secret', isAnonymous);
  }
  if (clientSecret !== undefined) return invalidRequest('credentials are in the header and in the body');
  const client = readBasic(authorization);
  if (!client) return invalidClient('the Authorization header is not Basic with the agent name and key');
  if (clientId === undefined || clientId === client.clientId) return client;
  return invalidRequest('client_id in the body is not the one in the header');
}

function invalidClient(description: string, isChallenge = true): { refused: OAuthRefusal } {
  return { refused: { status: 401, error: 'invalid_client', description, isChallenge } };
}

function readBasic(authorization: string): ClientCredentials | undefined {
  const [, encoded = ''] = BASIC.exec(authorization) ?? [];
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon === -1) return undefined;
  const [clientId, clientSecret] = [text.slice(0, colon), text.slice(colon + 1)].map(formDecoded);
  return { clientId: clientId as string, clientSecret: new Secret(clientSecret as string) };
}

/**
 * Clients form-encode both halves (RFC 6749 §2.3.1) or forget to. Names and keys have no character that could tell
 * the two apart, so decoding always is right.
 */
function formDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
