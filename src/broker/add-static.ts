/**
 * Credentials entered by hand: a personal access token, headers, or none at all. They stay as they are until somebody
 * enters others; when they end, that is told before.
 */
import { randomUUID } from 'node:crypto';
import type { CredentialKind } from '../core/credential-kind.ts';
import { enteredTokens, type StaticCredential } from '../core/entered.ts';
import { DEFAULT_SETTINGS, type ServerSettings, type Transport } from '../core/server-settings.ts';
import { headersOf, type TokenSet } from '../core/token-set.ts';
import { BrokerError } from '../errors.ts';
import { probeEventStream, probeInitialize } from '../oauth/probe.ts';
import { deleteUnusedClient } from '../vault/clients.ts';
import {
  detachClient,
  findConnection,
  forgetLogin,
  insertConnection,
  replaceTokenSet,
  sealTokenSet,
} from '../vault/connections.ts';
import { closeOlderRotations } from '../vault/rotations.ts';
import { type Server, saveServer } from '../vault/servers.ts';
import { type ConnectionView, view } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { eraseDerived } from './erase-derived.ts';
import { requireAlone, whatIsGone, whatIsPresent } from './kind-change.ts';
import { leaseOf, withLease } from './lease.ts';
import { type LoginTarget, resolveNewTarget } from './login-target.ts';

export interface NewStaticConnection {
  name: string;
  url: string;
  credential: StaticCredential;
  /** When it ends, as the vendor told, epoch ms. Undefined: unknown, or never. */
  expiresAt?: number | undefined;
  /** Whether the server is asked with it first, and it is refused when the server refuses it. Default false. */
  probe?: boolean | undefined;
  /** How MCP is spoken with the server. Default: as before, at first `http`. */
  transport?: Transport | undefined;
}

/** The connection, and what no longer applies because of it. */
export interface AddedView extends ConnectionView {
  notes?: string[];
}

/**
 * Adds the connection, or puts the new credential in place of what was there, of whatever kind.
 *
 * Throws `usage` for what cannot be sent or would change other connections of that server, `login_refused` when the
 * server was asked and refused it, `upstream_unavailable` when it could not be asked.
 */
export async function addStatic(context: Context, wanted: NewStaticConnection): Promise<AddedView> {
  const { vault, clock } = context;
  const { credential, transport } = wanted;
  const tokens = enteredTokens(credential, clock.now(), wanted.expiresAt);
  const target = await resolveNewTarget(context, wanted);
  const present = await whatIsPresent(context, target);
  requireAlone(present, target, credential.kind);
  if (wanted.probe) await probe(context, target.url, tokens, transport);
  const place = { ...target, settings: transport && { transport } };
  await withLease(context, leaseOf(target.connection), () =>
    saveEntered(context, place, credential.kind, tokens, present.before),
  );
  const stored = await vault.run(() => findConnection(target.connection));
  if (!stored) throw new Error('the connection is not there after it was saved');
  const notes = whatIsGone(present, credential.kind);
  return { ...(await view(context, stored)), ...(notes.length === 0 ? {} : { notes }) };
}

/** Asks the server. The host was typed by an operator: it may be anywhere. Throws as `addStatic` does. */
export async function probe(
  { fetchFor }: Pick<Context, 'fetchFor'>,
  url: string,
  tokens: TokenSet,
  transport: Transport | undefined,
): Promise<void> {
  const ask = transport === 'sse' ? probeEventStream : probeInitialize;
  const answer = await ask(url, headersOf(tokens), fetchFor('private'));
  if (answer.kind === 'unavailable') {
    throw new BrokerError('upstream_unavailable', `${url} is out of order: ${answer.told}`, {
      hint: 'nothing was stored; try again later, or leave out --probe',
    });
  }
  if (answer.kind !== 'token_refused' && answer.kind !== 'refused') return;
  throw new BrokerError('login_refused', `${url} refuses the credential: ${answer.told}`, {
    hint: 'nothing was stored; check that it is whole, has not ended, and may be used for MCP',
  });
}

/** Where a credential belongs. */
type Place = Pick<LoginTarget, 'connection' | 'server'> & {
  account?: string | undefined;
  url: string | null;
  /** What is not said is as usual: a server's own settings belong to the kind of login it had. Only its transport stays. */
  settings?: Partial<ServerSettings> | undefined;
};

const { transport: _, ...usual } = DEFAULT_SETTINGS;

/** Stores a credential that stays as it is. To be called under the connection's lease. */
export async function saveEntered(
  { vault, clock }: Context,
  { connection: name, server, account, url, settings }: Place,
  kind: CredentialKind,
  tokens: TokenSet,
  before: Server | undefined,
): Promise<void> {
  // What was made from identities ends with that.
  const wasIdentity = before?.kind === 'identity';
  const existing = wasIdentity ? undefined : await vault.run(() => findConnection(name));
  const id = existing?.id ?? randomUUID();
  const now = clock.now();
  const sealed = await sealTokenSet(vault.sealer, id, (existing?.generation ?? 0) + 1, tokens);
  await vault.transaction(function* () {
    if (wasIdentity) yield* eraseDerived(before);
    yield* saveServer({
      ...{ name: server, url, kind, resource: url ?? '', createdAt: now },
      settings: { ...usual, ...settings },
    });
    if (existing) {
      const isReplaced = yield* replaceTokenSet(id, existing.generation, sealed);
      if (!isReplaced) throw new Error('the generation moved while a credential was being saved');
      yield* closeOlderRotations(id, sealed.generation, now);
      yield* detachClient(id);
      if (existing.kind !== kind) yield* forgetLogin(id);
      if (existing.clientRowId) yield* deleteUnusedClient(existing.clientRowId);
    } else {
      yield* insertConnection(
        { id, name, server, account: account ?? null, clientRowId: null, createdAt: now },
        sealed,
      );
    }
    const detail = { kind, generation: sealed.generation };
    yield* vault.audit.append({
      actor: actorOf(OPERATOR),
      action: 'add',
      connection: name,
      outcome: 'ok',
      detail,
    });
  });
}
