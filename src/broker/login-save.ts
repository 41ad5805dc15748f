/**
 * Storing what a login brought. It holds the connection's lease, so that it cannot cross a refresh, and then
 * always wins: a refresh answered later finds the generation moved and becomes the spare.
 */
import { randomUUID } from 'node:crypto';
import type { TokenSet } from '../core/token-set.ts';
import { reached } from '../steps.ts';
import { findConnection, insertConnection, replaceTokenSet, sealTokenSet } from '../vault/connections.ts';
import { closeOlderRotations } from '../vault/rotations.ts';
import { saveServer } from '../vault/servers.ts';
import type { Context, LoginFacts } from './context.ts';
import { saveUntilDone } from './save.ts';

/**
 * Makes the connection, or puts the new token set in place of the old one. To be called under the connection's
 * lease. Throws `save_failed`.
 */
export async function saveLogin(context: Context, login: LoginFacts, tokens: TokenSet): Promise<void> {
  const { connection } = login;
  const existing = await context.vault.run(() => findConnection(connection));
  const connectionId = existing?.id ?? randomUUID();
  const pair = { connectionId, connection, from: existing?.generation ?? 0, tokens, login };
  await saveUntilDone(context, pair, () => storeLogin(context, login, tokens, connectionId));
  reached('login.saved');
}

/**
 * One try at it.
 *
 * @param newId id of the connection when there is none yet
 */
export async function storeLogin(
  { vault, clock }: Pick<Context, 'vault' | 'clock'>,
  login: LoginFacts,
  tokens: TokenSet,
  newId: string,
): Promise<void> {
  const { connection: name, server, account, clientRowId } = login;
  const existing = await vault.run(() => findConnection(name));
  const id = existing?.id ?? newId;
  const sealed = await sealTokenSet(vault.sealer, id, (existing?.generation ?? 0) + 1, tokens);
  reached('login.sealed');
  await vault.transaction(function* () {
    const now = clock.now();
    const { url, resource, settings } = login;
    yield* saveServer({ name: server, url, kind: 'oauth', resource, settings, createdAt: now });
    if (existing) {
      const isReplaced = yield* replaceTokenSet(id, existing.generation, sealed, clientRowId);
      // Thrown, the transaction is undone, and the next try computes from the newer generation.
      if (!isReplaced) throw new Error('the generation moved while a login was being saved');
      yield* closeOlderRotations(id, sealed.generation, now);
    } else {
      yield* insertConnection({ id, name, server, account, clientRowId, createdAt: now }, sealed);
    }
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
