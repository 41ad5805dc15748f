/** The token endpoint of an identity provider that also exchanges tokens (RFC 8693), as Keycloak's does. */
import { jwtVerify } from 'jose';
import { verificationKey } from './authorization-provider.ts';
import type { AuthorizationServer } from './authorization-server.ts';
import { type RawAnswer, startRawServer } from './raw-server.ts';

/** A running token endpoint, in front of a real one. */
export interface TokenExchange {
  /** Its address, for the provider's metadata. */
  url: string;
  /** Forms of all exchanges asked for, in order of arrival. */
  exchanges: Record<string, string>[];
  /** Whose token or grant was issued by an exchange. Undefined: it was not. */
  ownerOf(token: string): string | undefined;
  /** Answers exchanges in this way from now on; undefined: as it should. */
  answer(give: RawAnswer | undefined): void;
  /** Passes all that is no exchange on to this server, which also knows whose tokens live. */
  serve(authorizationServer: AuthorizationServer): void;
  close(): Promise<void>;
}

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token';

/** Starts one whose tokens live `seconds`. */
export async function startTokenExchange(seconds = 3600): Promise<TokenExchange> {
  const owners = new Map<string, string>();
  const exchanges: Record<string, string>[] = [];
  const { promise: provider, resolve } = Promise.withResolvers<AuthorizationServer>();
  let given: RawAnswer | undefined;
  const { url, close } = await startRawServer(async ({ headers, body }) => {
    const authorizationServer = await provider;
    const form = Object.fromEntries(new URLSearchParams(body));
    if (form.grant_type !== TOKEN_EXCHANGE) {
      const { authorization } = headers;
      const answer = await fetch(`${authorizationServer.issuer}/token`, {
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
    if (given) return given;
    const sub = await subjectOf(form, authorizationServer);
    if (sub === undefined) return { status: 400, body: { error: 'invalid_request' } };
    const token = `fake-exchanged-${exchanges.length}`;
    owners.set(token, sub);
    return {
      status: 200,
      body: {
        access_token: token,
        issued_token_type: form.requested_token_type,
        token_type: form.subject_token_type === ID_TOKEN ? 'N_A' : 'Bearer',
        expires_in: seconds,
      },
    };
  });
  return {
    ...{ url: `${url}/token`, exchanges, serve: resolve, close },
    ownerOf: (token) => owners.get(token),
    answer(give) {
      given = give;
    },
  };
}

/** Whose token is to be exchanged, by the provider itself. Undefined: it is not good. */
async function subjectOf(
  { subject_token = '', subject_token_type }: Record<string, string>,
  { issuer, tokenIsActive }: AuthorizationServer,
): Promise<string | undefined> {
  if (subject_token_type === ID_TOKEN) {
    const verified = await jwtVerify(subject_token, await verificationKey(), { issuer }).catch(
      () => undefined,
    );
    return verified?.payload.sub;
  }
  const { active, sub } = await tokenIsActive(subject_token);
  return active ? sub : undefined;
}
