/**
 * What happens when a server's connections are to be of another kind. The kind is kept with the server, so it changes
 * for all of them: that is refused where a connection would change that nobody spoke of, or where something that works
 * would be given up for something that nobody has tried. What is given up is told.
 */
import { enteringCommand } from '../core/connection.ts';
import { type CredentialKind, describeKind } from '../core/credential-kind.ts';
import { sourceOf } from '../core/grant.ts';
import { formatConnectionName, requireConnectionName } from '../core/names.ts';
import { unusualSettings } from '../core/server-settings.ts';
import { BrokerError } from '../errors.ts';
import { listConnections, type StoredConnection } from '../vault/connections.ts';
import { findServer, listServers, type Server } from '../vault/servers.ts';
import type { Context } from './context.ts';
import { listDerived } from './identity.ts';
import type { LoginTarget } from './login-target.ts';

/** What is there before a connection is added. */
export interface Present {
  before: Server | undefined;
  /** The connection itself. */
  existing: StoredConnection | undefined;
  /** Other connections of the server, also those made from identities. */
  others: StoredConnection[];
  /** Servers whose connections are made from this one's logins. */
  dependants: string[];
}

type Place = Pick<LoginTarget, 'connection' | 'server' | 'url'>;

/** What earlier calls left. */
export async function whatIsPresent(
  { vault }: Pick<Context, 'vault'>,
  { connection, server }: Pick<Place, 'connection' | 'server'>,
): Promise<Present> {
  return vault.run(function* () {
    const stored = yield* listConnections();
    const all = [...stored, ...(yield* listDerived())].filter((each) => each.server === server);
    return {
      before: yield* findServer(server),
      existing: all.find(({ name }) => name === connection),
      others: all.filter(({ name }) => name !== connection),
      dependants: (yield* listServers())
        .filter(({ settings }) => sourceOf(settings.grant) === server)
        .map(({ name }) => name),
    };
  });
}

/** Throws `usage` where other connections need the server as it is. */
export function requireAlone(present: Present, place: Place, kind: CredentialKind): void {
  const { before, others } = present;
  const { connection, server, url } = place;
  if (!before || before.kind === kind) return;
  requireNoDependants(present, place);
  // One command made them all, and another one for the server as a whole puts something else there.
  if (before.kind === 'identity' && connection === server) return;
  const [other] = others;
  if (!other && before.kind !== 'identity') return;
  throw new BrokerError('usage', `${server} is of kind ${kindOf(before)}`, {
    hint:
      `give this one a server name of its own: broker add <name> --url ${url} …\n` +
      `or give up what is there: ${logoutCommands(before, others)}`,
    connection: other?.name ?? server,
  });
}

/** Throws `usage` where anything of another kind is there: what would take its place has not been tried yet. */
export function requireSameKind(present: Present, place: Place, kind: CredentialKind): void {
  const { before, existing, others } = present;
  const { server, url } = place;
  if (!before || before.kind === kind) return;
  requireNoDependants(present, place);
  const all = existing ? [existing, ...others] : others;
  if (all.length === 0 && before.kind !== 'identity') return;
  throw new BrokerError('usage', `${server} is of kind ${kindOf(before)}`, {
    hint:
      `give that up first: ${logoutCommands(before, all)}; then the same command, with --url ${url}\n` +
      `or choose another name: broker add <name> --url ${url} …`,
    connection: all[0]?.name ?? server,
  });
}

/** The same for a login, which many begin in order to renew what is there. Throws `usage`. */
export function requireNoOther({ before, existing, others }: Present, { connection, url }: Place): void {
  if (!before || before.kind === 'oauth') return;
  const all = existing ? [existing, ...others] : others;
  const source = sourceOf(before.settings.grant);
  const { account } = requireConnectionName(connection);
  const renewing =
    source === undefined
      ? `to enter its credential again: ${enteringCommand(existing ?? { name: connection, kind: before.kind })}`
      : `its users sign in there: broker login ${formatConnectionName({ server: source, account: account ?? '<user>' })}`;
  throw new BrokerError('usage', `${before.name} is of kind ${kindOf(before)}: nobody signs in to it`, {
    hint:
      `${renewing}\n` +
      `to sign in instead: ${logoutCommands(before, all)}; broker login ${url} --name ${connection}\n` +
      `or choose another name: broker login ${url} --name <name>`,
    connection: existing?.name ?? before.name,
  });
}

/** Throws `usage` where connections of another server are made from the logins of this one. */
function requireNoDependants({ dependants }: Present, { server, url }: Pick<Place, 'server' | 'url'>): void {
  const [first] = dependants;
  if (first === undefined) return;
  throw new BrokerError(
    'usage',
    `${dependants.join(', ')} ${dependants.length > 1 ? 'are' : 'is'} made from the logins at ${server}`,
    {
      hint:
        `choose another name: broker add <name> --url ${url} …\n` +
        `or give up what is made from them first: ${dependants.map((each) => `broker logout ${each}`).join('; ')}`,
    },
  );
}

/** The kind as messages name it: `bearer (a token that was entered by hand)`. */
export function kindOf({ kind, settings }: Pick<Server, 'kind' | 'settings'>): string {
  const source = sourceOf(settings.grant);
  return `${kind} (${source === undefined ? describeKind(kind) : `made from the logins at ${source}`})`;
}

/** The commands that make room. Of a server of identities it is one for all. */
function logoutCommands(server: Pick<Server, 'name' | 'kind'>, all: { name: string }[]): string {
  const names = server.kind === 'identity' ? [server.name] : all.map(({ name }) => name);
  return names.map((name) => `broker logout ${name}`).join('; ');
}

/** What a change of kind leaves behind, in words; empty when it stays the same. */
export function whatIsGone({ before, existing, others }: Present, kind: CredentialKind): string[] {
  if (!before || before.kind === kind) return [];
  const notes: string[] = [];
  if (before.kind === 'identity') {
    const names = [existing, ...others].flatMap((each) => each?.name ?? []);
    notes.push(`it was of kind ${kindOf(before)}; those logins stay`);
    if (names.length > 0) notes.push(`no longer there: ${names.join(', ')}`);
  } else if (existing) {
    const isStill = before.kind === 'oauth' || before.kind === 'client_credentials';
    notes.push(
      `it was of kind ${kindOf(before)}, which is forgotten here` +
        (isStill ? '; until its token ends by itself, the server would still accept it' : ''),
    );
  }
  const labels = labelsOf(before);
  if (labels.length > 0) notes.push(`no longer applies, as broker show named it: ${labels.join(', ')}`);
  if (existing?.expectedAccount) notes.push(`it need not belong to ${existing.expectedAccount} any more`);
  return notes;
}

/** The settings that differ from the usual, by their names in `broker show`. */
function labelsOf({ kind, settings }: Server): string[] {
  const { grant, network, transport, program, pkce, ...unusual } = unusualSettings(settings);
  // Nobody is redirected to a machine, so PKCE says nothing there.
  const told = { ...unusual, ...(pkce && kind === 'oauth' ? { pkce } : {}) };
  return Object.keys(told).map((name) => LABELS[name as keyof typeof told]);
}

const LABELS = {
  recovery: 'recovery',
  deadTokenErrors: 'dead token',
  pinnedIssuer: 'issuer pinned',
  pinnedResource: 'resource pinned',
  resourceParameter: 'resource',
  refreshScope: 'scope',
  basicEncoding: 'HTTP Basic',
  pkce: 'PKCE',
  scopes: 'asked scope',
  authorizationParameters: 'asked also',
  idleLimitMs: 'idle limit',
  endedLoginTexts: 'ended login',
} as const;
