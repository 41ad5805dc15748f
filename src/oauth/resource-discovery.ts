/**
 * What the protected resource says about itself: its challenge, and its metadata (RFC 9728).
 *
 * The order is the specification's: the URL in the challenge, then the well-known path with the resource's own
 * path behind it, then the well-known path at the root.
 */
import { type BearerChallenge, readBearerChallenge } from '../core/challenge.ts';
import { BrokerError, quote } from '../errors.ts';
import { networkError, parseObject } from './failure.ts';
import { type Fetch, isSafeUrl } from './http.ts';

export interface ProtectedResource {
  /** RFC 8707 resource, exactly as the metadata spells it: never rebuilt through a URL object. */
  resource: string;
  /** At least one. */
  authorizationServers: string[];
  /** Scope the challenge asked for. */
  challengeScope: string | undefined;
  scopesSupported: string[] | undefined;
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** Offered when asking without a token; a server that knows only older revisions says so itself. */
const PROTOCOL_VERSION = '2025-11-25';

/**
 * Finds out which authorization server guards `url`.
 *
 * Throws `upstream_unavailable` (network, 5xx), `no_login_needed`, `resource_mismatch`, `discovery_failed`.
 *
 * @see RFC 9728 §3, §5
 */
export async function discoverResource(url: string, fetch: Fetch): Promise<ProtectedResource> {
  const { status, speaksMcp, challenge } = await ask(url, fetch);
  const seen: string[] = [];
  for (const candidate of metadataUrls(url, challenge)) {
    const metadata = await fetchMetadata(candidate, fetch, seen);
    if (metadata) return readMetadata(metadata, candidate, url, challenge);
  }
  if (status >= 200 && status < 300 && speaksMcp) {
    throw new BrokerError('no_login_needed', `${url} answers without a login`, {
      hint: 'agents can call it as it is; there is nothing to sign in to',
    });
  }
  throw new BrokerError('discovery_failed', `${url} does not say how to sign in (it answered ${status})`, {
    hint: `check the URL: it must be the MCP endpoint itself\nlooked for its metadata at\n${seen.map((each) => `  ${each}`).join('\n')}`,
  });
}

/** Asks for entry without a token, to be told how to get one. */
async function ask(
  url: string,
  fetch: Fetch,
): Promise<{ status: number; speaksMcp: boolean; challenge: BearerChallenge | undefined }> {
  const response = await fetch(url, {
    method: 'POST',
    headersOnly: true,
    headers: { accept: 'application/json, text/event-stream', 'content-type': 'application/json' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: {
        protocolVersion: PROTOCOL_VERSION,
        capabilities: {},
        clientInfo: { name: 'mcp-token-broker', version: '1' },
      },
    }),
  }).catch((error: unknown) => {
    throw networkError(error, url);
  });
  if (response.status >= 500) {
    throw new BrokerError('upstream_unavailable', `${url} is out of order (it answered ${response.status})`, {
      hint: 'try again later',
    });
  }
  return {
    status: response.status,
    // A web site answers with a page, whatever it is asked.
    speaksMcp: /^(application\/json|text\/event-stream)\b/.test(response.headers.get('content-type') ?? ''),
    challenge: readBearerChallenge(response.headers.get('www-authenticate') ?? ''),
  };
}

function metadataUrls(url: string, challenge: BearerChallenge | undefined): string[] {
  const { origin, pathname, search } = new URL(url);
  const fromChallenge = (challenge?.resourceMetadata ?? [])
    .flatMap((each) => URL.parse(each, url)?.href ?? [])
    .filter(isSafeUrl);
  const path = pathname === '/' ? '' : pathname;
  return [...new Set([...fromChallenge, `${origin}${WELL_KNOWN}${path}${search}`, `${origin}${WELL_KNOWN}`])];
}

/** The document, or undefined when this is not the place: 4xx, a web page, JSON of another kind. */
async function fetchMetadata(
  url: string,
  fetch: Fetch,
  seen: string[],
): Promise<Record<string, unknown> | undefined> {
  const response = await fetch(url, { headers: { accept: 'application/json' } }).catch((error: unknown) => {
    throw networkError(error, url);
  });
  if (response.status >= 500) {
    throw new BrokerError('upstream_unavailable', `${url} is out of order (it answered ${response.status})`, {
      hint: 'try again later',
    });
  }
  const document = response.status === 200 ? parseObject(await response.text()) : undefined;
  const isMetadata = document !== undefined && readStrings(document.authorization_servers) !== undefined;
  seen.push(
    `${url} (${response.status}${response.status === 200 && !isMetadata ? ', not this metadata' : ''})`,
  );
  return isMetadata ? document : undefined;
}

function readMetadata(
  metadata: Record<string, unknown>,
  metadataUrl: string,
  url: string,
  challenge: BearerChallenge | undefined,
): ProtectedResource {
  const resource = metadata.resource;
  if (typeof resource !== 'string' || !covers(resource, url)) {
    throw new BrokerError('resource_mismatch', `${metadataUrl} describes another resource`, {
      hint:
        `it names ${quote(String(resource))}\nbut asked was ${quote(url)}\n` +
        'a token for the one must not be sent to the other; use the URL the server names, or ask its operator to correct it',
    });
  }
  return {
    resource,
    authorizationServers: readStrings(metadata.authorization_servers) ?? [],
    challengeScope: challenge?.scope,
    scopesSupported: readStrings(metadata.scopes_supported),
  };
}

/** Whether the metadata's resource is the URL or a parent of it: same origin, path a prefix in whole segments. */
function covers(resource: string, url: string): boolean {
  const parent = URL.parse(resource);
  const child = new URL(url);
  if (!parent || parent.origin !== child.origin || parent.hash !== '') return false;
  const prefix = parent.pathname.endsWith('/') ? parent.pathname : `${parent.pathname}/`;
  return `${child.pathname}/`.startsWith(prefix);
}

/** A non-empty list of strings, or undefined. */
function readStrings(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const strings = value.filter((each) => typeof each === 'string' && each !== '') as string[];
  return strings.length > 0 ? strings : undefined;
}
