import type { Clock } from '../clock.ts';
import type { Agent } from '../core/access-policy.ts';
import type { Log } from '../log.ts';
import type { Fetch } from '../oauth/http.ts';
import type { Vault } from '../vault/index.ts';
import type { HandOuts } from './hand-outs.ts';
import type { MetadataSource } from './metadata.ts';
import type { Refresher } from './refresh.ts';

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

/** Who asks. The operator has the master key and may do all; an agent has its policy. */
export type Caller = { kind: 'operator' } | { kind: 'agent'; agent: Agent };

export const OPERATOR: Caller = { kind: 'operator' };

/** The caller as the audit trail names it. */
export function actorOf(caller: Caller): string {
  return caller.kind === 'operator' ? 'operator' : `agent:${caller.agent.name}`;
}
