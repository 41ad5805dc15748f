/**
 * A connection: one stored credential for one server, and the state it is in.
 *
 * Nothing here is a secret. Secrets travel beside it as a `TokenSet`, so that showing, listing and auditing a
 * connection cannot leak one.
 */
import { type CredentialKind, isStatic } from './credential-kind.ts';

/** States of DESIGN §5, from fine to dead. `docs/errors.md` explains each. */
export type ConnectionState =
  | 'ok'
  | 'degraded'
  | 'uncertain'
  | 'login_required'
  | 'client_invalid'
  | 'config_error'
  | 'disabled';

/** Why a connection is not `ok`. All instants are epoch milliseconds. */
export interface StateReason {
  /** Machine word, such as `invalid_grant` or `timeout`. Null while all is well. */
  code: string | null;
  /** One sentence for people, safe to show. */
  cause: string | null;
  /** Since when the connection has been in this state. */
  since: number;
  /** When the next automatic attempt is due. Null: none is planned. */
  nextAttemptAt: number | null;
  /**
   * From when somebody who has no valid token may cause an attempt before that: a server that was down, and used nothing
   * up, may be well again. Null: not before the planned one.
   */
  askAgainAt: number | null;
  /** Failed attempts in a row. */
  failures: number;
}

/** What went wrong with a connection, and when. */
export interface LastError {
  code: string;
  cause: string | null;
  /** Epoch ms. */
  at: number;
}

export interface Connection extends StateReason {
  /** Ours, a UUID. Never derived from a URL or a token. */
  id: string;
  name: string;
  server: string;
  account: string | null;
  /** Row in `clients`. Null for kinds without OAuth. */
  clientRowId: string | null;
  state: ConnectionState;
  /** +1 each time the secrets change; every write is conditional on it. */
  generation: number;
  /** Scope as granted, space separated. Null: the server did not say. */
  scope: string | null;
  /** Whom the login belongs to, as the server told. Null: it did not. */
  accountIdentity: string | null;
  /** Whom a login must belong to, as an operator demanded. Null: anybody. */
  expectedAccount: string | null;
  /** When the current token set arrived. */
  receivedAt: number;
  /** When the access token ends. Null: unknown, which is not the same as never. */
  accessExpiresAt: number | null;
  hasRefreshToken: boolean;
  /** When the present refresh token first came. Null: there is none. */
  refreshReceivedAt: number | null;
  /** When it ends, as its server told. Null: not told. */
  refreshExpiresAt: number | null;
  /** Whether refreshing has put that end off before. */
  isRefreshProlonged: boolean;
  /** What went wrong last, also when all is well again. Null: nothing ever did. */
  lastError: LastError | null;
  /** Name of the identity connection it is made from. Absent: it stands for itself. */
  derivedFrom?: string;
  /** What it is made of. */
  kind: CredentialKind;
  /** Whether its tokens are asked for anew with a machine's own credentials. */
  isMinted: boolean;
  createdAt: number;
  lastUsedAt: number | null;
}

/** Whether a newer token can be had without a person. */
export function isRenewable(connection: Pick<Connection, 'hasRefreshToken' | 'isMinted'>): boolean {
  return connection.hasRefreshToken || connection.isMinted;
}

type Mendable = Pick<Connection, 'state' | 'name' | 'kind' | 'isMinted' | 'derivedFrom'>;

/** The exact command that mends a connection in this state. Null while nothing is to be done. */
export function fixingCommand(connection: Mendable): string | null {
  if (connection.state === 'ok') return null;
  const isTriedAgain =
    connection.isMinted || connection.state === 'degraded' || connection.state === 'uncertain';
  if (isStatic(connection.kind) || !isTriedAgain) return enteringCommand(connection);
  return `broker refresh ${connection.derivedFrom ?? connection.name}`;
}

type Enterable = Pick<Connection, 'name' | 'kind' | 'derivedFrom'>;

/**
 * The command that connects it once more in the way it is connected: a login, or another credential of the same kind.
 * A machine, and a server of identities, is added with all it was added with.
 */
export function enteringCommand({ name, kind, derivedFrom }: Enterable): string {
  switch (kind) {
    case 'oauth':
      return `broker login ${name}`;
    case 'client_credentials':
      return `broker add ${name} …`;
    case 'bearer':
      return `broker add ${name} --bearer-file <file>`;
    case 'headers':
      return `broker add ${name} --header <name> --value-file <file>`;
    case 'none':
      return `broker add ${name} --none`;
    case 'identity':
      return derivedFrom === undefined ? `broker add ${name.split('@')[0]} …` : `broker login ${derivedFrom}`;
  }
}

/**
 * The same with further scopes.
 *
 * @param scopes as one word of a shell
 */
export function wideningCommand(connection: Enterable, scopes: string): string {
  const command = enteringCommand(connection);
  // What was entered by hand has the rights its vendor gave it.
  return isStatic(connection.kind) ? command : `${command} --scope ${scopes}`;
}
