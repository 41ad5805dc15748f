/**
 * Metadata of authorization servers, remembered for a day and never frozen.
 *
 * A refresh needs the token endpoint. It is looked up again once the cached copy has ended; when that fails, the
 * copy saved with our client still serves, so that a broken well-known page does not stop refreshes.
 */
import type { Network } from '../core/server-settings.ts';
import { abortable, type FetchFor } from '../oauth/http.ts';
import {
  discoverFirstRevision,
  discoverServer,
  type ServerMetadata,
  type Vouched,
} from '../oauth/server-discovery.ts';
import type { Cache } from '../vault/cache.ts';

const LIFETIME_MS = 24 * 60 * 60_000;

/** Callers wait meanwhile, and a copy is at hand. */
const LOOKUP_DEADLINE_MS = 5_000;

export interface LookupOptions {
  network: Network;
  vouched?: Vouched;
  signal?: AbortSignal | undefined;
}

export interface MetadataSource {
  /** Looks the issuer up now, as a login does. Throws what `discoverServer` throws. */
  discover(issuer: string, options: LookupOptions): Promise<ServerMetadata>;
  /** The same for a server of the first MCP revision, by its URL. Throws what `discoverFirstRevision` throws. */
  discoverFirstRevision(url: string, options: LookupOptions): Promise<ServerMetadata>;
  /** Makes the next `get` look it up again: what was remembered may be wrong. */
  forget(issuer: string): Promise<void>;
  /** Cached, else looked up within 5 s. Throws what `discoverServer` throws. */
  find(issuer: string, network: Network): Promise<ServerMetadata>;
  /** Cached, else looked up within 5 s, else `saved`. Never throws. */
  get(issuer: string, saved: Record<string, unknown>, network: Network): Promise<ServerMetadata>;
}

/** Metadata through this cache. */
export function createMetadataSource(cache: Cache, fetchFor: FetchFor): MetadataSource {
  async function look(
    discover: typeof discoverServer,
    where: string,
    { network, signal, vouched }: LookupOptions,
  ): Promise<ServerMetadata> {
    const metadata = await discover(where, abortable(fetchFor(network), signal), vouched);
    await cache.set(metadata.issuer, metadata, LIFETIME_MS);
    return metadata;
  }
  async function find(issuer: string, network: Network): Promise<ServerMetadata> {
    const cached = await cache.get<ServerMetadata>(issuer);
    if (cached) return cached;
    const signal = AbortSignal.timeout(LOOKUP_DEADLINE_MS);
    // Whether PKCE is announced matters at a login, and to no other request.
    return look(discoverServer, issuer, { network, signal, vouched: { pkce: 'assumed' } });
  }
  return {
    find,
    discover: (issuer, options) => look(discoverServer, issuer, options),
    discoverFirstRevision: (url, options) => look(discoverFirstRevision, url, options),
    forget: (issuer) => cache.delete(issuer),
    get: (issuer, saved, network) => find(issuer, network).catch(() => saved as ServerMetadata),
  };
}
