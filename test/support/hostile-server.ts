/**
 * A server that does everything the specifications allow and everything that goes wrong in the wild: authorization
 * server and protected resource in one small real HTTP server. Strict where oidc-provider is kind: one use for each
 * refresh token, reuse revokes, and `resource` is demanded.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { FaultServer } from './fault-world.ts';
import { FAULTS } from './hostile-faults.ts';
import { createGrantStore, type GrantOptions, type GrantStore } from './hostile-grants.ts';
import { createLogins } from './hostile-logins.ts';
import { createTokenEndpoint } from './hostile-token-endpoint.ts';
import { sendJson } from './hostile-wire.ts';
import { listenOnLoopback, setListening } from './loopback.ts';
import { createReach } from './reach.ts';
import { parseJson, readRequest } from './recorded-request.ts';

export interface HostileServer
  extends Omit<FaultServer, 'isAlive' | 'family'>,
    Pick<GrantStore, 'isAlive' | 'family' | 'resourceOf'> {
  issuer: string;
  /** RFC 8707 resource, the same as `url`. */
  resource: string;
}

/** Defaults: the real clock, access tokens for an hour, rotation, no grace. */
export type HostileServerOptions = Partial<GrantOptions>;

const RESOURCE_METADATA = '/.well-known/oauth-protected-resource/mcp';

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
  const { refreshes } = endpoint;
  const listen = (isListening: boolean) => setListening(server, Number(new URL(issuer).port), isListening);
  const reach = createReach(issuer, listen);

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url, headers, body } = await readRequest(request);
    const { pathname, searchParams } = new URL(url, issuer);
    const form = () => new URLSearchParams(body.toString());
    switch (`${method} ${pathname}`) {
      case `GET ${RESOURCE_METADATA}`:
        return sendJson(response, 200, { resource, authorization_servers: [issuer] });
      case 'GET /.well-known/oauth-authorization-server':
        return sendJson(response, 200, metadataOf(issuer, reach.tokenOrigin()));
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

  return {
    ...{ issuer, resource, url: resource },
    ...{ isAlive: grants.isAlive, family: grants.family, resourceOf: grants.resourceOf },
    ...{ presentations: refreshes.presentations, delivered: refreshes.delivered },
    ...{ untilHeld: refreshes.untilHeld, letGo: refreshes.letGo },
    async approve(authorizationUrl) {
      const response = await fetch(authorizationUrl, { redirect: 'manual' });
      const location = response.headers.get('location');
      if (location === null) throw new Error(`unexpected page: ${await response.text()}`);
      return location;
    },
    async fault(name, { times = Number.POSITIVE_INFINITY } = {}) {
      refreshes.setFault(name, times);
      await reach.set(name === undefined ? undefined : FAULTS[name].act);
    },
    async close() {
      refreshes.letGo();
      await reach.close();
      await listen(false);
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
