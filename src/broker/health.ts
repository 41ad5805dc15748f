/** Whether the daemon can do its work, for load balancers and service managers. */
import { hasKeys } from '../vault/keys.ts';
import type { Context } from './context.ts';
import type { Scheduler } from './scheduler.ts';

export interface Readiness {
  isReady: boolean;
  /** One word, also when all is well: `ready`, or what is missing. */
  status: 'ready' | 'vault_unavailable' | 'scheduler_stuck' | 'save_failed';
}

/** Three of the scheduler's longest sleeps. */
const SCHEDULER_PATIENCE_MS = 90_000;

/** Ready means: the vault answers, no new token waits to be saved, and the scheduler (where there is one) turns. */
export async function readiness(context: Context, scheduler: Scheduler | undefined): Promise<Readiness> {
  const { vault, clock, log, unsaved } = context;
  const notReady = (status: Readiness['status']): Readiness => ({ isReady: false, status });
  try {
    if (!(await hasKeys(vault))) return notReady('vault_unavailable');
  } catch (error) {
    log.error({ err: error }, 'the vault does not answer');
    return notReady('vault_unavailable');
  }
  if (unsaved.size > 0) return notReady('save_failed');
  const lastTurnAt = scheduler?.lastTurnAt();
  const isStuck = typeof lastTurnAt === 'number' && clock.now() - lastTurnAt > SCHEDULER_PATIENCE_MS;
  return isStuck ? notReady('scheduler_stuck') : { isReady: true, status: 'ready' };
}
