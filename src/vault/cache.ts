/**
 * What may be lost and has a lifetime: provider metadata. Never a credential: Keyv has no compare-and-set and reports a
 * failed read as absent.
 *
 * Keyv works on our own SQLite connection, so there is one file and one set of locks.
 */
import { createHash } from 'node:crypto';
import KeyvSqlite from '@keyv/sqlite';
import { Keyv } from 'keyv';
import type { SqliteDatabase } from './sqlite.ts';

export interface Cache {
  /** The value, or undefined when it is absent, has ended, or the cache is out of order. */
  get<T>(key: string): Promise<T | undefined>;
  /** Keeps a JSON value for `ttlMs` (at least 1). A cache that cannot write is not an error. */
  set(key: string, value: unknown, ttlMs: number): Promise<void>;
  delete(key: string): Promise<void>;
}

/** One namespace of the cache. Each has its own Keyv: two on one adapter would read each other's keys. */
export function openCache(database: SqliteDatabase, namespace: string): Cache {
  const store = new KeyvSqlite({
    uri: 'sqlite://vault',
    table: 'cache',
    driver: {
      name: 'custom',
      connect: async () => ({
        query: async (sql: string, ...parameters: unknown[]) => database.execute(sql, parameters),
        // The connection is the vault's: it closes it.
        close: async () => {},
      }),
    },
  });
  const keyv = new Keyv({ store, namespace });
  // With a listener attached, Keyv reports failures as absent, which is what a cache should do.
  keyv.on('error', () => {});

  // Keys are hashed, because a key that begins with the namespace would collide with one that does not.
  const hashed = (key: string) => createHash('sha256').update(key).digest('base64url');
  return {
    get: async <T>(key: string) => (await keyv.get(hashed(key))) as T | undefined,
    async set(key, value, ttlMs) {
      // A lifetime of 0 or less would mean for ever.
      await keyv.set(hashed(key), value, Math.max(1, ttlMs));
    },
    async delete(key) {
      await keyv.delete(hashed(key));
    },
  };
}
