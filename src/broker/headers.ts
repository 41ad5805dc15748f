/**
 * The headers a connection wants, for every kind of credential: what `broker token --header`, `--headers-json` and
 * `GET /v1/connections/{name}/headers` hand out.
 */
import { validateHeaderValue } from 'node:http';
import { hasBearer } from '../core/credential-kind.ts';
import { headersOf } from '../core/token-set.ts';
import { BrokerError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { openTokenSet } from '../vault/connections.ts';
import { findFor } from './access.ts';
import type { Caller, Context } from './context.ts';
import { getToken, handedOut, requireFresh, type TokenQuery } from './tokens.ts';

export interface GrantedHeaders {
  connection: string;
  /** Header names to values. Empty: the server wants none. */
  headers: Record<string, Secret>;
  generation: number;
  /** Epoch ms. Null: unknown. */
  expiresAt: number | null;
  /** What the caller should know although it got headers. */
  warnings: string[];
}

/**
 * Hands out the headers of a connection, with a token refreshed if need be.
 *
 * Throws what `getToken` throws, and `config_error` for a credential that no header can carry.
 */
export async function getHeaders(
  context: Context,
  caller: Caller,
  name: string,
  query: Pick<TokenQuery, 'minTtlSeconds'> = {},
): Promise<GrantedHeaders> {
  const granted =
    (await enteredHeaders(context, caller, name)) ?? (await bearerHeader(context, caller, name, query));
  return { ...granted, headers: requireSendable(granted.connection, granted.headers) };
}

async function bearerHeader(
  context: Context,
  caller: Caller,
  name: string,
  query: Pick<TokenQuery, 'minTtlSeconds'>,
): Promise<GrantedHeaders> {
  const { accessToken, ...granted } = await getToken(context, caller, name, query);
  return { ...granted, headers: { Authorization: new Secret(`Bearer ${accessToken.reveal()}`) } };
}

/** Headers that were entered by hand. Undefined: the connection has a token. Throws `login_required` at their end. */
async function enteredHeaders(
  context: Context,
  caller: Caller,
  name: string,
): Promise<GrantedHeaders | undefined> {
  const stored = await findFor(context, caller, name, 'token');
  if (hasBearer(stored.kind)) return undefined;
  requireFresh(context, stored);
  const tokens = await openTokenSet(context.vault.sealer, stored);
  handedOut(context, caller, stored, name, { generation: stored.generation });
  return {
    connection: name,
    headers: Object.fromEntries(headersOf(tokens)),
    generation: stored.generation,
    expiresAt: stored.accessExpiresAt,
    warnings: [],
  };
}

/** Reveals the values, to be sent to the one who may have them: a flat object of strings. */
export function toHeadersView(headers: Record<string, Secret>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.reveal()]));
}

/** A line break in a value would be a header of the server's choice in requests of an agent. */
function requireSendable(connection: string, headers: Record<string, Secret>): Record<string, Secret> {
  for (const [name, value] of Object.entries(headers)) {
    try {
      validateHeaderValue(name, value.reveal());
    } catch {
      // Without the cause: Node names the value in it.
      throw new BrokerError('config_error', `the credential of ${connection} cannot be sent in a header`, {
        hint: 'it holds line breaks or control characters: ask the operator of the server',
        connection,
      });
    }
  }
  return headers;
}
