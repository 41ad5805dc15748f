/**
 * What the authorization server says about itself: RFC 8414 metadata or an OpenID Connect discovery document.
 *
 * The document must name exactly the issuer it was looked up for. Otherwise one server could pass for another
 * and collect the codes and refresh tokens meant for it.
 */
import type { AuthorizationServer } from 'oauth4webapi';
import { BrokerError, printable, quote } from '../errors.ts';
import { fetchDocument } from './documents.ts';
import { type Fetch, requireSafeUrl } from './http.ts';

/**
 * Metadata of an authorization server, checked: issuer exact, endpoints safe, PKCE with S256 offered where people sign
 * in. A server for machines alone has no authorization endpoint (RFC 8414 §2).
 */
export type ServerMetadata = AuthorizationServer & { token_endpoint: string };

/** Metadata of a server that people can sign in to with a browser. */
export type BrowserServer = ServerMetadata & { authorization_endpoint: string };

/** Endpoints that must be safe to call when they are given. */
const ENDPOINTS = [
  'authorization_endpoint',
  'token_endpoint',
  'registration_endpoint',
  'revocation_endpoint',
  'device_authorization_endpoint',
  'pushed_authorization_request_endpoint',
] as const;

/** What is no list here counts as absent. */
const LISTS = new Set([
  'scopes_supported',
  'token_endpoint_auth_methods_supported',
  'token_endpoint_auth_signing_alg_values_supported',
  'code_challenge_methods_supported',
]);

function isListOfText(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

/** Marks metadata nobody published: endpoints as the first MCP revision prescribes them. */
export const PRESCRIBED = 'mcp_prescribed_endpoints';

/** What an operator vouches for. */
export interface Vouched {
  /** The issuer the document must name. Default: the one it was looked up for. */
  issuer?: string | undefined;
  /** Default `announced`. `assumed`: S256 works although the document does not say so. */
  pkce?: 'announced' | 'assumed';
}

/**
 * Finds and checks the metadata of `issuer`.
 *
 * Throws `upstream_unavailable` (network, 5xx), `issuer_mismatch`, `pkce_unsupported`, `discovery_failed`.
 *
 * @see RFC 8414 §3, OpenID Connect Discovery 1.0 §4; order from the MCP authorization specification
 */
export async function discoverServer(
  issuer: string,
  fetch: Fetch,
  vouched?: Vouched,
): Promise<ServerMetadata> {
  const { metadata, seen } = await lookUp(issuer, fetch, vouched);
  if (metadata) return metadata;
  throw new BrokerError(
    'discovery_failed',
    `the authorization server ${printable(issuer)} publishes no metadata`,
    { hint: `looked at\n${seen.map((each) => `  ${each}`).join('\n')}` },
  );
}

/** For a login by browser. Throws `discovery_failed` when there is no page to send a person to (RFC 8414 §2). */
export function requireBrowserServer(metadata: ServerMetadata): BrowserServer {
  if (metadata.authorization_endpoint !== undefined) return metadata as BrowserServer;
  const ways = [
    'a machine gets its tokens with: broker add <name> --url <url> --client-credentials …',
    ...(metadata.device_authorization_endpoint === undefined ? [] : ['a person signs in with --device']),
  ];
  throw new BrokerError(
    'discovery_failed',
    `nobody can sign in to ${printable(metadata.issuer)} with a browser: its metadata names no authorization endpoint`,
    { hint: ways.join('\n') },
  );
}

/**
 * The metadata of a server of the first MCP revision, which guards itself: what it publishes at its root, else the
 * endpoints that revision prescribes.
 *
 * Throws what `discoverServer` throws.
 *
 * @see MCP authorization specification 2025-03-26, §2.3.2 and §2.3.3
 */
export async function discoverFirstRevision(
  url: string,
  fetch: Fetch,
  vouched?: Vouched,
): Promise<ServerMetadata> {
  const { origin } = new URL(url);
  const { metadata } = await lookUp(origin, fetch, vouched);
  return (
    metadata ?? {
      issuer: origin,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      registration_endpoint: `${origin}/register`,
      response_types_supported: ['code'],
      [PRESCRIBED]: true,
      // That revision makes PKCE a duty of every server.
      code_challenge_methods_supported: ['S256'],
    }
  );
}

/** The metadata where there is any, and a line for each place looked at. */
async function lookUp(
  issuer: string,
  fetch: Fetch,
  { issuer: named = issuer, pkce = 'announced' }: Vouched = {},
): Promise<{ metadata: ServerMetadata | undefined; seen: string[] }> {
  requireSafeUrl(issuer);
  const seen: string[] = [];
  let silent: ServerMetadata | undefined;
  let withoutPage: ServerMetadata | undefined;
  for (const url of metadataUrls(issuer)) {
    const { status, document } = await fetchDocument(url, fetch);
    const isMetadata = typeof document?.issuer === 'string';
    seen.push(`${printable(url)} (${status}${status === 200 && !isMetadata ? ', not this metadata' : ''})`);
    if (!isMetadata) continue;
    const metadata = checkMetadata(document, named, url);
    if (pkce === 'assumed' || announcesPkce(metadata)) return { metadata, seen };
    // Some servers say it in one of their documents only.
    if (metadata.authorization_endpoint === undefined) withoutPage ??= metadata;
    else silent ??= metadata;
  }
  if (silent) throw pkceUnsupported(issuer);
  // Where nobody is redirected, PKCE has nothing to protect.
  return { metadata: withoutPage, seen };
}

/** With a path in the issuer: three forms, well-known inserted first. Without: two. The root is not probed for a path issuer. */
function metadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  if (path === '') {
    return [`${origin}/.well-known/oauth-authorization-server`, `${origin}/.well-known/openid-configuration`];
  }
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ];
}

function checkMetadata(document: Record<string, unknown>, issuer: string, url: string): ServerMetadata {
  if (document.issuer !== issuer) {
    throw new BrokerError('issuer_mismatch', `${url} belongs to another issuer`, {
      hint:
        `it names ${quote(String(document.issuer))}\nbut the server was announced as ${quote(issuer)}\n` +
        'nothing was sent there; ask its operator to make the two equal to the letter\n' +
        'if you know that this is its issuer, vouch for it with --issuer',
    });
  }
  for (const name of ENDPOINTS) {
    const url = document[name];
    if (url !== undefined) requireSafeUrl(typeof url === 'string' ? url : '');
  }
  if (document.token_endpoint === undefined) {
    throw new BrokerError('discovery_failed', `${url} names no token endpoint`, {
      hint: 'nobody gets tokens there; check that it is the right server, or ask its operator',
    });
  }
  const isUsable = ([name, value]: [string, unknown]) => !LISTS.has(name) || isListOfText(value);
  return Object.fromEntries(Object.entries(document).filter(isUsable)) as unknown as ServerMetadata;
}

function announcesPkce(metadata: ServerMetadata): boolean {
  const methods: unknown = metadata.code_challenge_methods_supported;
  return Array.isArray(methods) && methods.includes('S256');
}

function pkceUnsupported(issuer: string): BrokerError {
  return new BrokerError(
    'pkce_unsupported',
    `the authorization server ${issuer} does not announce PKCE with S256`,
    {
      hint:
        'without it a stolen code could be redeemed by others, so the login is refused\n' +
        'ask its operator to announce code_challenge_methods_supported: ["S256"]\n' +
        'if you know that it checks PKCE all the same (Entra and Cognito do), say --assume-pkce',
    },
  );
}
