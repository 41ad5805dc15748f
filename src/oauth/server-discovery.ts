/**
 * What the authorization server says about itself: RFC 8414 metadata or an OpenID Connect discovery document.
 *
 * The document must name exactly the issuer it was looked up for. Otherwise one server could pass for another
 * and collect the codes and refresh tokens meant for it.
 */
import type { AuthorizationServer } from 'oauth4webapi';
import { BrokerError, quote } from '../errors.ts';
import { networkError, parseObject } from './failure.ts';
import { type Fetch, requireSafeUrl } from './http.ts';

/** Metadata of an authorization server, checked: issuer exact, endpoints safe, PKCE with S256 offered. */
export type ServerMetadata = AuthorizationServer & {
  authorization_endpoint: string;
  token_endpoint: string;
};

/** Endpoints that must be safe to call when they are given. */
const ENDPOINTS = [
  'authorization_endpoint',
  'token_endpoint',
  'registration_endpoint',
  'revocation_endpoint',
] as const;

/**
 * Finds and checks the metadata of `issuer`.
 *
 * Throws `upstream_unavailable` (network, 5xx), `issuer_mismatch`, `pkce_unsupported`, `discovery_failed`.
 *
 * @see RFC 8414 §3, OpenID Connect Discovery 1.0 §4; order from the MCP authorization specification
 */
export async function discoverServer(issuer: string, fetch: Fetch): Promise<ServerMetadata> {
  requireSafeUrl(issuer);
  const seen: string[] = [];
  for (const url of metadataUrls(issuer)) {
    const response = await fetch(url, { headers: { accept: 'application/json' } }).catch((error: unknown) => {
      throw networkError(error, url);
    });
    if (response.status >= 500) {
      throw new BrokerError(
        'upstream_unavailable',
        `${url} is out of order (it answered ${response.status})`,
        {
          hint: 'try again later',
        },
      );
    }
    const document = response.status === 200 ? parseObject(await response.text()) : undefined;
    const isMetadata = typeof document?.issuer === 'string';
    seen.push(
      `${url} (${response.status}${response.status === 200 && !isMetadata ? ', not this metadata' : ''})`,
    );
    if (isMetadata) return checkMetadata(document, issuer, url);
  }
  throw new BrokerError('discovery_failed', `the authorization server ${issuer} publishes no metadata`, {
    hint: `looked at\n${seen.map((each) => `  ${each}`).join('\n')}`,
  });
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
        'nothing was sent there; ask its operator to make the two equal to the letter',
    });
  }
  for (const name of ENDPOINTS) {
    if (document[name] !== undefined) requireSafeUrl(String(document[name]));
  }
  if (typeof document.authorization_endpoint !== 'string' || typeof document.token_endpoint !== 'string') {
    throw new BrokerError('discovery_failed', `${url} names no authorization or token endpoint`, {
      hint: 'the server cannot be signed in to this way',
    });
  }
  const methods = document.code_challenge_methods_supported;
  if (!Array.isArray(methods) || !methods.includes('S256')) {
    throw new BrokerError(
      'pkce_unsupported',
      `the authorization server ${issuer} does not offer PKCE with S256`,
      {
        hint: `without it a stolen code could be redeemed by others, so the login is refused\nask its operator to announce code_challenge_methods_supported: ["S256"]`,
      },
    );
  }
  return document as unknown as ServerMetadata;
}
