/** The one table from error code to exit code (DESIGN §6). */
import { BrokerError, type ErrorCode } from '../errors.ts';

export const EXIT_USAGE = 64;
export const EXIT_INTERNAL = 70;
export const EXIT_TRY_LATER = 75;
/** `broker exec` failed before its program started: every other code is the program's. */
export const EXIT_NOT_STARTED = 125;
export const EXIT_INTERRUPTED = 130;

const EXIT_CODES: Record<ErrorCode, number> = {
  usage: EXIT_USAGE,
  bad_request: EXIT_USAGE,
  unauthenticated: 77,
  forbidden: 77,
  not_found: 2,
  login_required: 2,
  client_invalid: 2,
  config_error: 2,
  discovery_failed: 2,
  no_login_needed: 2,
  issuer_mismatch: 2,
  resource_mismatch: 2,
  pkce_unsupported: 2,
  registration_refused: 2,
  login_denied: 2,
  account_mismatch: 2,
  login_refused: 2,
  callback_invalid: 2,
  login_timeout: EXIT_TRY_LATER,
  upstream_unavailable: EXIT_TRY_LATER,
  rate_limited: EXIT_TRY_LATER,
  vault_locked: EXIT_TRY_LATER,
  push_failed: EXIT_TRY_LATER,
  port_in_use: 3,
  daemon_unreachable: 3,
  vault_missing: 3,
  vault_unavailable: 3,
  vault_newer: 3,
  key_missing: 3,
  key_wrong: 3,
  key_unsafe: 3,
  backup_failed: EXIT_TRY_LATER,
  backup_invalid: 3,
  save_failed: EXIT_INTERNAL,
  interrupted: EXIT_INTERRUPTED,
  internal: EXIT_INTERNAL,
};

/** Exit code for anything thrown; what is not ours, or a code of a newer daemon, is an internal error. */
export function exitCodeFor(error: unknown): number {
  return error instanceof BrokerError ? (EXIT_CODES[error.code] ?? EXIT_INTERNAL) : EXIT_INTERNAL;
}
