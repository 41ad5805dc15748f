/**
 * What was read from the vault and is still so. Every request looks whether anything has changed since, in this process
 * or another, so an agent that was revoked or a login that was made counts at the very next one.
 *
 * Access tokens are held here opened; refresh tokens never.
 */
import type { Vault } from '../vault/index.ts';

export interface Memory {
  /** What `load` gave the last time, unless the vault has changed; then what it gives now. */
  recall<T>(what: string, load: () => Promise<T>): Promise<T>;
}

/** More is forgotten at once: names that are not there can be asked for without end. */
const MOST_REMEMBERED = 10_000;

/** The memory of one process. */
export function createMemory(vault: Pick<Vault, 'version'>): Memory {
  const remembered = new Map<string, unknown>();
  let version = '';

  return {
    async recall<T>(what: string, load: () => Promise<T>): Promise<T> {
      const now = vault.version();
      if (now !== version || remembered.size > MOST_REMEMBERED) remembered.clear();
      version = now;
      if (remembered.has(what)) return remembered.get(what) as T;
      const loaded = await load();
      // What was read while something changed may be neither the old nor the new.
      if (vault.version() === now && version === now) remembered.set(what, loaded);
      return loaded;
    },
  };
}
