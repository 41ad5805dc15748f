/** Doing the same with several things at once, within bounds. */

/** How much is done at once, and what must not be done twice at a time. */
export interface Bounds<T> {
  most: number;
  /** Of those with the same key, one at a time. */
  keyOf(item: T): string;
}

/**
 * The results in the order of the items. After a failure nothing more is begun; it is thrown when what was begun is done.
 */
export async function sideBySide<T, R>(
  items: readonly T[],
  { most, keyOf }: Bounds<T>,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const waiting = items.map((item, index) => ({ item, index }));
  const busy = new Set<string>();
  const results: R[] = [];
  let changed = Promise.withResolvers<void>();

  async function worker(): Promise<void> {
    while (waiting.length > 0) {
      const next = waiting.findIndex(({ item }) => !busy.has(keyOf(item)));
      if (next === -1) {
        await changed.promise;
        continue;
      }
      const [taken] = waiting.splice(next, 1);
      if (!taken) return;
      const key = keyOf(taken.item);
      busy.add(key);
      try {
        results[taken.index] = await work(taken.item);
      } catch (error) {
        waiting.length = 0;
        throw error;
      } finally {
        busy.delete(key);
        changed.resolve();
        changed = Promise.withResolvers();
      }
    }
  }

  const ended = await Promise.allSettled(Array.from({ length: Math.min(most, items.length) }, worker));
  for (const each of ended) if (each.status === 'rejected') throw each.reason;
  return results;
}
