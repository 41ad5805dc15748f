import { type RawAnswer, type RawRequest, type RawServer, startRawServer } from './raw-server.ts';

/** One request to the token endpoint. */
export interface MachineRequestSeen {
  form: Record<string, string>;
  authorization: string | undefined;
}

/** A server that knows no people: MCP server, authorization server and identity provider at one address. */
export interface MachineServer {
  /** Origin and issuer. */
  url: string;
  /** The MCP endpoint, and its resource. */
  mcp: string;
  /** Requests to the token endpoint, in order of arrival. */
  asked: MachineRequestSeen[];
  /** Every request, in order of arrival. */
  requests: RawRequest[];
  /** Answers the token endpoint from now on. */
  answer(give: (form: Record<string, string>) => RawAnswer | Promise<RawAnswer>): void;
  close(): Promise<void>;
}

/** An access token of an hour, made of `label`. */
export function granted(label: string, changes: Record<string, unknown> = {}): RawAnswer {
  return {
    status: 200,
    body: { access_token: `fake-access-${label}`, token_type: 'Bearer', expires_in: 3600, ...changes },
  };
}

/**
 * Starts one that grants every request, with tokens numbered from 1.
 *
 * @param metadata changes of the authorization server's metadata
 */
export async function startMachineServer(metadata: Record<string, unknown> = {}): Promise<MachineServer> {
  const asked: MachineRequestSeen[] = [];
  let give: Parameters<MachineServer['answer']>[0] = () => granted(String(asked.length));
  const started: Promise<RawServer> = startRawServer(async ({ path, body, headers }) => {
    const { url } = await started;
    if (path === '/token') {
      const form = Object.fromEntries(new URLSearchParams(body));
      asked.push({ form, authorization: headers.authorization });
      return give(form);
    }
    return documents(url, metadata)[path] ?? { status: 404, body: 'not found' };
  });
  const { url, requests, close } = await started;
  return {
    ...{ url, mcp: `${url}/mcp`, asked, requests, close },
    answer(next) {
      give = next;
    },
  };
}

function documents(url: string, metadata: Record<string, unknown>): Record<string, RawAnswer> {
  const resourceMetadata = `${url}/.well-known/oauth-protected-resource/mcp`;
  return {
    '/mcp': {
      status: 401,
      headers: { 'www-authenticate': `Bearer resource_metadata="${resourceMetadata}"` },
    },
    '/.well-known/oauth-protected-resource/mcp': {
      status: 200,
      body: { resource: `${url}/mcp`, authorization_servers: [url] },
    },
    '/.well-known/oauth-authorization-server': {
      status: 200,
      body: {
        issuer: url,
        authorization_endpoint: `${url}/authorize`,
        token_endpoint: `${url}/token`,
        token_endpoint_auth_methods_supported: ['client_secret_basic', 'private_key_jwt'],
        ...metadata,
      },
    },
  };
}
