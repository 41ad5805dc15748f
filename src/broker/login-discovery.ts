/**
 * What a login must find out before anybody is asked: which authorization server guards the target, for which
 * resource, and with which scopes.
 *
 * What an operator vouches for comes first, then what the server says of itself, then the ways of the first MCP
 * revision.
 */
import type { Network, ServerSettings } from '../core/server-settings.ts';
import { BrokerError } from '../errors.ts';
import { abortable } from '../oauth/http.ts';
import {
  askForEntry,
  discoverResource,
  type Entrance,
  type ProtectedResource,
} from '../oauth/resource-discovery.ts';
import { requireBrowserServer, type ServerMetadata } from '../oauth/server-discovery.ts';
import type { Context } from './context.ts';

export interface Discovered {
  metadata: ServerMetadata;
  /** RFC 8707 resource, to the letter. */
  resource: string;
  /** Space separated scope of the challenge. */
  challengeScope: string | undefined;
  scopesSupported: string[] | undefined;
  network: Network;
  /** Whether the URL is an OpenID provider itself: the login is a person's identity, for no resource in particular. */
  isIdentity: boolean;
}

export interface DiscoveryWishes {
  /** Issuer of the connection's present login, preferred among several. */
  knownIssuer?: string | undefined;
  /** Whether a person is to sign in with a browser: only a server that has a page for that will do. Default false. */
  byBrowser?: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Throws `upstream_unavailable`, `no_login_needed`, `discovery_failed`, `resource_mismatch`, `issuer_mismatch`,
 * `pkce_unsupported`, `config_error` (only tokens bound to a key).
 */
export async function discover(
  context: Pick<Context, 'fetchFor' | 'metadata'>,
  url: string,
  settings: ServerSettings,
  { knownIssuer, byBrowser = false, signal }: DiscoveryWishes = {},
): Promise<Discovered> {
  const fetchFor = (network: Network) => abortable(context.fetchFor(network), signal);
  const entrance = await askForEntry(url, fetchFor);
  const { network, challenge } = entrance;
  const seen: string[] = [];
  const found = await discoverResource(url, entrance, fetchFor(network), settings.pinnedResource, seen);
  const look = lookup(context, network, settings, byBrowser, signal);
  const provider =
    found === undefined && entrance.status !== 401 ? await openIdProvider(look, url) : undefined;
  return {
    metadata: provider ?? (await chooseServer(look, url, entrance, found, settings, knownIssuer, seen)),
    resource: found?.resource ?? settings.pinnedResource ?? url,
    challengeScope: challenge?.scope,
    scopesSupported: found?.scopesSupported,
    network,
    isIdentity: provider !== undefined,
  };
}

/** The URL may be an issuer with users of its own (OpenID Connect Discovery 1.0 §4). Undefined: it is none. */
async function openIdProvider(look: Lookup, url: string): Promise<ServerMetadata | undefined> {
  const issuers = url.endsWith('/') ? [url.slice(0, -1), url] : [url];
  for (const issuer of issuers) {
    const metadata = await look.at(issuer).catch((error: unknown) => {
      if (error instanceof BrokerError && ['discovery_failed', 'issuer_mismatch'].includes(error.code))
        return undefined;
      throw error;
    });
    if (metadata?.jwks_uri !== undefined && metadata.scopes_supported?.includes('openid')) return metadata;
  }
  return undefined;
}

interface Lookup {
  /** Metadata at this issuer, which must name it, or the one the operator vouches for. */
  at(issuer: string): Promise<ServerMetadata>;
  /** What a server of the first revision says, or is taken to say. */
  firstRevision(url: string): Promise<ServerMetadata>;
}

function lookup(
  { metadata }: Pick<Context, 'metadata'>,
  network: Network,
  { pinnedIssuer, pkce }: ServerSettings,
  byBrowser: boolean,
  signal: AbortSignal | undefined,
): Lookup {
  const options = { network, signal, vouched: { issuer: pinnedIssuer ?? undefined, pkce } };
  return {
    async at(issuer) {
      const found = await metadata.discover(issuer, options);
      return byBrowser ? requireBrowserServer(found) : found;
    },
    firstRevision: (url) => metadata.discoverFirstRevision(url, options),
  };
}

async function chooseServer(
  look: Lookup,
  url: string,
  entrance: Entrance,
  found: ProtectedResource | undefined,
  { pinnedIssuer }: ServerSettings,
  knownIssuer: string | undefined,
  seen: string[],
): Promise<ServerMetadata> {
  const announced = found?.authorizationServers ?? [];
  if (pinnedIssuer !== null) return firstOf([pinnedIssuer, ...announced], look.at);
  if (found) {
    const isKnown = (each: string) => each === knownIssuer;
    return firstOf([...announced.filter(isKnown), ...announced.filter((each) => !isKnown(each))], look.at);
  }
  if (entrance.status === 401) return look.firstRevision(url);
  if (entrance.status < 300 && entrance.speaksMcp) {
    throw new BrokerError('no_login_needed', `${url} answers without a login`, {
      hint: 'agents can call it as it is; there is nothing to sign in to',
    });
  }
  throw new BrokerError(
    'discovery_failed',
    `${url} does not say how to sign in (it answered ${entrance.status})`,
    {
      hint: `check the URL: it must be the MCP endpoint itself\nlooked for its metadata at\n${seen.map((each) => `  ${each}`).join('\n')}`,
    },
  );
}

/** The first server that can be used. Throws what the first one failed with when none can. */
async function firstOf(
  issuers: string[],
  at: (issuer: string) => Promise<ServerMetadata>,
): Promise<ServerMetadata> {
  const failures: unknown[] = [];
  for (const issuer of new Set(issuers)) {
    try {
      return await at(issuer);
    } catch (error) {
      failures.push(error);
      if (!(error instanceof BrokerError) || error.code === 'interrupted') throw error;
    }
  }
  throw failures[0];
}
