/**
 * The headers a connection wants, for every kind of credential: what `broker token --header`, `--headers-json` and
 * `GET /v1/connections/{name}/headers` hand out.
 */
import { validateHeaderValue } from 'node:http';
import { hasBearer } from '../core/credential-kind.ts';
import { headersOf } from '../core/token-set.ts';
import { BrokerError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { openTokenSet, type StoredConnection } from '../vault/connections.ts';
import { findFor } from './access.ts';
import type { Caller, Context } from './context.ts';
import {
  handedOut,
  type ObtainedToken,
  obtainToken,
  requireFresh,
  requireNoProgram,
  type TokenQuery,
} from './tokens.ts';

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
  const stored = await findFor(context, caller, name, 'token');
  await requireNoProgram(context, stored);
  const { granted, holder, token } = await obtainHeaders(context, caller, stored, query);
  const detail = { generation: granted.generation, ...(token === null ? {} : { token }) };
  handedOut(context, caller, holder, name, 'headers', detail);
  return granted;
}

/** Headers, the row they come from, and the fingerprint of the token in them; null: there is none. */
export interface ObtainedHeaders {
  granted: GrantedHeaders;
  holder: StoredConnection;
  token: string | null;
}

/** The same for a connection the caller was found to have, without writing down that anybody got them. */
export async function obtainHeaders(
  context: Context,
  caller: Caller,
  stored: StoredConnection,
  query: TokenQuery = {},
): Promise<ObtainedHeaders> {
  const obtained = hasBearer(stored.kind)
    ? bearerHeader(await obtainToken(context, caller, stored, query))
    : await enteredHeaders(context, stored, query);
  requireSendable(stored.name, obtained.granted.headers);
  return obtained;
}

function bearerHeader({ granted: { accessToken, ...granted }, holder }: ObtainedToken): ObtainedHeaders {
  const headers = { Authorization: new Secret(`Bearer ${accessToken.reveal()}`) };
  return { granted: { ...granted, headers }, holder, token: accessToken.fingerprint() };
}

/** Headers that were entered by hand. Throws `login_required` at their end, or when the server refused them. */
async function enteredHeaders(
  context: Context,
  stored: StoredConnection,
  query: TokenQuery,
): Promise<ObtainedHeaders> {
  requireFresh(context, stored, query);
  const { vault, memory } = context;
  const headers = await memory.recall(`headers ${stored.id} ${stored.generation}`, async () =>
    Object.fromEntries(headersOf(await openTokenSet(vault.sealer, stored))),
  );
  const granted = {
    connection: stored.name,
    headers,
    generation: stored.generation,
    expiresAt: stored.accessExpiresAt,
    warnings: [],
  };
  return { granted, holder: stored, token: null };
}

/** Reveals the values, to be sent to the one who may have them: a flat object of strings. */
export function toHeadersView(headers: Record<string, Secret>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.reveal()]));
}

/** A line break in a value would be a header of the server's choice in requests of an agent. */
function requireSendable(connection: string, headers: Record<string, Secret>): void {
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
}
