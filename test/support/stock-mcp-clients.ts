/**
 * The official MCP SDKs as an agent uses them: unmodified, told no more than where the broker is and who they are.
 */
import {
  type AuthProvider,
  Client,
  ClientCredentialsProvider,
  discoverAuthorizationServerMetadata,
  StreamableHTTPClientTransport,
  type StreamableHTTPClientTransportOptions,
} from '@modelcontextprotocol/client';
import { discoverAuthorizationServerMetadata as discoverV1 } from '@modelcontextprotocol/sdk/client/auth.js';
import { ClientCredentialsProvider as ClientCredentialsProviderV1 } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import {
  StreamableHTTPClientTransport as TransportV1,
  type StreamableHTTPClientTransportOptions as TransportV1Options,
} from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';

/** Who the agent is, and where. */
export interface StockAgent {
  /** Issuer of the broker's daemon. */
  issuer: string;
  /** Name and key of the agent. */
  name: string;
  key: string;
  /** URL of the MCP server. */
  mcpUrl: string;
}

/** A connected MCP client. */
export interface StockClient {
  /** The text a tool answers. Rejects when the call is refused. */
  callTool(name: string): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Ways in which an agent may be written. Each connects, which needs a token already. */
export const STOCK_MCP_CLIENTS: Record<string, (agent: StockAgent) => Promise<StockClient>> = {
  'SDK v1 with an OAuthClientProvider of its own': async (agent) =>
    connectV1(agent, { authProvider: ownProvider(agent, await discoverV1(agent.issuer)) }),
  'SDK v1 with its ClientCredentialsProvider': (agent) =>
    connectV1(agent, { authProvider: atIssuer(new ClientCredentialsProviderV1(credentials(agent)), agent) }),
  'SDK v2 with an OAuthClientProvider of its own': async (agent) =>
    connectV2(agent, {
      authProvider: ownProvider(agent, await discoverAuthorizationServerMetadata(agent.issuer)),
    }),
  'SDK v2 with its ClientCredentialsProvider': (agent) =>
    connectV2(agent, { authProvider: atIssuer(new ClientCredentialsProvider(credentials(agent)), agent) }),
  'SDK v2 with an AuthProvider': (agent) => connectV2(agent, { authProvider: tokenProvider(agent) }),
};

function credentials({ issuer, name, key }: StockAgent) {
  return { clientId: name, clientSecret: key, expectedIssuer: issuer };
}

/** Whom to ask in place of the server the MCP server names; the SDK reads the metadata itself. */
function atIssuer<P extends object>(provider: P, { issuer }: StockAgent): P {
  return Object.assign(provider, { discoveryState: () => ({ authorizationServerUrl: issuer }) });
}

/** A program that knows nothing but the MCP server's URL and the broker's metadata. */
function ownProvider<M>({ issuer, name, key, mcpUrl }: StockAgent, metadata: M | undefined) {
  if (metadata === undefined) throw new Error('the broker has no metadata');
  let kept: OAuthTokens | undefined;
  return {
    redirectUrl: undefined,
    clientMetadata: { redirect_uris: [], grant_types: ['client_credentials'] },
    clientInformation: () => ({ client_id: name, client_secret: key, issuer }),
    tokens: () => kept,
    saveTokens(tokens: OAuthTokens) {
      kept = tokens;
    },
    prepareTokenRequest: () => new URLSearchParams({ grant_type: 'client_credentials' }),
    validateResourceURL: async () => new URL(mcpUrl),
    discoveryState: () => ({ authorizationServerUrl: issuer, authorizationServerMetadata: metadata }),
    redirectToAuthorization: nobodySignsIn,
    saveCodeVerifier: nobodySignsIn,
    codeVerifier: nobodySignsIn,
  };
}

function nobodySignsIn(): never {
  throw new Error('the client began a sign-in of its own');
}

/** A token kept until the server refuses it. */
function tokenProvider({ issuer, name, key, mcpUrl }: StockAgent): AuthProvider {
  let kept: string | undefined;
  const ask = async () => {
    const answer = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${name}:${key}`)}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource: mcpUrl }),
    });
    const { access_token, error_description } = (await answer.json()) as Record<string, string>;
    if (access_token === undefined) throw new Error(error_description);
    return access_token;
  };
  return {
    async token() {
      kept ??= await ask();
      return kept;
    },
    async onUnauthorized() {
      kept = await ask();
    },
  };
}

/** Connects with SDK v1, told how to prove itself. */
export async function connectV1(
  { mcpUrl }: Pick<StockAgent, 'mcpUrl'>,
  options: TransportV1Options,
): Promise<StockClient> {
  const client = new ClientV1({ name: 'test-agent', version: '1.0.0' });
  await client.connect(new TransportV1(new URL(mcpUrl), options) as Transport);
  return toStockClient(client);
}

/** Connects with SDK v2, told how to prove itself. */
export async function connectV2(
  { mcpUrl }: Pick<StockAgent, 'mcpUrl'>,
  options: StreamableHTTPClientTransportOptions,
): Promise<StockClient> {
  const client = new Client({ name: 'test-agent', version: '2.0.0' });
  await client.connect(new StreamableHTTPClientTransport(new URL(mcpUrl), options));
  return toStockClient(client);
}

function toStockClient(client: ClientV1 | Client): StockClient {
  return {
    async callTool(name) {
      const { content } = await client.callTool({ name, arguments: {} });
      return (content as { text: string }[])[0]?.text;
    },
    close: () => client.close(),
  };
}
