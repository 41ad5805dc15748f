/**
 * A token of a user's identity, exchanged at the identity provider: for one that the server takes directly, or for a
 * grant that the server's own authorization server takes (enterprise-managed authorization).
 */
import type { Grant } from '../core/grant.ts';
import { isAlive } from '../core/refresh-policy.ts';
import { BrokerError } from '../errors.ts';
import {
  exchangeForGrant,
  exchangeForToken,
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

/**
 * Asks with the identity's present token, which the caller has made sure lives.
 *
 * Throws `upstream_unavailable` when it does not, `config_error` when what the exchange needs is not there.
 *
 * @param own the request at the server's own authorization server, for a grant
 */
export async function exchangeIdentity(
  parts: RefreshParts,
  { stored, server }: { stored: StoredConnection; server: Server },
  grant: Extract<Grant, { kind: 'exchange' }>,
  own: MachineRequest,
): Promise<TokenAnswer> {
  const { request, accessToken, idToken } = await atProvider(parts, stored, server);
  if (grant.way === 'token_exchange') return exchangeForToken(request, accessToken);
  if (!idToken) {
    throw new BrokerError('config_error', `the login of ${stored.name} came without an ID token`, {
      hint: `sign in to ${grant.source} again with --scope openid added`,
      connection: stored.name,
    });
  }
  const answer = await exchangeForGrant(request, idToken, own.metadata.issuer);
  if (answer.kind !== 'answer' || typeof answer.body?.access_token !== 'string') return answer;
  return requestByAssertion(own, new Secret(answer.body.access_token));
}

/** The request at the identity provider, as the client the user signed in with. */
async function atProvider(parts: RefreshParts, stored: StoredConnection, server: Server) {
  const { vault, clock } = parts;
  const found = await vault.run(function* () {
    const derived = yield* findDerived(stored.name);
    if (!derived || derived === 'no_link' || derived.clientRowId === null) return undefined;
    const login = {
      client: yield* findClient(derived.clientRowId),
      from: yield* findServer(nameOf(derived)),
    };
    return { derived, ...login };
  });
  if (!found?.client || !found.from || !isAlive(found.derived, clock.now())) {
    throw new BrokerError(
      'upstream_unavailable',
      `the identity behind ${stored.name} has no token that lives`,
      {
        hint: `broker show ${stored.name}`,
        connection: stored.name,
      },
    );
  }
  const { settings } = found.from;
  const client = await openClient(vault.sealer, found.client);
  const { accessToken, idToken } = await openTokenSet(vault.sealer, found.derived);
  const request: MachineRequest = {
    metadata: await parts.metadata.get(client.issuer, client.serverMetadata, settings.network),
    client,
    basicEncoding: settings.basicEncoding,
    resource: server.resource,
    scope: server.settings.scopes.join(' ') || undefined,
    fetch: parts.fetchFor(settings.network),
    now: () => clock.now(),
  };
  return { request, accessToken, idToken };
}

function nameOf({ derivedFrom = '' }: StoredConnection): string {
  return derivedFrom.split('@')[0] ?? '';
}
