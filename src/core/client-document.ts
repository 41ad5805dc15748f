/**
 * Client id metadata documents: a client whose id is the https URL of a page that describes it (OAuth Client ID
 * Metadata Document, draft-ietf-oauth-client-id-metadata-document). An operator hosts it, any server may read it.
 */
import { BrokerError, quote } from '../errors.ts';
import { readRedirectUri } from './redirect.ts';

export interface ClientDocumentFacts {
  /** Where it will be hosted; becomes the client id. */
  url: string;
  redirectUris: string[];
  /** Public keys for `private_key_jwt`, as a JWK set. Undefined: the client authenticates with nothing. */
  jwks?: { keys: Record<string, unknown>[] } | undefined;
}

/** The document to host. Throws `usage` for a URL that cannot be a client id. */
export function writeClientDocument({
  url,
  redirectUris,
  jwks,
}: ClientDocumentFacts): Record<string, unknown> {
  requireClientIdUrl(url);
  return {
    client_id: url,
    client_name: 'mcp-token-broker',
    redirect_uris: redirectUris.map((each) => readRedirectUri(each).uri),
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: jwks ? 'private_key_jwt' : 'none',
    ...(jwks ? { jwks } : {}),
  };
}

/** A client id of this kind is an https URL with a path, without dots in it, fragment, user name and query. */
export function requireClientIdUrl(text: string): void {
  const url = URL.parse(text);
  const isFit =
    url !== null &&
    url.protocol === 'https:' &&
    url.pathname !== '/' &&
    url.href === text &&
    !/[?#]/.test(text) &&
    url.username === '' &&
    url.password === '';
  if (isFit) return;
  throw new BrokerError('usage', `${quote(text)} cannot be the URL of a client metadata document`, {
    hint: 'it is an https URL with a path, such as https://example.com/broker/client.json',
  });
}

/**
 * Checks what is hosted, and chooses the redirect URI: the wished one if it is listed, else the first we can listen for,
 * else the first. Throws `config_error` saying what to correct.
 */
export function readClientDocument(
  url: string,
  { status, document }: { status: number; document: Record<string, unknown> | undefined },
  wished: string | undefined,
): { redirectUri: string } {
  if (document === undefined) throw unfit(url, `it answers ${status} and is no JSON object`);
  if (document.client_id !== url) throw unfit(url, `its client_id is ${quote(String(document.client_id))}`);
  const listed = Array.isArray(document.redirect_uris) ? document.redirect_uris : [];
  const uris = listed.filter((each): each is string => typeof each === 'string');
  if (wished !== undefined && !uris.includes(wished)) throw unfit(url, `it does not list ${wished}`);
  const chosen = wished ?? uris.find((each) => canListen(each)) ?? uris[0];
  if (chosen === undefined) throw unfit(url, 'it lists no redirect URI');
  try {
    return { redirectUri: readRedirectUri(chosen).uri };
  } catch (error) {
    throw unfit(url, (error as BrokerError).message);
  }
}

function canListen(uri: string): boolean {
  try {
    return readRedirectUri(uri).isLoopback;
  } catch {
    return false;
  }
}

function unfit(url: string, reason: string): BrokerError {
  return new BrokerError('config_error', `the client metadata document ${url} does not fit: ${reason}`, {
    hint: `host what this prints: broker client-metadata --client-metadata-url ${url}`,
  });
}
