/**
 * Tokens of a person, exchanged at the identity provider they signed in to (RFC 8693): for one that the server takes
 * directly, or for a grant that the server's own authorization server takes (enterprise-managed authorization).
 *
 * Each party gets only what is meant for it: the provider its own token, the authorization server a grant that names
 * it as audience. Anything else that a provider may issue is shown to nobody.
 */
import { idTokenEndsAt } from '../core/account.ts';
import type { Grant } from '../core/grant.ts';
import { isServable } from '../core/refresh-policy.ts';
import { judgeRefresh } from '../core/verdict.ts';
import { BrokerError, printable, quote } from '../errors.ts';
import {
  ACCESS_TOKEN,
  exchangeForGrant,
  exchangeForToken,
  ID_JAG,
  type MachineRequest,
  requestByAssertion,
} from '../oauth/machine-grants.ts';
import type { TokenAnswer } from '../oauth/token-request.ts';
import { Secret } from '../secret.ts';
import { findClient, openClient } from '../vault/clients.ts';
import { openTokenSet, type StoredConnection } from '../vault/connections.ts';
import { findServer, type Server } from '../vault/servers.ts';
import type { RefreshParts } from './context.ts';
import { findDerived } from './identity.ts';

/** An answer, and whose it is. */
export interface Asked {
  answer: TokenAnswer;
  /** Issuer of the identity provider, when it was that one's and not the server's own authorization server's. */
  provider?: string;
}

/** For whom a token is wanted. */
interface Wanted {
  stored: StoredConnection;
  server: Server;
  /** The request at the server's own authorization server, made only where there is one to ask. */
  own: () => Promise<MachineRequest>;
}

type FileGrant = Extract<Grant, { kind: 'id_jag' }>;
type IdentityGrant = Extract<Grant, { kind: 'exchange' }>;

/**
 * With an ID token that somebody keeps in a file.
 *
 * Throws `config_error` for a provider that issues another kind of token, and what discovery there throws.
 */
export async function exchangeFile(
  parts: RefreshParts,
  { stored, server, own }: Wanted,
  { identityProvider: { issuer, clientId } }: FileGrant,
  idToken: Secret,
): Promise<Asked> {
  const atServer = await own();
  // An operator named this provider: it may be anywhere.
  const request: MachineRequest = {
    ...atServer,
    metadata: await parts.metadata.find(issuer, 'private'),
    client: { clientId, authMethod: 'none', clientSecret: undefined },
    resource: server.resource,
    fetch: parts.fetchFor('private'),
  };
  return exchangeTwice(request, atServer, idToken, stored.name);
}

/**
 * With the tokens of a user's identity connection, which the caller has made sure live.
 *
 * Throws `upstream_unavailable` and `login_required` when they do not, `config_error` for a provider that issues another
 * kind of token, and for a login without an ID token where that is needed.
 */
export async function exchangeIdentity(
  parts: RefreshParts,
  { stored, server, own }: Wanted,
  grant: IdentityGrant,
): Promise<Asked> {
  const { request, accessToken, idToken, login } = await atProvider(parts, stored, server, grant);
  if (grant.way === 'id_jag') {
    const living = requireIdToken(idToken, login, parts.clock.now());
    return exchangeTwice(request, await own(), living, stored.name);
  }
  const { issuer } = request.metadata;
  const answer = await exchangeForToken(request, accessToken);
  if (isGranted(answer)) requireKind(answer, ACCESS_TOKEN, request, stored.name);
  return { answer, provider: issuer };
}

/** First at the provider, for a grant, then with that at the server's own authorization server. */
async function exchangeTwice(
  atProvider: MachineRequest,
  atServer: MachineRequest,
  idToken: Secret,
  connection: string,
): Promise<Asked> {
  const exchanged = await exchangeForGrant(atProvider, idToken, atServer.metadata.issuer);
  if (!isGranted(exchanged)) return { answer: exchanged, provider: atProvider.metadata.issuer };
  const grant = requireKind(exchanged, ID_JAG, atProvider, connection);
  return { answer: await requestByAssertion(atServer, grant) };
}

function isGranted(answer: TokenAnswer): boolean {
  return judgeRefresh(answer).verdict === 'success';
}

/** What was issued. Any other token is not to be shown to anybody: it may open more than was asked for. */
function requireKind(
  answer: TokenAnswer,
  kind: string,
  { metadata, client }: MachineRequest,
  connection: string,
): Secret {
  const body = answer.kind === 'answer' ? answer.body : undefined;
  const issued = body?.issued_token_type;
  if (issued === undefined || issued === kind) return new Secret(String(body?.access_token));
  const who = quote(client.clientId);
  throw new BrokerError(
    'config_error',
    `the identity provider ${printable(metadata.issuer)} issues another kind of token than was asked for`,
    {
      hint:
        kind === ID_JAG
          ? `ask its operator whether ${who} may get grants for this server (ID-JAG)`
          : `ask its operator whether ${who} may exchange access tokens for this server (RFC 8693)`,
      connection,
    },
  );
}

function requireIdToken(idToken: Secret | undefined, login: StoredConnection, now: number): Secret {
  const { name: connection } = login;
  if (!idToken) {
    throw new BrokerError('config_error', `the login of ${connection} came without an ID token`, {
      hint: `sign in there again with --scope openid added: broker login ${connection} --scope …`,
      connection,
    });
  }
  if ((idTokenEndsAt({ idToken }) ?? Number.POSITIVE_INFINITY) > now) return idToken;
  throw new BrokerError(
    'login_required',
    `the ID token of ${connection} has ended, and no refresh brought a new one`,
    {
      hint: `broker login ${connection}`,
      connection,
    },
  );
}

/** The request at the identity provider, as the client the user signed in with. */
async function atProvider(
  { vault, clock, metadata, fetchFor }: RefreshParts,
  stored: StoredConnection,
  server: Server,
  { source }: IdentityGrant,
) {
  const { login, client, from } = await vault.run(function* () {
    const found = yield* findDerived(stored.name);
    const login = found === 'no_link' ? undefined : found;
    const client = login?.clientRowId ? yield* findClient(login.clientRowId) : undefined;
    return { login, client, from: yield* findServer(source) };
  });
  if (!login || !client || !from || !isServable(login, clock.now())) {
    throw new BrokerError(
      'upstream_unavailable',
      `the identity behind ${stored.name} has no token that lives`,
      {
        hint: `broker show ${stored.name}`,
        connection: stored.name,
      },
    );
  }
  const { network, basicEncoding } = from.settings;
  const opened = await openClient(vault.sealer, client);
  const { accessToken, idToken } = await openTokenSet(vault.sealer, login);
  const request: MachineRequest = {
    metadata: await metadata.get(opened.issuer, opened.serverMetadata, network),
    client: opened,
    basicEncoding,
    resource: server.resource,
    scope: server.settings.scopes.join(' ') || undefined,
    fetch: fetchFor(network),
    now: () => clock.now(),
  };
  return { request, accessToken, idToken, login: { ...login, name: login.derivedFrom ?? login.name } };
}
