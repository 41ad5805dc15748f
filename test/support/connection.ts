import type { Connection } from '../../src/core/connection.ts';

/** 2026-01-01T00:00:00Z, where the manual clock starts too. */
export const NOW = 1_767_225_600_000;
export const HOUR_MS = 3_600_000;

/** A healthy connection with an hour of token left, changed as the test wants. */
export function fakeConnection(changes: Partial<Connection> = {}): Connection {
  return {
    id: '00000000-0000-4000-8000-000000000001',
    name: 'coda',
    server: 'coda',
    account: null,
    clientRowId: '00000000-0000-4000-8000-000000000002',
    state: 'ok',
    code: null,
    cause: null,
    since: NOW,
    nextAttemptAt: null,
    askAgainAt: null,
    failures: 0,
    generation: 1,
    scope: null,
    accountIdentity: null,
    expectedAccount: null,
    receivedAt: NOW,
    accessExpiresAt: NOW + HOUR_MS,
    hasRefreshToken: true,
    refreshReceivedAt: NOW,
    refreshExpiresAt: null,
    isRefreshProlonged: false,
    lastError: null,
    kind: 'oauth',
    isMinted: false,
    createdAt: NOW,
    lastUsedAt: null,
    ...changes,
  };
}
