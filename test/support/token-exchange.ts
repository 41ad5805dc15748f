/** The token endpoint of an identity provider that also exchanges tokens (RFC 8693), as Keycloak's does. */
import type { AuthorizationServer } from './authorization-server.ts';
import { startRawServer } from './raw-server.ts';

/** A running token endpoint, in front of a real one. */
export interface TokenExchange {
  /** Its address, for the provider's metadata. */
  url: string;
  /** Forms of all exchanges asked for, in order of arrival. */
  exchanges: Record<string, string>[];
  /** Whose token was issued by an exchange. Undefined: it was not. */
  ownerOf(token: string): string | undefined;
  /** Passes all that is no exchange on to this server, which also knows whose tokens live. */
  serve(authorizationServer: AuthorizationServer): void;
  close(): Promise<void>;
}

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** Starts one whose tokens live `seconds`. */
export async function startTokenExchange(seconds = 3600): Promise<TokenExchange> {
  const owners = new Map<string, string>();
  const exchanges: Record<string, string>[] = [];
  const { promise: provider, resolve } = Promise.withResolvers<AuthorizationServer>();
  const { url, close } = await startRawServer(async ({ headers, body }) => {
    const { issuer, tokenIsActive } = await provider;
    const form = Object.fromEntries(new URLSearchParams(body));
    if (form.grant_type !== TOKEN_EXCHANGE) {
      const { authorization } = headers;
      const answer = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          ...(authorization === undefined ? {} : { authorization }),
        },
        body,
      });
      return { status: answer.status, body: (await answer.json()) as object };
    }
    exchanges.push(form);
    const { active, sub } = await tokenIsActive(form.subject_token ?? '');
    if (!active || sub === undefined) return { status: 400, body: { error: 'invalid_request' } };
    const token = `fake-exchanged-${exchanges.length}`;
    owners.set(token, sub);
    return {
      status: 200,
      body: {
        access_token: token,
        issued_token_type: form.requested_token_type,
        token_type: 'Bearer',
        expires_in: seconds,
      },
    };
  });
  return { url: `${url}/token`, exchanges, ownerOf: (token) => owners.get(token), serve: resolve, close };
}
