/** What is counted, in the words of the domain. Who counts is given as a plain value; commands count nothing. */

/** How a credential left the broker. */
export type Door = 'token' | 'headers' | 'oauth' | 'gateway';

/** Why a caller was refused before anybody knew who it is. The last: it comes from where too many were refused. */
export const AUTHENTICATION_FAILURES = [
  ...(['missing', 'malformed', 'unknown', 'revoked', 'expired', 'rotated', 'wrong_name'] as const),
  'throttled',
] as const;
export type AuthenticationFailure = (typeof AUTHENTICATION_FAILURES)[number];

/** What the gateway did with a message: passed on, refused by a rule, or neither could be done. */
export type CallVerdict = 'allowed' | 'denied' | 'failed';

/** Nothing here waits, throws, or keeps a secret. Durations are milliseconds. */
export interface Metrics {
  tokenIssued(connection: string, door: Door): void;
  /**
   * A refresh token was presented, or a machine's token asked for, and answered or not.
   *
   * @param outcome a verdict of `core/verdict.ts`
   * @param code its code; of `success` there is none
   */
  refreshed(connection: string, outcome: string, code: string | undefined, durationMs: number): void;
  leaseTaken(waitedMs: number): void;
  /**
   * @param connection undefined: no connection the agent may use was named
   * @param durationMs undefined: it says nothing
   */
  gatewayCall(connection: string | undefined, verdict: CallVerdict, durationMs: number | undefined): void;
  authenticationFailed(reason: AuthenticationFailure): void;
  /**
   * @param route pattern of the path, never the path itself
   * @param status of the answer. Undefined: the caller hung up before it began
   */
  requestAnswered(route: string, status: number | undefined): void;
}

/** Counts nothing. */
export const NO_METRICS: Metrics = {
  tokenIssued() {},
  refreshed() {},
  leaseTaken() {},
  gatewayCall() {},
  authenticationFailed() {},
  requestAnswered() {},
};
