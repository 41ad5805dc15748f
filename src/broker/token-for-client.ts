/**
 * A stock OAuth client asks for a token: who is it, and which connection does it mean?
 *
 * Such a client knows the URL of the resource it calls (RFC 8707), and not our names. Only what the agent may see
 * is looked at, so that what it may not see answers like what is not there.
 */
import { parseConnectionName } from '../core/names.ts';
import { BrokerError, printable } from '../errors.ts';
import { listConnections } from '../vault/connections.ts';
import { findServer, type Server } from '../vault/servers.ts';
import { isVisible } from './access.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { listDerived } from './identity.ts';
import { type GrantedToken, getToken } from './tokens.ts';

/** What the token is to be for. With nothing said: the only connection the agent may use. */
export interface ClientWish {
  /** `resource` as sent, once for each time (RFC 8707 §2). */
  resources: string[];
  /** `scope` as sent. Words other than `connection:NAME` mean nothing here. */
  scope?: string | undefined;
}

interface Candidate {
  name: string;
  /** Without one it cannot be asked for by resource. */
  resource: string | null | undefined;
}

/** A wish taken apart; nothing is in it twice. */
interface Asked {
  names: string[];
  resources: string[];
}

/** Kinds whose credential is no bearer token. */
const WITHOUT_BEARER = new Set(['headers', 'none']);

const CONNECTION_SCOPE = 'connection:';

/** Connections named in a refusal at most. */
const MOST_NAMED = 20;

/**
 * Hands out the token of the connection the client means. Refusals are on disk before the answer.
 *
 * Throws `not_found` (nothing the agent may see is meant), `bad_request` (more than one is), and what `getToken`
 * throws.
 */
export async function tokenForClient(
  context: Context,
  caller: Caller,
  wish: ClientWish,
): Promise<GrantedToken> {
  const asked: Asked = { names: namedIn(wish.scope), resources: [...new Set(wish.resources)] };
  const [name = ''] = asked.names;
  const isNameAlone = asked.names.length === 1 && asked.resources.length === 0;
  if (isNameAlone && parseConnectionName(name)) return getToken(context, caller, name, {}, 'oauth');
  const candidates = await candidatesFor(context, caller);
  const meant = select(candidates, asked);
  const [only, ...others] = meant;
  if (only && others.length === 0) return getToken(context, caller, only.name, {}, 'oauth');
  const error = refusal(candidates, meant, asked);
  const detail = { resource: shortened(asked.resources), named: shortened(asked.names) };
  await record(context, caller, 'token', error.code, detail);
  throw error;
}

/** Connections with a bearer token that the caller may see. */
function candidatesFor({ vault }: Context, caller: Caller): Promise<Candidate[]> {
  return vault.run(function* () {
    const candidates: Candidate[] = [];
    const servers = new Map<string, Server | undefined>();
    // What is made from an identity may have no row of its own.
    const all = [...(yield* listConnections()), ...(yield* listDerived())];
    for (const { name, server: of } of all.sort(byName)) {
      if (!isVisible(caller, name)) continue;
      if (!servers.has(of)) servers.set(of, yield* findServer(of));
      const server = servers.get(of);
      if (server && !WITHOUT_BEARER.has(server.kind)) candidates.push({ name, resource: server.resource });
    }
    return candidates;
  });
}

function byName(one: { name: string }, other: { name: string }): number {
  return one.name < other.name ? -1 : 1;
}

/** Everything asked for must fit: a token for another resource than the one named would go to the wrong server. */
function select(candidates: Candidate[], { names, resources }: Asked): Candidate[] {
  if (names.length > 1 || resources.length > 1) return [];
  const [name] = names;
  const [resource] = resources;
  const named = candidates.filter((each) => name === undefined || each.name === name);
  if (resource === undefined) return named;
  const exact = named.filter((each) => each.resource === resource);
  if (exact.length > 0) return exact;
  // URL libraries put a slash behind a bare host, whether the server writes one or not.
  return named.filter((each) => each.resource && withoutSlash(each.resource) === withoutSlash(resource));
}

function withoutSlash(url: string): string {
  return url.endsWith('/') ? url.slice(0, -1) : url;
}

/** Names in `connection:NAME` words of the scope, each once. `%40` is `@`, as in paths. */
function namedIn(scope = ''): string[] {
  const words = scope.split(' ').filter((word) => word.startsWith(CONNECTION_SCOPE));
  return [...new Set(words.map((word) => word.slice(CONNECTION_SCOPE.length).replaceAll('%40', '@')))];
}

function refusal(candidates: Candidate[], meant: Candidate[], { names, resources }: Asked): BrokerError {
  if (names.length > 1 || resources.length > 1)
    return new BrokerError('bad_request', 'a token is for one connection, and the request names several', {
      hint: 'ask once for each',
    });
  if (meant.length === 0) {
    const what =
      names.length > 0 || resources.length > 0 ? 'is what the request names' : 'has an access token';
    return new BrokerError('not_found', `no connection of this agent ${what}`, { hint: choice(candidates) });
  }
  const message =
    resources.length > 0
      ? 'several connections of this agent have that resource'
      : 'the request does not say which connection it wants';
  return new BrokerError('bad_request', message, { hint: choice(meant) });
}

/** What the agent could have asked for: only what it may see. */
function choice(candidates: Candidate[]): string {
  if (candidates.length === 0) return 'an operator can allow this agent a connection';
  const named = candidates
    .slice(0, MOST_NAMED)
    .map(({ name, resource }) => (resource ? `${name} (${printable(resource)})` : name));
  const more = candidates.length > MOST_NAMED ? ` and ${candidates.length - MOST_NAMED} more` : '';
  return `send scope=${CONNECTION_SCOPE}NAME with one of: ${named.join(', ')}${more}`;
}

/** Foreign words for the audit trail. */
function shortened(words: string[]): string {
  return printable(words.join(' '));
}

async function record(
  { vault }: Context,
  caller: Caller,
  action: string,
  outcome: string,
  detail: Record<string, string>,
): Promise<void> {
  await vault.transaction(() => vault.audit.append({ actor: actorOf(caller), action, outcome, detail }));
}
