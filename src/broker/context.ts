import type { Clock } from '../clock.ts';
import type { Agent } from '../core/access-policy.ts';
import type { Connection } from '../core/connection.ts';
import type { RecoveryPolicy } from '../core/recovery.ts';
import type { TokenSet } from '../core/token-set.ts';
import type { BrokerError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { FetchFor } from '../oauth/http.ts';
import type { StoredConnection } from '../vault/connections.ts';
import type { Vault } from '../vault/index.ts';
import type { LoginPurpose } from '../vault/logins.ts';
import type { Rotation } from '../vault/rotations.ts';
import type { HandOuts } from './hand-outs.ts';
import type { Memory } from './memory.ts';
import type { MetadataSource } from './metadata.ts';

/** What every service of the broker works with. Wired once, in `broker/index.ts`. */
export interface Context {
  vault: Vault;
  clock: Clock;
  /** The way to providers, for what may be in the private network and for what must not. */
  fetchFor: FetchFor;
  log: Log;
  metrics: Metrics;
  metadata: MetadataSource;
  refresher: Refresher;
  handOuts: HandOuts;
  memory: Memory;
  rescue: Rescue;
  /** Connections whose newest token is not in the vault yet, by id. */
  unsaved: Set<string>;
  lifetime: Lifetime;
}

/** What a refresh works with. */
export type RefreshParts = Omit<Context, 'refresher' | 'handOuts' | 'memory'>;

/** One refresh on its way. */
export interface Flight {
  /** The connection as the caller saw it. */
  seen: Connection;
  /** Who asked, for the audit trail. */
  actor: string;
  /** Lets its callers go, and all that come later, while a new pair waits to be saved. */
  onStuck: (error: BrokerError) => void;
  /** Lets those go who wait now. */
  onLongWait: (error: BrokerError) => void;
}

/** A refresh token that was presented, and what it belongs to. */
export interface Presented {
  stored: StoredConnection;
  tokens: TokenSet;
  rotation: Rotation;
  flight: Flight;
  recovery: RecoveryPolicy;
}

/** A pair the server has answered and the vault does not have yet. */
export interface UnsavedPair {
  connectionId: string;
  connection: string;
  /** Generation it was asked from. 0: there is no such connection yet. */
  from: number;
  tokens: TokenSet;
  /** The client the pair was issued to. */
  clientRowId: string | null;
  /** Undefined: a refresh brought it. */
  login?: LoginFacts;
}

/** What a login stores besides its tokens. */
export interface LoginFacts extends LoginPurpose {
  clientRowId: string;
  issuer: string;
  actor: string;
  /** The pending login that ends with it. Undefined: there was none to wait for. */
  loginId?: string;
}

export interface Rescue {
  /** Path of the file, or undefined when no directory took it. */
  write(pair: UnsavedPair): Promise<string | undefined>;
  remove(path: string): void;
  /** Takes in what processes before us put aside. What cannot be taken in stays where it is. */
  adoptAll(): Promise<void>;
  /** The same for one connection. Throws when the vault cannot take it. */
  adoptFor(connectionId: string): Promise<void>;
}

/** How long this process means to live. */
export interface Lifetime {
  /** A daemon: it goes on trying what a command would give up. */
  isResident: boolean;
  /** Aborted when the process is to end. */
  stopping: AbortSignal;
}

/** The one refresh path, as the services see it. */
export interface Refresher {
  /**
   * Refreshes from the generation the caller saw. Callers at the same time share one refresh; it belongs to none
   * of them, so one that hangs up cancels nothing. If the generation has moved, the newer one is the result and
   * nothing is sent.
   *
   * Throws `login_required`, `client_invalid`, `config_error`, `upstream_unavailable`, `save_failed`.
   */
  refresh(connection: Connection, actor: string): Promise<StoredConnection>;
  /** Resolves when no refresh is running. */
  idle(): Promise<void>;
}

/** Who asks. The operator has the master key and may do all; an agent has its policy. */
export type Caller = { kind: 'operator' } | { kind: 'agent'; agent: Agent };

export const OPERATOR: Caller = { kind: 'operator' };

/** The caller as the audit trail names it. */
export function actorOf(caller: Caller): string {
  return caller.kind === 'operator' ? 'operator' : `agent:${caller.agent.name}`;
}
