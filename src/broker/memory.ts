/**
 * What was read from the vault and is still so. Each request looks once, when it comes in, whether another process has
 * changed anything; what this process changes counts at once. So an agent that was revoked or a login that was made
 * counts at the very next request.
 *
 * Access tokens are held here opened; refresh tokens never.
 */
import type { Vault } from '../vault/index.ts';

export interface Memory {
  /** Forgets everything if another process has changed anything. To be called when a request comes in; costs little. */
  catchUp(): void;
  /** What `load` gave the last time, unless that was forgotten; then what it gives now. */
  recall<T>(what: string, load: () => Promise<T>): Promise<T>;
}

/** More is forgotten at once: names that are not there can be asked for without end. */
const MOST_REMEMBERED = 10_000;

/** The memory of one process. */
export function createMemory({ changes, foreignVersion }: Pick<Vault, 'changes' | 'foreignVersion'>): Memory {
  const remembered = new Map<string, unknown>();
  let foreign = foreignVersion();
  let own = changes();
  let isCaughtUp = false;

  function forgetWhatChanged(): void {
    if (own === changes() && remembered.size <= MOST_REMEMBERED) return;
    own = changes();
    remembered.clear();
  }

  return {
    catchUp() {
      if (isCaughtUp) return;
      isCaughtUp = true;
      // Who comes later comes in another turn of the event loop.
      setImmediate(() => {
        isCaughtUp = false;
      }).unref();
      const now = foreignVersion();
      if (now !== foreign) remembered.clear();
      foreign = now;
    },
    async recall<T>(what: string, load: () => Promise<T>): Promise<T> {
      forgetWhatChanged();
      if (remembered.has(what)) return remembered.get(what) as T;
      const [ownBefore, foreignBefore] = [own, foreignVersion()];
      const loaded = await load();
      // What was read while something changed may be neither the old nor the new.
      const isStill = ownBefore === changes() && foreignBefore === foreignVersion();
      if (isStill && foreignBefore === foreign) remembered.set(what, loaded);
      return loaded;
    },
  };
}
