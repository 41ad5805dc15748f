/**
 * The hostile server's rules, grants and faults without its sockets, for tests that run it thousands of times. What
 * its faults look like on real sockets is proven with `hostile-server.ts`; here each becomes what `oauth/http.ts`
 * makes of it: an answer, or an error with the same code.
 */
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Presentation } from './faulty-refreshes.ts';
import type { FaultName } from './hostile-faults.ts';
import { createGrantStore, type GrantOptions, type GrantStore } from './hostile-grants.ts';
import { createLogins } from './hostile-logins.ts';
import { createTokenEndpoint } from './hostile-token-endpoint.ts';

/** One request as it arrives. */
export interface Arrival {
  method: string;
  url: URL;
  /** Fields of a form. */
  form: URLSearchParams;
  /** The whole body. */
  text: string;
}

/** An answer as it leaves. */
export interface Departure {
  status: number;
  headers?: Record<string, string>;
  text: string;
}

/** What the server does with a request. */
export interface Served {
  /** Rejects when the connection breaks. May be long in coming, or never come. */
  answer: Promise<Departure>;
  /** Set when it was a refresh. */
  presentation: Presentation | undefined;
  /** The client waits no longer. */
  abandon(): void;
}

export interface MemoryServer extends Pick<GrantStore, 'isAlive' | 'resourceOf'> {
  resource: string;
  /** An administrator ends what the newest login was granted. */
  endNewestGrant(): void;
  /** Every refresh meets `name`, or only the next `times`; undefined ends it. */
  setFault(name: FaultName | undefined, times: number): void;
  /** What keeps a refresh from reaching the server, if anything. To be asked once for each. */
  takeBarrier(): FaultName | undefined;
  /** Acts on a request at once. */
  serve(arrival: Arrival): Served;
  /** Goes where a login leads to; the redirect back. */
  approve(authorizationUrl: string): string;
}

const ISSUER = 'https://as.example.com';
const RESOURCE = 'https://mcp.example.com/mcp';

const METADATA = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  registration_endpoint: `${ISSUER}/register`,
  revocation_endpoint: `${ISSUER}/revoke`,
  response_types_supported: ['code'],
  grant_types_supported: ['authorization_code', 'refresh_token'],
  code_challenge_methods_supported: ['S256'],
  token_endpoint_auth_methods_supported: ['none'],
  authorization_response_iss_parameter_supported: true,
};

/** Faults that keep a request from the server, and how the network spells them. */
const BARRIERS: Partial<Record<FaultName, string>> = {
  'connection refused': 'ECONNREFUSED',
  'DNS failure': 'ENOTFOUND',
  'TLS failure': 'DEPTH_ZERO_SELF_SIGNED_CERT',
};

/** The same bound as in `oauth/http.ts`. */
const MAX_BODY_BYTES = 1024 * 1024;

/** An error as the network gives it: with this code, or the one of a barrier. */
export function networkFailure(code: string): Error {
  return Object.assign(new Error('the network failed'), { code: BARRIERS[code as FaultName] ?? code });
}

/** A server without clients, grants and faults. */
export function createMemoryServer(options: GrantOptions): MemoryServer {
  const { clock } = options;
  const store = createGrantStore(options);
  let newest = '';
  const grants: GrantStore = {
    ...store,
    begin(grant) {
      const answer = store.begin(grant);
      newest = String(answer.body.refresh_token);
      return answer;
    },
  };
  const logins = createLogins(clock, ISSUER, RESOURCE);
  const endpoint = createTokenEndpoint({ clock, grants, logins });
  let barrier: { name: FaultName; times: number } | undefined;

  function answerTo({ method, url, form, text }: Arrival): { status: number; body: object } {
    switch (`${method} ${url.pathname}`) {
      case 'POST /mcp':
        return { status: 401, body: {} };
      case 'GET /.well-known/oauth-protected-resource/mcp':
        return { status: 200, body: { resource: RESOURCE, authorization_servers: [ISSUER] } };
      case 'GET /.well-known/oauth-authorization-server':
        return { status: 200, body: METADATA };
      case 'POST /register':
        return logins.register(JSON.parse(text));
      case 'POST /revoke':
        grants.revoke(form.get('token') ?? '');
        return { status: 200, body: {} };
      default:
        return { status: 404, body: {} };
    }
  }

  return {
    resource: RESOURCE,
    ...{ isAlive: grants.isAlive, resourceOf: grants.resourceOf },
    endNewestGrant: () => grants.revoke(newest),
    setFault(name, times) {
      const isBarrier = name !== undefined && name in BARRIERS;
      barrier = isBarrier ? { name, times } : undefined;
      endpoint.refreshes.setFault(isBarrier ? undefined : name, times);
    },
    takeBarrier() {
      if (barrier === undefined || barrier.times === 0) return undefined;
      barrier.times -= 1;
      return barrier.name;
    },
    serve(arrival) {
      if (arrival.url.pathname !== '/token') {
        const { status, body } = answerTo(arrival);
        const headers = { 'content-type': 'application/json' };
        const answer = Promise.resolve({ status, headers, text: JSON.stringify(body) });
        return { answer, presentation: undefined, abandon: () => {} };
      }
      const count = endpoint.refreshes.presentations.length;
      const { response, answer } = createMemoryResponse();
      endpoint.serve(arrival.form, response).catch(() => response.destroy());
      return {
        answer,
        presentation: endpoint.refreshes.presentations[count],
        abandon: () => response.destroy(),
      };
    },
    approve(authorizationUrl) {
      const redirect = logins.authorize(new URL(authorizationUrl).searchParams);
      if (typeof redirect === 'string') throw new Error(`unexpected page: ${redirect}`);
      return redirect.href;
    },
  };
}

/** What the token endpoint and its faults use of a response, with the client's end of it. */
function createMemoryResponse(): { response: ServerResponse; answer: Promise<Departure> } {
  const { promise: answer, resolve, reject } = Promise.withResolvers<Departure>();
  // Perhaps nobody waits for it any more.
  answer.catch(() => undefined);
  let head: Omit<Departure, 'text'> = { status: 200 };
  const response = Object.assign(new EventEmitter(), {
    destroyed: false,
    socket: { resetAndDestroy: () => reject(networkFailure('ECONNRESET')) },
    writeHead(status: number, headers: Record<string, string> = {}) {
      head = { status, headers };
      return response;
    },
    write(_piece: string, written?: () => void) {
      written?.();
      return true;
    },
    end(text = '') {
      if (text.length > MAX_BODY_BYTES) reject(networkFailure('BODY_TOO_LARGE'));
      else resolve({ ...head, text });
      return response;
    },
    destroy() {
      response.destroyed = true;
      response.emit('close');
      reject(networkFailure('UND_ERR_SOCKET'));
      return response;
    },
  });
  return { response: response as unknown as ServerResponse, answer };
}
