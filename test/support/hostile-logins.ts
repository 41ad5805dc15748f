/** Clients and authorization codes of the hostile server: strict, and everybody is let in at once. */
import { createHash, randomBytes } from 'node:crypto';
import type { Grant, TokenEndpointAnswer } from './hostile-grants.ts';

/** Lifetime of a code, RFC 6749 §4.1.2 allows at most ten minutes. */
const CODE_LIFETIME_MS = 60_000;

/** What every login is granted when it asks for nothing. */
const DEFAULT_SCOPE = 'mcp:read mcp:write';

interface Code extends Grant {
  redirectUri: string;
  challenge: string;
  expiresAt: number;
}

export interface Logins {
  /** Dynamic registration (RFC 7591) of a public client. */
  register(metadata: unknown): TokenEndpointAnswer;
  /** Where `/authorize` sends the browser. A string is an error page: nothing to be redirected to. */
  authorize(query: URLSearchParams): URL | string;
  /** What the code stands for, or the refusal. A code is used up by the first try, whatever it gives. */
  redeem(form: URLSearchParams): Grant | TokenEndpointAnswer;
  isClient(clientId: string | null): boolean;
}

/** No clients and no codes. `resource` is the only one that may be asked for. */
export function createLogins(clock: { now(): number }, issuer: string, resource: string): Logins {
  const clients = new Map<string, string[]>();
  const codes = new Map<string, Code>();

  return {
    register(metadata) {
      const uris = (metadata as { redirect_uris?: unknown } | undefined)?.redirect_uris;
      if (!Array.isArray(uris) || uris.length === 0) {
        return { status: 400, body: { error: 'invalid_redirect_uri' } };
      }
      const clientId = `client-${randomBytes(6).toString('base64url')}`;
      clients.set(clientId, uris);
      return {
        status: 201,
        body: { ...(metadata as object), client_id: clientId, token_endpoint_auth_method: 'none' },
      };
    },
    authorize(query) {
      const value = (name: string) => query.get(name) ?? '';
      const redirectUri = value('redirect_uri');
      if (!clients.get(value('client_id'))?.includes(redirectUri)) return 'unknown client or redirect_uri';
      const redirect = new URL(redirectUri);
      redirect.searchParams.set('state', value('state'));
      redirect.searchParams.set('iss', issuer);
      const error = refusalOf(query, resource);
      if (error !== undefined) {
        redirect.searchParams.set('error', error);
        return redirect;
      }
      const code = randomBytes(16).toString('base64url');
      codes.set(code, {
        clientId: value('client_id'),
        resource,
        scope: value('scope') || DEFAULT_SCOPE,
        redirectUri,
        challenge: value('code_challenge'),
        expiresAt: clock.now() + CODE_LIFETIME_MS,
      });
      redirect.searchParams.set('code', code);
      return redirect;
    },
    redeem(form) {
      const code = codes.get(form.get('code') ?? '');
      codes.delete(form.get('code') ?? '');
      const challenge = createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest('base64url');
      const fits =
        code !== undefined &&
        code.expiresAt > clock.now() &&
        code.clientId === form.get('client_id') &&
        code.redirectUri === form.get('redirect_uri') &&
        code.challenge === challenge;
      if (!fits) return { status: 400, body: { error: 'invalid_grant' } };
      if (form.get('resource') !== resource) return { status: 400, body: { error: 'invalid_target' } };
      const { clientId, scope } = code;
      return { clientId, resource, scope };
    },
    isClient: (clientId) => clientId !== null && clients.has(clientId),
  };
}

function refusalOf(query: URLSearchParams, resource: string): string | undefined {
  if (query.get('response_type') !== 'code') return 'unsupported_response_type';
  if (query.get('code_challenge_method') !== 'S256' || !query.get('code_challenge')) return 'invalid_request';
  return query.get('resource') === resource ? undefined : 'invalid_target';
}
