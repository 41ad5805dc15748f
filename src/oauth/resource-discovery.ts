/**
 * What the protected resource says about itself: its challenge, and its metadata (RFC 9728).
 *
 * The order is the specification's: the URL in the challenge, then the well-known path with the resource's own
 * path behind it, then the well-known path at the root.
 */

import { type BearerChallenge, parseChallenges, readBearerChallenge } from '../core/challenge.ts';
import { INITIALIZE } from '../core/mcp-initialize.ts';
import type { Network } from '../core/server-settings.ts';
import { BrokerError, printable, quote } from '../errors.ts';
import { kindOf } from './addresses.ts';
import { fetchDocument } from './documents.ts';
import { networkError } from './failure.ts';
import { type Fetch, type FetchFor, isLoopback, isSafeUrl } from './http.ts';

/** What is known after asking for entry without a token. */
export interface Entrance {
  status: number;
  /** Whether it answered like an MCP server rather than with a web page. */
  speaksMcp: boolean;
  challenge: BearerChallenge | undefined;
  /** Where URLs learned from this server may lead. */
  network: Network;
}

export interface ProtectedResource {
  /** RFC 8707 resource, exactly as the metadata spells it: never rebuilt through a URL object. */
  resource: string;
  /** At least one. */
  authorizationServers: string[];
  scopesSupported: string[] | undefined;
}

/** One is usual; a few servers send a dead one first. */
const MAX_METADATA_URLS = 5;

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** What a client begins with; and what some servers protect alone, letting strangers begin. */
const FIRST_WORDS = [INITIALIZE, { method: 'tools/list', params: {} }] as const;

/**
 * Asks for entry without a token, to be told how to get one. A server that lets strangers begin is asked for its tools
 * too: its challenge may come only then, and hold the scope to ask for.
 *
 * Throws `upstream_unavailable` (network, 5xx), `discovery_failed` (the server has moved), `config_error` (it takes
 * only tokens bound to a key).
 *
 * @see RFC 9728 §5
 */
export async function askForEntry(url: string, fetchFor: FetchFor): Promise<Entrance> {
  const [hello, list] = FIRST_WORDS;
  const first = await ask(url, hello, fetchFor);
  if (first.status === 401 || !first.speaksMcp) return first;
  const second = await ask(url, list, fetchFor).catch((error: unknown) => {
    if (error instanceof BrokerError && error.code === 'upstream_unavailable') return first;
    throw error;
  });
  return second.status === 401 ? second : first;
}

async function ask(
  url: string,
  message: (typeof FIRST_WORDS)[number],
  fetchFor: FetchFor,
): Promise<Entrance> {
  let address: string | undefined;
  // The person typed this host: it may be anywhere.
  const response = await fetchFor('private')(url, {
    method: 'POST',
    headersOnly: true,
    onConnected: (remote) => {
      address = remote;
    },
    headers: { accept: 'application/json, text/event-stream', 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
  }).catch((error: unknown) => {
    throw networkError(error, url);
  });
  const { status, headers } = response;
  if (status >= 500 || status === 429) {
    throw new BrokerError('upstream_unavailable', `${url} is out of order (it answered ${status})`, {
      hint: 'try again later',
    });
  }
  if (status >= 300 && status < 400) throw moved(url, headers.get('location'));
  const wwwAuthenticate = headers.get('www-authenticate') ?? '';
  const schemes = parseChallenges(wwwAuthenticate).map(({ scheme }) => scheme);
  if (status === 401 && schemes.includes('dpop') && !schemes.includes('bearer')) throw dpopRequired(url);
  return {
    status,
    // A web site answers with a page, whatever it is asked.
    speaksMcp: /^(application\/json|text\/event-stream)\b/.test(headers.get('content-type') ?? ''),
    challenge: readBearerChallenge(wwwAuthenticate),
    network: networkOf(url, address),
  };
}

/** Through a proxy nobody knows the address; then the name must say it. */
function networkOf(url: string, address: string | undefined): Network {
  if (address === undefined) return isLoopback(url) ? 'private' : 'public';
  return kindOf(address) === 'public' ? 'public' : 'private';
}

function moved(url: string, location: string | null): BrokerError {
  const to = location === null ? undefined : URL.parse(location, url)?.href;
  const target = to !== undefined && isSafeUrl(to) ? to : undefined;
  return new BrokerError('discovery_failed', `${url} sends its callers somewhere else`, {
    hint:
      target === undefined
        ? 'a token must not follow it; ask its operator for the right URL'
        : `it names ${quote(target)}\na token must not follow it by itself; if that is the right server: broker login <that URL>`,
  });
}

/**
 * Finds the metadata of the resource at `url`: which authorization servers guard it. Undefined when it publishes none.
 *
 * Throws `upstream_unavailable` (network, 5xx), `resource_mismatch`, `config_error` (it demands tokens bound to a key).
 *
 * @param pinned the resource an operator vouches for, whatever the document names
 * @param seen gets a line for each place looked at
 * @see RFC 9728 §3
 */
export async function discoverResource(
  url: string,
  { challenge }: Entrance,
  fetch: Fetch,
  pinned: string | null,
  seen: string[],
): Promise<ProtectedResource | undefined> {
  for (const candidate of metadataUrls(url, challenge)) {
    const { status, document } = await fetchDocument(candidate, fetch);
    const isMetadata = document !== undefined && readStrings(document.authorization_servers) !== undefined;
    seen.push(
      `${printable(candidate)} (${status}${status === 200 && !isMetadata ? ', not this metadata' : ''})`,
    );
    if (isMetadata) return readMetadata(document, candidate, url, pinned);
  }
  return undefined;
}

function metadataUrls(url: string, challenge: BearerChallenge | undefined): string[] {
  const { origin, pathname, search } = new URL(url);
  const fromChallenge = (challenge?.resourceMetadata ?? [])
    .flatMap((each) => URL.parse(each, url)?.href ?? [])
    .filter(isSafeUrl)
    .slice(0, MAX_METADATA_URLS);
  const path = pathname === '/' ? '' : pathname;
  return [...new Set([...fromChallenge, `${origin}${WELL_KNOWN}${path}${search}`, `${origin}${WELL_KNOWN}`])];
}

function readMetadata(
  metadata: Record<string, unknown>,
  metadataUrl: string,
  url: string,
  pinned: string | null,
): ProtectedResource {
  const resource = pinned ?? metadata.resource;
  if (typeof resource !== 'string' || (pinned === null && !covers(resource, url))) {
    throw new BrokerError('resource_mismatch', `${metadataUrl} describes another resource`, {
      hint:
        `it names ${quote(String(resource))}\nbut asked was ${quote(url)}\n` +
        'a token for the one must not be sent to the other; use the URL the server names, or ask its operator to correct it\n' +
        'if you know that both are the same server, vouch for it with --resource',
    });
  }
  if (metadata.dpop_bound_access_tokens_required === true) throw dpopRequired(url);
  return {
    resource,
    authorizationServers: readStrings(metadata.authorization_servers) ?? [],
    scopesSupported: readStrings(metadata.scopes_supported),
  };
}

/** Tokens bound to a key (RFC 9449) are of no use to agents, which do not have the key. */
function dpopRequired(url: string): BrokerError {
  return new BrokerError('config_error', `${url} accepts only tokens that are bound to a key (DPoP)`, {
    hint: 'agents could not use such a token; ask its operator to accept Bearer tokens for this client',
  });
}

/** Whether the metadata's resource is the URL or a parent of it: same origin, path a prefix in whole segments. */
function covers(resource: string, url: string): boolean {
  const parent = URL.parse(resource);
  const child = new URL(url);
  if (!parent || !isSafeUrl(resource) || parent.origin !== child.origin || parent.hash !== '') return false;
  if (parent.search !== '' && parent.search !== child.search) return false;
  const prefix = parent.pathname.endsWith('/') ? parent.pathname : `${parent.pathname}/`;
  return `${child.pathname}/`.startsWith(prefix);
}

/** A non-empty list of strings, or undefined. */
function readStrings(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const strings = value.filter((each) => typeof each === 'string' && each !== '') as string[];
  return strings.length > 0 ? strings : undefined;
}
