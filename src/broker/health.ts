/** Whether the daemon can do its work, for load balancers and service managers. */
import { hasKeys } from '../vault/seal.ts';
import type { Context } from './context.ts';

export interface Readiness {
  isReady: boolean;
  /** One word, also when all is well: `ready`, or what is missing. */
  status: 'ready' | 'vault_unavailable';
}

/** Ready means: the vault answers. */
export async function readiness({ vault, log }: Context): Promise<Readiness> {
  try {
    if (await hasKeys(vault)) return { isReady: true, status: 'ready' };
  } catch (error) {
    log.error({ err: error }, 'the vault does not answer');
  }
  return { isReady: false, status: 'vault_unavailable' };
}
