/**
 * Storing what a login brought. It holds the connection's lease, so that it cannot cross a refresh, and then
 * always wins: a refresh answered later finds the generation moved and becomes the spare.
 */
import { randomUUID } from 'node:crypto';
import type { CredentialKind } from '../core/credential-kind.ts';
import { type Grant, sourceOf } from '../core/grant.ts';
import { inheritRefreshLife, type TokenSet } from '../core/token-set.ts';
import { reached } from '../steps.ts';
import {
  expectAccount,
  findConnection,
  insertConnection,
  openTokenSet,
  replaceTokenSet,
  type SealedTokenSet,
  type StoredConnection,
  sealTokenSet,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { closeOlderRotations } from '../vault/rotations.ts';
import { saveServer } from '../vault/servers.ts';
import { endLogin } from '../vault/web-logins.ts';
import type { Context, LoginFacts } from './context.ts';
import { forgetExchanged } from './identity.ts';
import { saveUntilDone } from './save.ts';

/**
 * Makes the connection, or puts the new token set in place of the old one. To be called under the connection's
 * lease. Throws `save_failed`.
 */
export async function saveLogin(context: Context, login: LoginFacts, tokens: TokenSet): Promise<void> {
  const { connection } = login;
  const existing = await context.vault.run(() => findConnection(connection));
  const connectionId = existing?.id ?? randomUUID();
  const pair = {
    connectionId,
    connection,
    from: existing?.generation ?? 0,
    tokens: await agedTokens(context, existing, tokens),
    clientRowId: login.clientRowId,
    login,
  };
  await saveUntilDone(context, pair, () => storeLogin(context, login, pair.tokens, connectionId));
  reached('login.saved');
}

/** A server may give the same refresh token to every login: it goes on ageing. */
async function agedTokens(
  { vault }: Context,
  existing: StoredConnection | undefined,
  tokens: TokenSet,
): Promise<TokenSet> {
  if (!existing?.hasRefreshToken || !tokens.refreshToken) return tokens;
  // One that does not open must not stand in the way of a login.
  const before = await openTokenSet(vault.sealer, existing).catch(() => undefined);
  const isSame = before?.refreshToken?.fingerprint() === tokens.refreshToken.fingerprint();
  return before && isSame ? { ...tokens, ...inheritRefreshLife(tokens, before) } : tokens;
}

async function storeLogin(
  { vault, clock }: Context,
  login: LoginFacts,
  tokens: TokenSet,
  newId: string,
): Promise<void> {
  const { connection: name } = login;
  const existing = await vault.run(() => findConnection(name));
  const id = existing?.id ?? newId;
  const sealed = await sealTokenSet(vault.sealer, id, (existing?.generation ?? 0) + 1, tokens);
  reached('login.sealed');
  await vault.transaction(function* () {
    yield* writeLogin(login, existing, id, sealed, clock.now());
    yield* vault.audit.append({
      actor: login.actor,
      action: 'login',
      connection: name,
      outcome: 'ok',
      detail: {
        generation: sealed.generation,
        issuer: login.issuer,
        scope: tokens.scope ?? null,
        account: tokens.accountIdentity ?? null,
        refresh_token: tokens.refreshToken?.fingerprint() ?? null,
      },
    });
  });
}

function kindOf(grant: Grant | null | undefined): CredentialKind {
  if (!grant) return 'oauth';
  return sourceOf(grant) === undefined ? 'client_credentials' : 'identity';
}

/**
 * The statements that store server, client and token set of a login. Throws when `existing` is not what is there
 * any more: the transaction is undone, and the next try computes from what is newer.
 */
export function* writeLogin(
  login: LoginFacts,
  existing: StoredConnection | undefined,
  id: string,
  sealed: SealedTokenSet,
  now: number,
): Steps<void> {
  const { connection: name, server, account, url, resource, settings, clientRowId, expectedAccount } = login;
  yield* saveServer({
    name: server,
    url,
    kind: kindOf(settings.grant),
    resource,
    settings,
    createdAt: now,
  });
  if (existing) {
    const isReplaced = yield* replaceTokenSet(id, existing.generation, sealed, clientRowId);
    if (!isReplaced) throw new Error('the generation moved while a login was being saved');
    yield* closeOlderRotations(id, sealed.generation, now);
  } else {
    yield* insertConnection({ id, name, server, account, clientRowId, createdAt: now }, sealed);
  }
  yield* forgetExchanged({ server, account });
  if (expectedAccount !== null) yield* expectAccount(id, expectedAccount);
  const { accountIdentity } = sealed.tokens;
  if (login.loginId !== undefined) yield* endLogin(login.loginId, { accountIdentity }, now);
}
