/** How much of the gateway one agent may take up. */
export interface CallLimits {
  /** Requests and streams open at a time. */
  concurrency: number;
  /** Bytes of one request. */
  bodyBytes: number;
  /** Time without a byte of an answer after which a call is given up. Does not count for streams without a question. */
  idleMs: number;
  /** Time for a call and its whole answer. */
  totalMs: number;
}

export const DEFAULT_LIMITS: CallLimits = {
  concurrency: 64,
  bodyBytes: 4 * 1024 * 1024,
  idleMs: 5 * 60_000,
  totalMs: 60 * 60_000,
};

/** The limits of an agent: what was set for it, else the default. */
export function limitsOf(set: Partial<CallLimits> | undefined): CallLimits {
  return { ...DEFAULT_LIMITS, ...set };
}
