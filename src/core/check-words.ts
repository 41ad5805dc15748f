/** What the formats of `broker check` know of a finding. The same as `CheckView`, without the broker. */
import type { CheckCode } from './check-policy.ts';

/** Instants are RFC 3339, durations seconds. */
export interface CheckedConnection {
  connection: string;
  state: string;
  exit_code: CheckCode;
  message: string;
  next_step?: string;
  expires_at?: string;
  last_refreshed_at?: string;
  refresh_token_age?: number;
  refresh_token_idle_limit?: number;
  refresh_token_expires_at?: string;
  client_secret_expires_at?: string;
  probe?: { ok: boolean };
}
