/** What a login tells while it goes on, and what it is told. */

/** What a login is given to speak with the person. */
export interface LoginHooks {
  onEvent(event: LoginEvent): void;
  /** Something to tell the person, while the login goes on. */
  notify(message: string): void;
  /** Lines the person pastes. */
  pasted?: AsyncIterable<string> | undefined;
  /** Aborted when the person gives up. With the reason `HANGUP` the terminal went away: the login can be resumed. */
  signal?: AbortSignal | undefined;
}

/** Why a signal is aborted when the terminal went away: the login stays open for another one. */
export const HANGUP = 'SIGHUP';

/** What happens, in the words of `broker login --json`. */
export type LoginEvent =
  | { event: 'discovered'; issuer: string; resource: string; notes?: readonly string[] }
  | { event: 'registered'; client_id: string; source: string }
  | AuthorizationUrlEvent
  | DeviceCodeEvent
  | ConnectedEvent;

export interface AuthorizationUrlEvent {
  event: 'authorization_url';
  url: string;
  redirect_uri: string;
  /** Of a login that the daemon finishes. */
  id?: string;
  /** When its link ends, RFC 3339. */
  expires_at?: string;
}

/** Instants are seconds from now. */
export interface DeviceCodeEvent {
  event: 'device_code';
  verification_uri: string;
  verification_uri_complete?: string;
  user_code: string;
  expires_in: number;
}

/** The end, in the words of `broker login --json`. What the server did not tell is left out. */
export interface ConnectedEvent {
  event: 'connected';
  connection: string;
  account?: string;
  scope?: string;
  expires_in?: number;
  refresh_token: boolean;
  issuer: string;
  resource: string;
  /** What is not as it could be, for people. */
  notes?: readonly string[];
}
