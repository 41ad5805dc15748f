/** Which HTTP status a broker error is, at every door that speaks HTTP. */
import type { BrokerError, ErrorCode } from '../errors.ts';

const STATUS: Partial<Record<ErrorCode, number>> = {
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  login_required: 409,
  client_invalid: 409,
  config_error: 409,
  // Of a server that nobody could sign in to, whoever asks.
  discovery_failed: 409,
  no_login_needed: 409,
  issuer_mismatch: 409,
  resource_mismatch: 409,
  pkce_unsupported: 409,
  registration_refused: 409,
  login_refused: 409,
  rate_limited: 429,
  upstream_unavailable: 503,
  save_failed: 503,
  vault_locked: 503,
  vault_unavailable: 503,
};

/** Retry hint for 503s whose end nobody knows, in seconds. */
export const DEFAULT_RETRY_SECONDS = 5;

export interface ErrorStatus {
  status: number;
  /** Undefined: when to try again is not the question. */
  retryAfterSeconds: number | undefined;
}

/** Undefined: the story of this error is the operator's; callers get a bare `internal`. */
export function statusOf({ code, retryAfterSeconds }: BrokerError): ErrorStatus | undefined {
  const status = STATUS[code];
  if (status === undefined) return undefined;
  const retryAfter = status === 503 ? DEFAULT_RETRY_SECONDS : undefined;
  return { status, retryAfterSeconds: retryAfterSeconds ?? retryAfter };
}
