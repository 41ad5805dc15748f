/**
 * What to do when the answer to a refresh was lost, and nobody knows whether the server replaced the token.
 *
 * - `retry`: present the same token again soon. Most servers allow it for a short while, and a lost login is
 *   worse than a refused one.
 * - `reuse-safe`: this server does not rotate, so nothing can be lost by asking again.
 * - `needs-login`: this server takes a second presentation for theft; never do it.
 */
export const RECOVERY_POLICIES = ['retry', 'reuse-safe', 'needs-login'] as const;
export type RecoveryPolicy = (typeof RECOVERY_POLICIES)[number];
