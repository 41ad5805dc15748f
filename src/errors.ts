/**
 * Every failure this program can report, as one class with a closed list of codes.
 *
 * The message says what happened and to which thing, the hint says what to do next. Neither ever holds a
 * secret; words from a stranger (a server's `error_description`) pass through `quote` first.
 * The two doors translate codes once each: `cli/exit-codes.ts` and `http/problem.ts`.
 */

import { inspect } from 'node:util';

/** All codes. `docs/errors.md` has a section for each. */
export type ErrorCode =
  // asked wrongly
  | 'usage'
  | 'bad_request'
  // who is asking, and may they
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  // the connection cannot serve until somebody acts
  | 'login_required'
  | 'client_invalid'
  | 'config_error'
  // a login that did not work
  | 'discovery_failed'
  | 'no_login_needed'
  | 'issuer_mismatch'
  | 'resource_mismatch'
  | 'pkce_unsupported'
  | 'registration_refused'
  | 'login_denied'
  | 'callback_invalid'
  | 'login_refused'
  | 'account_mismatch'
  | 'login_timeout'
  // the world around us
  | 'upstream_unavailable'
  | 'rate_limited'
  | 'port_in_use'
  | 'daemon_unreachable'
  | 'push_failed'
  // the vault
  | 'vault_missing'
  | 'vault_unavailable'
  | 'vault_locked'
  | 'vault_newer'
  | 'key_missing'
  | 'key_wrong'
  | 'key_unsafe'
  | 'backup_failed'
  | 'backup_invalid'
  // the rest
  | 'save_failed'
  | 'interrupted'
  | 'internal';

export interface ErrorDetails {
  /** What to do next, usually the exact command. */
  hint?: string | undefined;
  /** Name of the connection concerned. */
  connection?: string | undefined;
  /** Seconds until another attempt can make sense. */
  retryAfterSeconds?: number | undefined;
  cause?: unknown;
}

/** The only error class thrown on purpose. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly connection: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message);
    this.code = code;
    this.hint = details.hint;
    this.connection = details.connection;
    this.retryAfterSeconds = details.retryAfterSeconds;
    if (details.cause !== undefined)
      Object.defineProperty(this, 'cause', { value: details.cause, enumerable: false });
  }

  /** Printed without its cause: causes of the OAuth libraries carry whole response bodies, tokens included. */
  [inspect.custom](): string {
    return this.stack ?? this.message;
  }
}

/** Longest piece of foreign text ever shown, in characters. */
const MAX_SHOWN = 200;

/**
 * Makes text from a stranger safe to show: control characters dropped, bounded to 200 characters, and in
 * JSON quotes, so that it can neither forge a log line nor move the cursor of a terminal.
 */
export function quote(text: string): string {
  return JSON.stringify(printable(text));
}

/** The same without the quotes, for values that are kept and shown later. */
export function printable(text: string, maxLength = MAX_SHOWN): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return clean.length > maxLength ? `${clean.slice(0, maxLength)}…` : clean;
}

/** The `code` property of a system or library error (`ECONNREFUSED`, `UND_ERR_SOCKET`); undefined if it has none. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
