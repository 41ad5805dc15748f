/** Granted tokens as agents and operators are shown them. */
import { timestamp } from './connections.ts';
import type { GrantedToken } from './tokens.ts';

/** A granted token as JSON, on the command line and over HTTP. Seconds and RFC 3339; what is unknown is left out. */
export interface TokenView {
  access_token: string;
  token_type: 'Bearer';
  expires_in?: number;
  expires_at?: string;
  refresh_after?: string;
  scope?: string;
  resource: string;
  connection: string;
  account?: string;
  generation: number;
  warnings?: string[];
}

/** Reveals the token, to be sent to the one who may have it. */
export function toTokenView(token: GrantedToken, now: number): TokenView {
  const { expiresAt, refreshAfter: after, scope, account, warnings } = token;
  return {
    access_token: token.accessToken.reveal(),
    token_type: 'Bearer',
    ...(expiresAt === null
      ? {}
      : { expires_in: Math.max(0, Math.floor((expiresAt - now) / 1000)), expires_at: timestamp(expiresAt) }),
    ...(after === null ? {} : { refresh_after: timestamp(after) }),
    ...(scope === null ? {} : { scope }),
    resource: token.resource,
    connection: token.connection,
    ...(account === null ? {} : { account }),
    generation: token.generation,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}
