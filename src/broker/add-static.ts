/**
 * Credentials entered by hand: a personal access token, headers, or none at all. They stay as they are until somebody
 * enters others; when they end, that is told before.
 */
import { randomUUID } from 'node:crypto';
import type { CredentialKind } from '../core/credential-kind.ts';
import { fillTemplate, type HeaderTemplate, requireDistinct } from '../core/headers.ts';
import { DEFAULT_SETTINGS } from '../core/server-settings.ts';
import { headersOf, type TokenSet } from '../core/token-set.ts';
import { BrokerError } from '../errors.ts';
import { probeInitialize } from '../oauth/probe.ts';
import { Secret } from '../secret.ts';
import { deleteUnusedClient } from '../vault/clients.ts';
import {
  detachClient,
  findConnection,
  insertConnection,
  listConnections,
  replaceTokenSet,
  type StoredConnection,
  sealTokenSet,
} from '../vault/connections.ts';
import { closeOlderRotations } from '../vault/rotations.ts';
import { findServer, saveServer } from '../vault/servers.ts';
import { type ConnectionView, view } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import { type LoginTarget, resolveTarget } from './login-target.ts';

/** What was entered. */
export type StaticCredential =
  | { kind: 'bearer'; token: Secret }
  | { kind: 'headers'; headers: { header: HeaderTemplate; value: Secret }[] }
  | { kind: 'none' };

export interface NewStaticConnection {
  name: string;
  url: string;
  credential: StaticCredential;
  /** When it ends, as the vendor told, epoch ms. Undefined: unknown, or never. */
  expiresAt?: number | undefined;
  /** Whether the server is asked with it first, and it is refused when the server refuses it. Default false. */
  probe?: boolean | undefined;
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
  const { name, url, credential } = wanted;
  const tokens = toTokenSet(credential, clock.now(), wanted.expiresAt);
  const target = await resolveTarget(context, { target: url, name });
  const existing = await requireAlone(context, target, credential.kind);
  if (wanted.probe) await probe(context, target.url, tokens);
  await withLease(context, leaseOf(target.connection), () => save(context, target, credential.kind, tokens));
  const stored = await vault.run(() => findConnection(target.connection));
  if (!stored) throw new Error('the connection is not there after it was saved');
  const notes = whatIsGone(existing, credential.kind);
  return { ...(await view(context, stored)), ...(notes.length === 0 ? {} : { notes }) };
}

/** Throws `usage` for a secret or header that could not be sent. */
function toTokenSet(credential: StaticCredential, now: number, expiresAt: number | undefined): TokenSet {
  if (expiresAt !== undefined && expiresAt <= now) {
    throw new BrokerError('usage', 'the credential has ended already', {
      hint: 'give an end in the future, or none',
    });
  }
  const common = {
    refreshToken: undefined,
    scope: undefined,
    receivedAt: now,
    accessExpiresAt: expiresAt,
    accountIdentity: undefined,
  };
  switch (credential.kind) {
    case 'bearer':
      fillTemplate({ name: 'Authorization', template: 'Bearer {{token}}' }, credential.token.reveal());
      if (/\s/.test(credential.token.reveal())) throw notOneWord();
      return { ...common, accessToken: credential.token, tokenType: 'Bearer' };
    case 'headers': {
      requireDistinct(credential.headers.map(({ header }) => header.name));
      const headers = credential.headers.map(
        ({ header, value }) => [header.name, new Secret(fillTemplate(header, value.reveal()))] as const,
      );
      return { ...common, accessToken: new Secret(''), tokenType: undefined, headers };
    }
    case 'none':
      return { ...common, accessToken: new Secret(''), tokenType: undefined, headers: [] };
  }
}

function notOneWord(): BrokerError {
  return new BrokerError('usage', 'the token holds spaces or line breaks', {
    hint: 'the file holds the token and nothing else, without "Bearer" in front',
  });
}

/** A kind is kept with the server: it can change only where no other connection is of the old one. */
async function requireAlone(
  { vault }: Context,
  { connection, server }: LoginTarget,
  kind: CredentialKind,
): Promise<StoredConnection | undefined> {
  const { before, all } = await vault.run(function* () {
    return { before: yield* findServer(server), all: yield* listConnections() };
  });
  const other = all.find((each) => each.server === server && each.name !== connection);
  if (other && before && before.kind !== kind) {
    throw new BrokerError(
      'usage',
      `${other.name} is connected to ${server} in another way (${before.kind})`,
      {
        hint: `give this one a server name of its own: broker add <name> --url …\nor log the other one out: broker logout ${other.name}`,
        connection: other.name,
      },
    );
  }
  return all.find((each) => each.name === connection);
}

/** The host was typed by an operator: it may be anywhere. */
async function probe(context: Context, url: string, tokens: TokenSet): Promise<void> {
  const answer = await probeInitialize(url, headersOf(tokens), context.fetchFor('private'));
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

async function save(
  { vault, clock }: Context,
  target: LoginTarget,
  kind: CredentialKind,
  tokens: TokenSet,
): Promise<void> {
  const { connection: name, server, account = null, url } = target;
  const existing = await vault.run(() => findConnection(name));
  const id = existing?.id ?? randomUUID();
  const now = clock.now();
  const sealed = await sealTokenSet(vault.sealer, id, (existing?.generation ?? 0) + 1, tokens);
  await vault.transaction(function* () {
    // A server's own settings belong to the kind of login it had.
    yield* saveServer({ name: server, url, kind, resource: url, settings: DEFAULT_SETTINGS, createdAt: now });
    if (existing) {
      const isReplaced = yield* replaceTokenSet(id, existing.generation, sealed);
      if (!isReplaced) throw new Error('the generation moved while a credential was being saved');
      yield* closeOlderRotations(id, sealed.generation, now);
      yield* detachClient(id);
      if (existing.clientRowId) yield* deleteUnusedClient(existing.clientRowId);
    } else {
      yield* insertConnection({ id, name, server, account, clientRowId: null, createdAt: now }, sealed);
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

/** What a change of kind leaves behind, in words. */
function whatIsGone(existing: StoredConnection | undefined, kind: CredentialKind): string[] {
  if (!existing || existing.kind === kind) return [];
  const notes = [`the settings of its ${existing.kind} credential no longer apply and were forgotten`];
  if (existing.kind === 'oauth') {
    notes.push('its login was forgotten here; until it ends by itself, the server would still accept it');
  }
  return notes;
}
