import type { Clock } from '../clock.ts';
import type { Agent } from '../core/access-policy.ts';
import type { Connection } from '../core/connection.ts';
import type { Log } from '../log.ts';
import type { Fetch } from '../oauth/http.ts';
import type { StoredConnection } from '../vault/connections.ts';
import type { Vault } from '../vault/index.ts';
import type { HandOuts } from './hand-outs.ts';
import type { MetadataSource } from './metadata.ts';

/** What every service of the broker works with. Wired once, in `broker/index.ts`. */
export interface Context {
  vault: Vault;
  clock: Clock;
  fetch: Fetch;
  log: Log;
  metadata: MetadataSource;
  refresher: Refresher;
  handOuts: HandOuts;
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
