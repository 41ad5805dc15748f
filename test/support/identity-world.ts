/** A company: an OpenID provider whose people sign in once, and an internal MCP server that takes what they get. */
import type { AuthorizationServer, AuthorizationServerOptions } from './authorization-server.ts';
import { type Journey, type LoginResult, startJourney } from './journey.ts';
import { type McpTestServer, startMcpServer } from './mcp-server.ts';
import { startTokenExchange, type TokenExchange } from './token-exchange.ts';

export interface IdentityWorld {
  journey: Journey;
  /** Issuer of the company. */
  corp: string;
  /** Its exchange of tokens. */
  exchange: TokenExchange;
  /** Takes the company's own tokens, and those exchanged for it. */
  internal: McpTestServer;
  /** Signs a person in as `corp@person`, with further arguments. */
  signIn(person: string, more?: string[]): Promise<LoginResult>;
  close(): Promise<void>;
}

const AN_HOUR_SECONDS = 3600;

/** Starts the company. Nobody has signed in yet. */
export async function startIdentityWorld(options: AuthorizationServerOptions = {}): Promise<IdentityWorld> {
  const exchange = await startTokenExchange();
  const journey = await startJourney({
    authorizationServer: {
      alwaysIssueRefreshToken: true,
      metadata: (document) => ({ ...document, token_endpoint: exchange.url }),
      ...options,
    },
  });
  const { authorizationServer } = journey;
  exchange.serve(authorizationServer);
  const internal = await startInternal(authorizationServer, exchange);
  return {
    ...{ journey, exchange, internal, corp: authorizationServer.issuer },
    async signIn(person, more = []) {
      const args = ['login', authorizationServer.issuer, '--name', 'corp', '--account', person];
      const process = journey.start([...args, ...more, '--no-browser', '--json']);
      const [line = ''] = await process.waitFor(/^\{"event":"authorization_url".*$/m);
      const { url } = JSON.parse(line) as { url: string };
      process.write(await authorizationServer.approve(url, { account: person }));
      const code = await process.exited;
      return { code, stdout: process.stdout(), stderr: process.stderr(), events: [], page: '' };
    },
    async close() {
      await journey.close();
      await internal.close();
      await exchange.close();
    },
  };
}

/** An MCP server that takes the company's own tokens, whatever they are meant for, and those exchanged for it. */
export function startInternal(
  { issuer, tokenIsActive }: Pick<AuthorizationServer, 'issuer' | 'tokenIsActive'>,
  exchange: TokenExchange,
): Promise<McpTestServer> {
  let address = '';
  return startMcpServer({
    scope: '',
    authorizationServer: {
      issuer,
      allowResource(resource) {
        address ||= resource;
      },
      async tokenIsActive(token) {
        const sub = exchange.ownerOf(token);
        const exp = Math.floor(Date.now() / 1000) + AN_HOUR_SECONDS;
        return { aud: address, ...(sub ? { active: true, sub, exp } : await tokenIsActive(token)) };
      },
    },
  });
}
