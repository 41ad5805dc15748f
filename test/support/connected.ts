/** What a login as `demo` comes to in a world as it is started by default. */
import { expect } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { ConnectedEvent } from '../../src/broker/login-events.ts';
import type { World } from './world.ts';

/** The last event of the login. */
export const connectedDemo = ({ authorizationServer, mcp }: World): ConnectedEvent => ({
  event: 'connected',
  connection: 'demo',
  scope: 'mcp:all',
  expires_in: 3600,
  refresh_token: true,
  issuer: authorizationServer.issuer,
  resource: mcp.url,
});

/** Fails unless the token at hand is one for the MCP server, by what the authorization server says of it. */
export async function expectUsable({ authorizationServer, mcp }: World, broker: Broker): Promise<void> {
  const { accessToken } = await broker.token(OPERATOR, 'demo');
  expect(await authorizationServer.tokenIsActive(accessToken.reveal())).toMatchObject({
    active: true,
    aud: mcp.url,
  });
}
