/**
 * Storing what a login brought. It holds the connection's lease, so that it cannot cross a refresh, and then
 * always wins: a refresh answered later finds the generation moved and becomes the spare.
 */
import { randomUUID } from 'node:crypto';
import type { ServerSettings } from '../core/server-settings.ts';
import type { TokenSet } from '../core/token-set.ts';
import { reached } from '../steps.ts';
import type { Client } from '../vault/clients.ts';
import { findConnection, insertConnection, replaceTokenSet, sealTokenSet } from '../vault/connections.ts';
import { closeOlderRotations } from '../vault/rotations.ts';
import { saveServer } from '../vault/servers.ts';
import type { Context } from './context.ts';
import type { LoginTarget } from './login-target.ts';
import { saveUntilDone } from './save.ts';

export interface FinishedLogin {
  target: LoginTarget;
  resource: string;
  client: Client;
  tokens: TokenSet;
  actor: string;
  /** What is not named stays as it was. */
  settings: Partial<ServerSettings>;
}

/**
 * Makes the connection, or puts the new token set in place of the old one. To be called under the connection's
 * lease. Throws `save_failed`.
 */
export async function saveLogin(context: Context, finished: FinishedLogin): Promise<void> {
  const { target, tokens } = finished;
  const name = target.connection;
  const existing = await context.vault.run(() => findConnection(name));
  const connectionId = existing?.id ?? randomUUID();
  const pair = { connectionId, connection: name, from: existing?.generation ?? 0, tokens };
  await saveUntilDone(context, pair, () => saveOnce(context, finished, connectionId));
  reached('login.saved');
}

async function saveOnce({ vault, clock }: Context, finished: FinishedLogin, newId: string): Promise<void> {
  const { target, resource, client, tokens, actor, settings } = finished;
  const name = target.connection;
  const existing = await vault.run(() => findConnection(name));
  const id = existing?.id ?? newId;
  const sealed = await sealTokenSet(vault.sealer, id, (existing?.generation ?? 0) + 1, tokens);
  reached('login.sealed');
  await vault.transaction(function* () {
    const now = clock.now();
    yield* saveServer({
      name: target.server,
      url: target.url,
      kind: 'oauth',
      resource,
      createdAt: now,
      settings,
    });
    if (existing) {
      const isReplaced = yield* replaceTokenSet(id, existing.generation, sealed, client.rowId);
      // Thrown, the transaction is undone, and the next try computes from the newer generation.
      if (!isReplaced) throw new Error('the generation moved while a login was being saved');
      yield* closeOlderRotations(id, sealed.generation, now);
    } else {
      const { server, account = null } = target;
      yield* insertConnection(
        { id, name, server, account, clientRowId: client.rowId, createdAt: now },
        sealed,
      );
    }
    yield* vault.audit.append({
      actor,
      action: 'login',
      connection: name,
      outcome: 'ok',
      detail: {
        generation: sealed.generation,
        issuer: client.issuer,
        scope: tokens.scope ?? null,
        account: tokens.accountIdentity ?? null,
        refresh_token: tokens.refreshToken?.fingerprint() ?? null,
      },
    });
  });
}
