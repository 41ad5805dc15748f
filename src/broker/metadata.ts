/**
 * Metadata of authorization servers, remembered for a day and never frozen.
 *
 * A refresh needs the token endpoint. It is looked up again once the cached copy has ended; when that fails, the
 * copy saved with our client still serves, so that a broken well-known page does not stop refreshes.
 */
import { abortable, type Fetch } from '../oauth/http.ts';
import { discoverServer, type ServerMetadata } from '../oauth/server-discovery.ts';
import type { Cache } from '../vault/cache.ts';

const LIFETIME_MS = 24 * 60 * 60_000;

/** Callers wait meanwhile, and a copy is at hand. */
const LOOKUP_DEADLINE_MS = 5_000;

export interface MetadataSource {
  /** Looks the issuer up now, as a login does. Throws what `discoverServer` throws. */
  discover(issuer: string, signal?: AbortSignal): Promise<ServerMetadata>;
  /** Makes the next `get` look it up again: what was remembered may be wrong. */
  forget(issuer: string): Promise<void>;
  /** Cached, else looked up, else `saved`. Never throws. */
  get(issuer: string, saved: Record<string, unknown>): Promise<ServerMetadata>;
}

/** Metadata through this cache. */
export function createMetadataSource(cache: Cache, fetch: Fetch): MetadataSource {
  async function discover(issuer: string, signal?: AbortSignal): Promise<ServerMetadata> {
    const metadata = await discoverServer(issuer, abortable(fetch, signal));
    await cache.set(issuer, metadata, LIFETIME_MS);
    return metadata;
  }
  return {
    discover,
    forget: (issuer) => cache.delete(issuer),
    async get(issuer, saved) {
      const cached = await cache.get<ServerMetadata>(issuer);
      const deadline = AbortSignal.timeout(LOOKUP_DEADLINE_MS);
      return cached ?? (await discover(issuer, deadline).catch(() => saved as ServerMetadata));
    },
  };
}
