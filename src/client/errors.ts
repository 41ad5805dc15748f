/**
 * What can go wrong between an agent and its broker, as one class with a code.
 *
 * No error of this library holds the agent key or a token, and none has a `cause`: errors of HTTP libraries carry
 * requests, and with them their headers.
 */

/** Codes made here, then those the daemon answers with; `docs/errors.md` of the broker explains each. */
export type BrokerClientErrorCode =
  | 'usage'
  | 'daemon_unreachable'
  | 'resource_mismatch'
  | 'bad_request'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'login_required'
  | 'client_invalid'
  | 'config_error'
  | 'rate_limited'
  | 'upstream_unavailable'
  | 'save_failed'
  | 'vault_locked'
  | 'vault_unavailable'
  | 'internal'
  // Of a daemon newer than this library.
  | (string & {});

/** What is known besides code and message. */
export interface BrokerClientErrorDetails {
  /** HTTP status of the daemon's answer. Undefined: there was none. */
  status?: number | undefined;
  /** What to do next, usually the exact command. */
  nextStep?: string | undefined;
  /** Name of the connection concerned. */
  connection?: string | undefined;
  /** Seconds until another attempt can make sense. */
  retryAfterSeconds?: number | undefined;
}

/** Every failure of this library. The message is for people, `code` is for programs. */
export class BrokerClientError extends Error {
  override readonly name = 'BrokerClientError';
  readonly code: BrokerClientErrorCode;
  /** HTTP status of the daemon's answer. Undefined: there was none. */
  readonly status: number | undefined;
  /** What to do next, usually the exact command, such as `broker login coda`. Undefined: nobody knows. */
  readonly nextStep: string | undefined;
  readonly connection: string | undefined;
  /** Seconds until another attempt can make sense. Undefined: not told. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: BrokerClientErrorCode, message: string, details: BrokerClientErrorDetails = {}) {
    super(message);
    this.code = code;
    this.status = details.status;
    this.nextStep = details.nextStep;
    this.connection = details.connection;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}

/**
 * Whether the same question may be answered later without anybody doing anything. A refusal (revoked key, login
 * ended) is not of that kind.
 */
export function isTemporary(error: unknown): boolean {
  if (!(error instanceof BrokerClientError)) return false;
  const { code, status = 0 } = error;
  return code === 'daemon_unreachable' || code === 'rate_limited' || status >= 500;
}

/** Whether the daemon says that this connection has no bearer token, only headers. */
export function hasNoBearer(error: unknown): boolean {
  return error instanceof BrokerClientError && error.code === 'bad_request' && error.status === 400;
}
