/**
 * A server that does everything the specifications allow and everything that goes wrong in the wild: authorization
 * server and protected resource in one small real HTTP server. Strict where oidc-provider is kind: one use for each
 * refresh token, reuse revokes, and `resource` is demanded.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { FAULTS, type FaultBehaviour, type FaultName } from './hostile-faults.ts';
import { createGrantStore, type GrantOptions, type GrantStore } from './hostile-grants.ts';
import { createLogins } from './hostile-logins.ts';
import { createTokenEndpoint, type TokenEndpoint } from './hostile-token-endpoint.ts';
import { sendJson } from './hostile-wire.ts';
import { closeServer, listenOnLoopback } from './loopback.ts';
import { parseJson, readRequest } from './recorded-request.ts';
import { type SelfSignedServer, startSelfSignedServer } from './self-signed.ts';

export interface HostileServer
  extends Pick<GrantStore, 'isAlive' | 'family' | 'resourceOf'>,
    Pick<TokenEndpoint, 'presentations' | 'delivered' | 'untilHeld' | 'letGo'> {
  issuer: string;
  /** RFC 8707 resource, the same as `url`. */
  resource: string;
  /** Address of the protected MCP endpoint. */
  url: string;
  /** Goes where a login leads to; the redirect back, not opened. Throws when the server shows an error page. */
  approve(authorizationUrl: string): Promise<string>;
  /**
   * Every refresh meets `kind` from now on, or only the next `times`; undefined ends it. A server that cannot be
   * reached cannot count, so there `times` means nothing.
   */
  fault(kind: FaultName | undefined, options?: { times?: number }): Promise<void>;
  close(): Promise<void>;
}

/** Defaults: the real clock, access tokens for an hour, rotation, no grace. */
export type HostileServerOptions = Partial<GrantOptions>;

const RESOURCE_METADATA = '/.well-known/oauth-protected-resource/mcp';

/** No host has a name under `.invalid` (RFC 6761 §6.4). */
const UNKNOWN_HOST = 'https://authorization-server.invalid';

/** Starts it on loopback. */
export async function startHostileServer(options: HostileServerOptions = {}): Promise<HostileServer> {
  const {
    clock = { now: () => Date.now() },
    accessTokenSeconds = 3600,
    graceMs = 0,
    rotate = true,
  } = options;
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { crash: String(error) });
    });
  });
  const issuer = await listenOnLoopback(server);
  const resource = `${issuer}/mcp`;
  const grants = createGrantStore({ clock, accessTokenSeconds, graceMs, rotate });
  const logins = createLogins(clock, issuer, resource);
  const endpoint = createTokenEndpoint({ clock, grants, logins });
  let tokenOrigin = issuer;
  let untrusted: SelfSignedServer | undefined;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url, headers, body } = await readRequest(request);
    const { pathname, searchParams } = new URL(url, issuer);
    const form = () => new URLSearchParams(body.toString());
    switch (`${method} ${pathname}`) {
      case `GET ${RESOURCE_METADATA}`:
        return sendJson(response, 200, { resource, authorization_servers: [issuer] });
      case 'GET /.well-known/oauth-authorization-server':
        return sendJson(response, 200, metadataOf(issuer, tokenOrigin));
      case 'POST /register': {
        const registered = logins.register(parseJson(body));
        return sendJson(response, registered.status, registered.body);
      }
      case 'GET /authorize':
        return sendRedirect(response, logins.authorize(searchParams));
      case 'POST /token':
        return endpoint.serve(form(), response);
      case 'POST /revoke':
        grants.revoke(form().get('token') ?? '');
        return sendJson(response, 200, {});
      default:
        if (pathname !== '/mcp') return sendJson(response, 404, {});
        return serveResource(response, headers.authorization);
    }
  }

  /** RFC 6750 §3, RFC 9728 §5.1. */
  function serveResource(response: ServerResponse, authorization = ''): void {
    const isAllowed = grants.resourceOf(authorization.replace(/^Bearer /, '')) === resource;
    if (!isAllowed) {
      response.setHeader('www-authenticate', `Bearer resource_metadata="${issuer}${RESOURCE_METADATA}"`);
    }
    sendJson(response, isAllowed ? 200 : 401, {});
  }

  /** Closes, opens and moves what the fault asks for. */
  async function setReach(act: FaultBehaviour['act'] | undefined): Promise<void> {
    const isOpen = act?.kind !== 'closed';
    if (isOpen && !server.listening) await listenOnLoopback(server, Number(new URL(issuer).port));
    if (!isOpen && server.listening) await closeServer(server);
    tokenOrigin = issuer;
    if (act?.kind !== 'moved') return;
    if (act.to === 'bad certificate') untrusted ??= await startSelfSignedServer();
    tokenOrigin = untrusted && act.to === 'bad certificate' ? untrusted.url : UNKNOWN_HOST;
  }

  return {
    ...{ issuer, resource, url: resource },
    ...{ isAlive: grants.isAlive, family: grants.family, resourceOf: grants.resourceOf },
    ...{ presentations: endpoint.presentations, delivered: endpoint.delivered },
    ...{ untilHeld: endpoint.untilHeld, letGo: endpoint.letGo },
    async approve(authorizationUrl) {
      const response = await fetch(authorizationUrl, { redirect: 'manual' });
      const location = response.headers.get('location');
      if (location === null) throw new Error(`unexpected page: ${await response.text()}`);
      return location;
    },
    async fault(name, { times = Number.POSITIVE_INFINITY } = {}) {
      endpoint.setFault(name, times);
      await setReach(name === undefined ? undefined : FAULTS[name].act);
    },
    async close() {
      endpoint.letGo();
      await untrusted?.close();
      if (server.listening) await closeServer(server);
    },
  };
}

function metadataOf(issuer: string, tokenOrigin: string): object {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${tokenOrigin}/token`,
    registration_endpoint: `${issuer}/register`,
    revocation_endpoint: `${issuer}/revoke`,
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
    authorization_response_iss_parameter_supported: true,
  };
}

function sendRedirect(response: ServerResponse, target: URL | string): void {
  if (typeof target === 'string') response.writeHead(400, { 'content-type': 'text/plain' }).end(target);
  else response.writeHead(302, { location: target.href }).end();
}
