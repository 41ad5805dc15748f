/** The broker as the token source of an MCP SDK v2 transport. */
import { connectDaemon } from './daemon.ts';
import type { BrokerOptions } from './options.ts';
import { createTokens } from './tokens.ts';

/** The `AuthProvider` of the MCP TypeScript SDK v2, so that nothing need be imported from there. */
export interface BrokerAuth {
  /**
   * An access token that can be sent now; kept in memory, not asked for each time.
   *
   * Throws `BrokerClientError`, such as `login_required`.
   */
  token(): Promise<string>;
  /**
   * To be called after a 401: gets a token newer than the refused one, so that the next `token()` gives that. Once
   * for all who were refused together; does nothing when a newer token came within the last 30 seconds.
   *
   * Throws `BrokerClientError` when there is no newer token.
   */
  onUnauthorized(context?: unknown): Promise<void>;
}

/**
 * Access tokens of one connection, for `new StreamableHTTPClientTransport(url, { authProvider })` of MCP SDK v2.
 *
 * Throws `TypeError` for options that cannot be. A connection without a bearer token (API-key headers) answers
 * `bad_request`: use `brokerFetch` for those.
 */
export function brokerAuth(options: BrokerOptions): BrokerAuth {
  const tokens = createTokens(connectDaemon(options));
  return {
    token: async () => (await tokens.current()).accessToken,
    onUnauthorized: () => tokens.replaceCurrent(),
  };
}
