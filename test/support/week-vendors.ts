/** The vendors of the week: each a real authorization server with a real MCP server that lives by the clock of the week. */
import type { Clock } from '../../src/clock.ts';
import { type AuthorizationServer, startAuthorizationServer } from './authorization-server.ts';
import { isRefresh } from './gate.ts';
import { type McpTestServer, startMcpServer } from './mcp-server.ts';

export interface Vendor {
  /** Of the connection. */
  name: string;
  /** Who signs in there. */
  person: string;
  authorizationServer: AuthorizationServer;
  mcp: McpTestServer;
  /** Remembers when the tokens given since were given: now. To be called before time passes. */
  noteTokens(): void;
  /** Its token endpoint answers 503 from now on, or works again. */
  setDown(isDown: boolean): void;
  /** Ends every login there. */
  revoke(): Promise<void>;
  /** How many refreshes it has granted. */
  refreshes(): number;
  /** How many it has turned away while it was down. */
  turnedAway(): number;
  /** How many calls came with a token it did not take. */
  refusedCalls(): number;
  close(): Promise<void>;
}

/**
 * Starts both servers. Tokens live for an hour of `clock`: the authorization server itself keeps real time, so the MCP
 * server asks here when a token was given.
 */
export async function startVendor(name: string, person: string, clock: Clock): Promise<Vendor> {
  const authorizationServer = await startAuthorizationServer();
  const { issuer, requests } = authorizationServer;
  const endsAt = new Map<string, number>();
  let read = 0;

  function noteTokens(): void {
    for (; requests[read]?.status; read += 1) {
      const { access_token: token, expires_in: seconds = 0 } = (requests[read]?.answer ?? {}) as {
        access_token?: string;
        expires_in?: number;
      };
      if (token !== undefined) endsAt.set(token, clock.now() + seconds * 1000);
    }
  }

  const mcp = await startMcpServer({
    authorizationServer: {
      issuer,
      allowResource: authorizationServer.allowResource,
      async tokenIsActive(token) {
        noteTokens();
        const isOver = (endsAt.get(token) ?? 0) <= clock.now();
        return isOver ? { active: false } : authorizationServer.tokenIsActive(token);
      },
    },
  });
  return {
    ...{ name, person, authorizationServer, mcp, noteTokens },
    setDown: (isDown) =>
      authorizationServer.fail((request) => (isDown && isRefresh(request) ? { status: 503 } : undefined)),
    revoke: () => authorizationServer.revokeGrantsOf(person),
    refreshes: authorizationServer.refreshes,
    turnedAway: () => requests.filter((each) => isRefresh(each) && each.status === 503).length,
    refusedCalls: () =>
      mcp.requests.filter(({ bearer, status }) => bearer !== undefined && status === 401).length,
    async close() {
      await mcp.close();
      await authorizationServer.close();
    },
  };
}
