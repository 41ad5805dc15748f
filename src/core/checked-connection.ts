/** A finding of `broker check`, as far as its formats for machines know it. */
import type { CheckCode } from './check-policy.ts';

/** Instants are RFC 3339, durations seconds; what is unknown is left out. */
export interface CheckedConnection {
  connection: string;
  /** A state of a connection; `not_found`, or `unknown` for one that could not be looked at. */
  state: string;
  /** What `broker check` would exit with for this connection alone. */
  exit_code: CheckCode;
  message: string;
  next_step?: string;
  expires_at?: string;
  last_refreshed_at?: string;
  /** Since the broker was given the present refresh token. */
  refresh_token_age?: number;
  /** How long the server keeps one that nobody uses, as an operator said. */
  refresh_token_idle_limit?: number;
  refresh_token_expires_at?: string;
  client_secret_expires_at?: string;
  /** What the server made of the credential. Absent: it was not called. */
  probe?: { ok: boolean };
}
