/** The OpenAPI 3.1 document of the HTTP API. It is data: a test holds it against what the daemon answers. */
import { readFileSync } from 'node:fs';
import { CONNECTION_PATHS } from './connections.ts';
import { GATEWAY_ERROR, GATEWAY_PATHS } from './gateway.ts';
import { HEALTH_PATHS } from './health.ts';
import { LOGIN_PATHS } from './logins.ts';
import { GRANTED, METADATA, OAUTH_PATHS } from './oauth.ts';
import type { Header, Paths } from './parts.ts';
import { CHALLENGE, PROBLEM, RETRY_AFTER } from './problems.ts';
import type { ObjectSchema } from './schema.ts';
import {
  BEGUN_LOGIN_VIEW,
  CHECK_VIEW,
  CONNECTION_VIEW,
  LOGIN_VIEW,
  LOGOUT_VIEW,
  TOKEN_VIEW,
} from './views.ts';

/** As far as it is ours: the rest of OpenAPI is not used. */
export interface OpenApiDocument {
  openapi: '3.1.1';
  info: Record<string, unknown>;
  servers: { url: string; description: string }[];
  tags: { name: string; description: string }[];
  paths: Paths;
  components: {
    schemas: Record<string, ObjectSchema>;
    headers: Record<string, Header>;
    securitySchemes: Record<string, Record<string, unknown>>;
  };
}

const ABOUT = `An agent asks the broker for a fresh access token, for the headers to send, or reaches the MCP server
through the gateway without holding a token.

Errors are \`application/problem+json\` (RFC 9457) with a \`code\` and, in \`next_step\`, the command that mends it;
\`/oauth/token\` answers as RFC 6749 has it. Answers are never to be stored. On TCP, \`Host\` must be one the daemon knows,
and a request with an \`Origin\` is refused unless it is allowed by name.`;

/** The routes in the order in which people meet them. */
const PATHS: Paths = {
  ...CONNECTION_PATHS,
  ...GATEWAY_PATHS,
  ...OAUTH_PATHS,
  ...LOGIN_PATHS,
  ...HEALTH_PATHS,
};

const noStore: Header = {
  description: 'No answer is to be stored.',
  required: true,
  schema: { type: 'string', const: 'no-store', description: 'RFC 9111 §5.2.2.5.' },
};

/** @param baseUrl URL under which clients reach the listener that was asked, without a slash at its end */
export function createDocument(baseUrl: string): OpenApiDocument {
  return {
    openapi: '3.1.1',
    info: {
      title: 'mcp-token-broker',
      version: readVersion(),
      summary: 'Fresh MCP tokens for agents that have no browser.',
      description: ABOUT,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: baseUrl, description: 'This daemon.' }],
    tags: [
      { name: 'Connections', description: 'Tokens, headers, and what an agent may use.' },
      { name: 'Gateway', description: 'MCP servers, with the credential put in.' },
      { name: 'OAuth', description: 'The same tokens for stock OAuth clients.' },
      { name: 'Logins', description: 'Connecting the people a host serves.' },
      { name: 'Operations', description: 'The daemon itself.' },
    ],
    paths: PATHS,
    components: {
      schemas: {
        Token: TOKEN_VIEW,
        Connection: CONNECTION_VIEW,
        Check: CHECK_VIEW,
        Logout: LOGOUT_VIEW,
        BegunLogin: BEGUN_LOGIN_VIEW,
        Login: LOGIN_VIEW,
        GrantedToken: GRANTED,
        OAuthMetadata: METADATA,
        GatewayError: GATEWAY_ERROR,
        Problem: PROBLEM,
      },
      headers: { NoStore: noStore, Challenge: CHALLENGE, RetryAfter: RETRY_AFTER },
      securitySchemes: {
        agentKey: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'mtb_…',
          description: 'The key of an agent, as `broker agent add` printed it.',
        },
        agentCredentials: {
          type: 'http',
          scheme: 'basic',
          description:
            'Name and key of an agent as client id and secret (RFC 6749 §2.3.1); they may also stand in the body.',
        },
      },
    },
  };
}

function readVersion(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
