/**
 * One small real server that is MCP server and authorization server at once, and as odd as a test wants it. What it is
 * not told to do otherwise it does by the book and checks strictly: redirect URI, PKCE, one use of codes and refresh
 * tokens, client authentication in exactly one place.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createGrantStore, type GrantStore } from '../support/hostile-grants.ts';
import { type RawAnswer, type RawRequest, type RawServer, startRawServer } from '../support/raw-server.ts';
import { type KnownClient, readPresented } from './odd-clients.ts';
import { type Document, metadataOf } from './odd-documents.ts';

/** What is odd. Functions get the origin of the server, which nobody knows before it runs. */
export interface Oddities {
  /** `WWW-Authenticate` of the MCP endpoint; undefined: none. Default: names the metadata. */
  challenge?: ((url: string) => string | string[] | undefined) | undefined;
  /** Changes the metadata of the resource. */
  resource?: ((document: Document, url: string) => Document) | undefined;
  /** Changes the metadata of the authorization server. */
  metadata?: ((document: Document, url: string) => Document) | undefined;
  /** Fixed answers in place of what is by the book: by method and path, query included. */
  routes?: ((url: string) => Record<string, RawAnswer>) | undefined;
  /** What a registration is answered, or what it is made to be. Default: what was wanted, as it was wanted. */
  register?: ((wanted: Document) => { status: number; body: Document | string } | undefined) | undefined;
  /** Looks at a token request first. Undefined: by the book. */
  token?: ((form: URLSearchParams, request: RawRequest) => RawAnswer | undefined) | undefined;
  /** Changes what a token request is answered. */
  answer?: ((body: Document, form: URLSearchParams) => Document) | undefined;
  /** Clients known from the start. */
  clients?: KnownClient[];
  /** The one way clients must authenticate, whatever they were registered with. */
  demands?: string;
  /** Whether the two parts of HTTP Basic are decoded. Default true. */
  decodesBasic?: boolean;
  /** Takes requests without `resource` as well, for its own. */
  knowsResource?: boolean;
  /** How long after its use a refresh token is accepted once more. */
  graceMs?: number;
}

/** A request to the token endpoint. */
export interface TokenRequest {
  form: URLSearchParams;
  authorization: string | undefined;
}

export interface OddServer extends Pick<GrantStore, 'resourceOf' | 'family'> {
  /** Origin and issuer. */
  url: string;
  /** The MCP endpoint, and its resource unless `resource` says otherwise. */
  mcp: string;
  /** Every request seen, in order. */
  requests: RawRequest[];
  /** Bodies of registrations, in order. */
  registrations(): Document[];
  /** Token requests of a grant type, in order. */
  tokenRequests(grantType?: string): TokenRequest[];
  /** Goes where a login leads to, as a person who approves; the redirect back, not opened. */
  approve(authorizationUrl: string): Promise<string>;
  /** Knows the client no more. */
  forget(clientId: string): void;
  /** Makes it odd in another way from now on. */
  change(oddities: Oddities): void;
  close(): Promise<void>;
}

/** Starts it on loopback. */
export async function startOddServer(clock: { now(): number }, oddities: Oddities = {}): Promise<OddServer> {
  let odd = oddities;
  const grants = createGrantStore({
    ...{ clock, accessTokenSeconds: 3600, graceMs: oddities.graceMs ?? 0, rotate: true },
  });
  const clients = new Map((oddities.clients ?? []).map((client) => [client.id, client]));
  let registrations = 0;
  const codes = new Map<string, { clientId: string; redirectUri: string; challenge: string }>();
  const started: Promise<RawServer> = startRawServer(async (request) => {
    const { url } = await started;
    return odd.routes?.(url)[`${request.method} ${request.path}`] ?? byTheBook(request, url);
  });

  function byTheBook(request: RawRequest, url: string): RawAnswer {
    const { pathname, searchParams } = new URL(request.path, url);
    switch (`${request.method} ${pathname}`) {
      case 'POST /mcp':
        return enter(request, url);
      case 'GET /.well-known/oauth-protected-resource/mcp':
        return { status: 200, body: resourceDocument(url) };
      case 'GET /.well-known/oauth-authorization-server':
        return { status: 200, body: (odd.metadata ?? same)(metadataOf(url), url) };
      case 'POST /register':
        return register(JSON.parse(request.body) as Document);
      case 'GET /authorize':
        return authorize(searchParams, url);
      case 'POST /token': {
        const form = new URLSearchParams(request.body);
        return odd.token?.(form, request) ?? token(form, request, url);
      }
      default:
        return { status: 404, body: 'not found' };
    }
  }

  function resourceDocument(url: string): Document {
    const usual = { resource: `${url}/mcp`, authorization_servers: [url], scopes_supported: ['mcp:all'] };
    return (odd.resource ?? same)(usual, url);
  }

  function enter({ headers }: RawRequest, url: string): RawAnswer {
    if (grants.resourceOf((headers.authorization ?? '').replace(/^Bearer /, '')) !== undefined) {
      return { status: 200, body: { jsonrpc: '2.0', id: 1, result: {} } };
    }
    const at = `${url}/.well-known/oauth-protected-resource/mcp`;
    const challenge = odd.challenge ? odd.challenge(url) : `Bearer resource_metadata="${at}"`;
    return { status: 401, headers: challenge === undefined ? {} : { 'www-authenticate': challenge } };
  }

  function register(wanted: Document): RawAnswer {
    registrations += 1;
    const id = `client-${registrations}`;
    const { status, body } = odd.register?.(wanted) ?? { status: 201, body: asWanted(wanted) };
    if (status >= 300 || typeof body === 'string') return { status, body };
    const client: Document = { client_id: id, ...body };
    clients.set(String(client.client_id), {
      id: String(client.client_id),
      secret: typeof client.client_secret === 'string' ? client.client_secret || undefined : undefined,
      method: String(client.token_endpoint_auth_method ?? wanted.token_endpoint_auth_method),
      redirectUris: wanted.redirect_uris as string[],
    });
    return { status, body: client };
  }

  function authorize(query: URLSearchParams, url: string): RawAnswer {
    const value = (name: string) => query.get(name) ?? '';
    const client = clients.get(value('client_id'));
    if (!client?.redirectUris.includes(value('redirect_uri'))) {
      return { status: 400, body: 'unknown client or redirect URI' };
    }
    const back = new URL(value('redirect_uri'));
    back.searchParams.set('state', value('state'));
    if (metadataNow(url).authorization_response_iss_parameter_supported) back.searchParams.set('iss', url);
    const error = refusalOf(query, url);
    if (error !== undefined) {
      back.searchParams.set('error', error);
    } else {
      const code = randomBytes(12).toString('base64url');
      const challenge = value('code_challenge');
      codes.set(code, { clientId: client.id, redirectUri: value('redirect_uri'), challenge });
      back.searchParams.set('code', code);
    }
    return { status: 302, headers: { location: back.href } };
  }

  const metadataNow = (url: string) => (odd.metadata ?? same)(metadataOf(url), url);

  function isResource(given: string | null, url: string): boolean {
    return given === resourceDocument(url).resource || (given === null && odd.knowsResource === true);
  }

  function refusalOf(query: URLSearchParams, url: string): string | undefined {
    if (query.get('response_type') !== 'code') return 'unsupported_response_type';
    if (query.get('code_challenge_method') !== 'S256' || !query.get('code_challenge'))
      return 'invalid_request';
    return isResource(query.get('resource'), url) ? undefined : 'invalid_target';
  }

  function token(form: URLSearchParams, request: RawRequest, url: string): RawAnswer {
    const presented = readPresented(form, request.headers.authorization, odd.decodesBasic ?? true);
    const client = clients.get(presented.id);
    const method = odd.demands ?? client?.method;
    const secret = method === 'none' ? undefined : client?.secret;
    if (!client || presented.secret !== secret || presented.method !== method) {
      return { status: 401, body: { error: 'invalid_client' } };
    }
    if (!isResource(form.get('resource'), url)) return { status: 400, body: { error: 'invalid_target' } };
    const resource = `${url}/mcp`;
    if (form.get('grant_type') === 'refresh_token') {
      const { status, body } = grants.refresh(form.get('refresh_token') ?? '', client.id, resource);
      return { status, body: (odd.answer ?? same)(body, form) };
    }
    const code = codes.get(form.get('code') ?? '');
    codes.delete(form.get('code') ?? '');
    const verifier = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    const isGood =
      code?.clientId === client.id &&
      code.redirectUri === form.get('redirect_uri') &&
      code.challenge === verifier;
    if (!isGood) return { status: 400, body: { error: 'invalid_grant' } };
    const { status, body } = grants.begin({ clientId: client.id, resource, scope: 'mcp:all' });
    return { status, body: (odd.answer ?? same)(body, form) };
  }

  const server = await started;
  const to = (path: string) => server.requests.filter((each) => each.method === 'POST' && each.path === path);
  return {
    ...{ url: server.url, mcp: `${server.url}/mcp`, requests: server.requests },
    ...{ resourceOf: grants.resourceOf, family: grants.family },
    registrations: () => to('/register').map(({ body }) => JSON.parse(body) as Document),
    tokenRequests: (grantType) =>
      to('/token')
        .map(({ body, headers }) => ({
          form: new URLSearchParams(body),
          authorization: headers.authorization,
        }))
        .filter(({ form }) => grantType === undefined || form.get('grant_type') === grantType),
    async approve(authorizationUrl) {
      const response = await fetch(authorizationUrl, { redirect: 'manual' });
      const location = response.headers.get('location');
      if (location === null) throw new Error(`the login ended on a page: ${await response.text()}`);
      await response.body?.cancel();
      return location;
    },
    forget: (clientId) => void clients.delete(clientId),
    change: (oddities) => {
      odd = { ...odd, ...oddities };
    },
    close: () => server.close(),
  };
}

const same = (document: Document): Document => document;

/** A registration as it was wanted, with a secret where the wanted authentication needs one. */
const asWanted = (wanted: Document): Document =>
  String(wanted.token_endpoint_auth_method).startsWith('client_secret_')
    ? { ...wanted, client_secret: `odd-${randomBytes(6).toString('hex')}` }
    : wanted;
