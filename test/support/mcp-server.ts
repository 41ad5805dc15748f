import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import type { OAuthTokenVerifier } from '@modelcontextprotocol/sdk/server/auth/provider.js';
import { getOAuthProtectedResourceMetadataUrl } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import type { Express, Request, RequestHandler } from 'express';
import { fingerprint } from '../../src/secret.ts';
import type { AuthorizationServer } from './authorization-server.ts';
import { closeServer, listenOnLoopback } from './loopback.ts';
import { createMcpSessions } from './mcp-sessions.ts';
import { createSseSessions, type SseQuirks, type SseSessions } from './sse-sessions.ts';

/** Everything is optional; the defaults follow the MCP authorization specification. */
export interface McpServerOptions {
  /** Default 0: any free port. */
  port?: number;
  /** Whose tokens count. Required unless `withoutAuth`. */
  authorizationServer?: Pick<AuthorizationServer, 'issuer' | 'allowResource' | 'tokenIsActive'>;
  /** Scope words every call needs; also named in the challenge. Default `mcp:all`; empty: none. */
  scope?: string;
  /** Whether a 401 says where the metadata is. Default `resource_metadata`. */
  challenge?: 'resource_metadata' | 'bare';
  /** Where the RFC 9728 document is. Default `path`: the well-known address with the path inserted. */
  metadataAt?: 'path' | 'root' | 'nowhere';
  /** The server needs no login. Default false. */
  withoutAuth?: boolean;
  /** Another `resource` in the metadata than the server's own address; tokens for it are accepted then. */
  resourceOverride?: string;
  /** `scopes_supported` of the metadata. Default the words of `scope`; an empty list leaves the field out. */
  scopesSupported?: string[];
  /** It only speaks the older transport, HTTP with SSE; what is wrong with it. Default: Streamable HTTP. */
  sse?: SseQuirks;
}

/** One request as the MCP server saw it. Never holds a token. */
export interface McpRequest {
  method: string;
  path: string;
  /** Fingerprint of the bearer token, as `src/secret.ts` computes it. */
  bearer?: string;
  /** Status answered; 0 until the answer began. */
  readonly status: number;
  /** JSON-RPC method of the message, such as `tools/call`. */
  readonly rpcMethod: string | undefined;
}

/** A running MCP server. */
export interface McpTestServer {
  /** Address of the endpoint, ending in `/mcp`: its resource identifier too. */
  url: string;
  /** Every request seen, in order of arrival. */
  requests: McpRequest[];
  /** Of the older transport. */
  sse: SseSessions;
  close(): Promise<void>;
}

/**
 * Starts a real MCP server (Streamable HTTP, the official SDK) on loopback, guarded by the SDK's bearer check. Its
 * tools: `echo` with `text`, and `whoami`, which answers the token's subject.
 *
 * @throws TypeError when it has neither an authorization server nor `withoutAuth`
 */
export async function startMcpServer(options: McpServerOptions = {}): Promise<McpTestServer> {
  const { authorizationServer, withoutAuth = false, scope = 'mcp:all' } = options;
  if (!authorizationServer && !withoutAuth)
    throw new TypeError('needs an authorizationServer or withoutAuth');
  const requests: McpRequest[] = [];
  const sessions = createMcpSessions();
  const sse = createSseSessions(options.sse);
  const app = createMcpExpressApp();
  const server = createServer((request, response) => {
    requests.push(recordMcpRequest(request, response));
    app(request, response);
  });
  const url = `${await listenOnLoopback(server, options.port)}/mcp`;
  const resource = options.resourceOverride ?? url;
  const scopes = scope.split(' ').filter(Boolean);

  if (authorizationServer && !withoutAuth) {
    authorizationServer.allowResource(url, scope);
    authorizationServer.allowResource(resource, scope);
    serveMetadata(app, url, options.metadataAt ?? 'path', {
      resource,
      authorization_servers: [authorizationServer.issuer],
      scopes_supported: options.scopesSupported ?? scopes,
    });
    app.use('/mcp', bearerGuard(authorizationServer, url, resource, scopes, options.challenge));
  }
  app.all('/mcp', (request, response) => (options.sse ? sse : sessions).handle(request, response));

  return {
    url,
    requests,
    sse,
    async close() {
      await sessions.close();
      sse.drop();
      await closeServer(server);
    },
  };
}

function serveMetadata(
  app: Express,
  url: string,
  at: 'path' | 'root' | 'nowhere',
  { scopes_supported, ...metadata }: { scopes_supported: string[]; [field: string]: unknown },
): void {
  if (at === 'nowhere') return;
  const address = getOAuthProtectedResourceMetadataUrl(at === 'path' ? new URL(url) : new URL('/', url));
  const document = scopes_supported.length > 0 ? { ...metadata, scopes_supported } : metadata;
  app.get(new URL(address).pathname, (_request, response) => void response.json(document));
}

function bearerGuard(
  authorizationServer: Pick<AuthorizationServer, 'tokenIsActive'>,
  url: string,
  resource: string,
  requiredScopes: string[],
  challenge: 'resource_metadata' | 'bare' = 'resource_metadata',
): RequestHandler {
  const verifier: OAuthTokenVerifier = {
    async verifyAccessToken(token) {
      const {
        active,
        aud,
        scope = '',
        sub,
        client_id = '',
        exp,
      } = await authorizationServer.tokenIsActive(token);
      if (!active) throw new InvalidTokenError('the token is not active');
      return {
        token,
        clientId: client_id,
        scopes: scope.split(' ').filter(Boolean),
        extra: { sub },
        ...(aud === undefined ? {} : { resource: new URL(aud) }),
        ...(exp === undefined ? {} : { expiresAt: exp }),
      };
    },
  };
  return requireBearerAuth({
    verifier,
    requiredScopes,
    expectedResource: new URL(resource),
    ...(challenge === 'resource_metadata'
      ? { resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(new URL(url)) }
      : {}),
  });
}

function recordMcpRequest(request: IncomingMessage, response: ServerResponse): McpRequest {
  const [, bearer] = /^bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
  return {
    method: request.method ?? '',
    path: new URL(request.url ?? '/', 'http://127.0.0.1').pathname,
    ...(bearer === undefined ? {} : { bearer: fingerprint(bearer) }),
    get status() {
      return response.headersSent ? response.statusCode : 0;
    },
    get rpcMethod() {
      return (request as Request<unknown, unknown, { method?: string } | undefined>).body?.method;
    },
  };
}
