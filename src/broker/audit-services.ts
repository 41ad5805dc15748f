/** All that the audit trail is asked. */
import type { AuditNote } from '../vault/audit-verify.ts';
import { type AuditEntry, type AuditListing, type AuditQuery, follow, listEntries } from './audit-entries.ts';
import { type PruneView, prune } from './audit-retention.ts';
import { type AuditVerificationView, verify } from './audit-verify.ts';
import type { Context } from './context.ts';

export interface AuditServices {
  /** What happened, oldest first. Throws `usage` for a name or pattern that cannot be one. */
  entries(query: AuditQuery): Promise<AuditListing>;
  /** What happens from here on, in the order it is written, until aborted. `after` is `upTo` of a listing. */
  follow(query: AuditQuery, after: string, signal: AbortSignal): AsyncGenerator<AuditEntry>;
  /** Whether all of it is as it was written. */
  verify(options?: {
    noted?: AuditNote | undefined;
    atLeast?: number | undefined;
    onProgress?: ((done: number, total: number) => void) | undefined;
  }): Promise<AuditVerificationView>;
  /** Removes what is older. Throws `vault_unavailable` when the trail is not as it was written. */
  prune(olderThanMs: number, onProgress?: (rows: number) => void): Promise<PruneView>;
}

export function createAuditServices(context: Context): AuditServices {
  return {
    entries: (query) => listEntries(context, query),
    follow: (query, after, signal) => follow(context, query, after, signal),
    verify: (options = {}) => verify(context, options),
    prune: (olderThanMs, onProgress) => prune(context, olderThanMs, 'operator', { onProgress }),
  };
}
