import { type CryptoKey, exportJWK, generateKeyPair } from 'jose';
import type { ClientMetadata, Configuration, default as OidcProvider } from 'oidc-provider';
import { devicePages } from './consent-page.ts';
import type { MemoryStore } from './memory-adapter.ts';
import { errors, Provider } from './provider-library.ts';
import { parseJson, type ReadRequest } from './recorded-request.ts';

/** How the provider behaves; everything is optional. */
export interface ProviderOptions {
  /** Lifetime of access tokens, asked for each one when it is a function. Default 3600. */
  accessTokenSeconds?: number | (() => number);
  /** Lifetime of ID tokens, asked for each one when it is a function. Default 3600. */
  idTokenSeconds?: number | (() => number);
  /** Default `opaque`. A `jwt` stays valid until it expires, whatever is revoked. */
  accessTokenFormat?: 'opaque' | 'jwt';
  /** A new refresh token with every refresh; using an old one again revokes the whole family. Default true. */
  rotateRefreshTokens?: boolean;
  /** Refresh tokens even for logins that did not ask for `offline_access`. Default false. */
  alwaysIssueRefreshToken?: boolean;
  /**
   * Whether a refresh without `resource` stays with the resource of the login. Default false, as in oidc-provider:
   * then such a refresh may quietly answer a token for nobody in particular.
   */
  useGrantedResource?: boolean;
  /** Default true. False: registration wants an initial access token, which nobody has. */
  openRegistration?: boolean;
  /** RFC 9207: `iss` in authorization answers, and its announcement in the metadata. Default true. */
  advertiseIss?: boolean;
  /** Offers the device flow (RFC 8628), to clients registered for its grant. Default false. */
  device?: boolean;
  /** Tells who somebody is at the userinfo endpoint alone; the ID token has only `sub`. Default: both. */
  namesAtUserinfo?: boolean;
  /** Gives machines tokens for their own credentials (RFC 6749 §4.4), to clients with that grant. Default false. */
  clientCredentials?: boolean;
  /** Takes authorization requests only beforehand (RFC 9126). Default false. */
  pushedOnly?: boolean;
  /** Takes client metadata documents, read in this way. Default: it does not. */
  readDocument?: (url: string) => Promise<Response>;
  /**
   * Clients known from the start. `grant_types` defaults to authorization code and refresh token, and to the device
   * code where that is offered.
   */
  clients?: ClientMetadata[];
  /** Changes the published metadata: gets the real document, returns the one to serve. */
  metadata?: (document: Record<string, unknown>) => Record<string, unknown>;
}

/** Each resource (RFC 8707) that tokens may be asked for, with the scope it knows. */
export type Resources = Map<string, { scope: string }>;

export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

const TWO_WEEKS_SECONDS = 14 * 24 * 3600;
const AN_HOUR_SECONDS = 3600;
const TEN_MINUTES_SECONDS = 600;
const A_MINUTE_SECONDS = 60;

/** One key for all servers of this process: making an RSA key is the only slow step of a start. */
const signingKey = generateKeyPair('RS256', { extractable: true });

/** The key that verifies ID tokens and JWT access tokens of every server in this process. */
export async function verificationKey(): Promise<CryptoKey> {
  return (await signingKey).publicKey;
}

/** Creates the provider for `issuer`. `resources` may grow while it runs. */
export async function createProvider(
  issuer: string,
  store: MemoryStore,
  resources: Resources,
  options: ProviderOptions,
): Promise<OidcProvider> {
  const privateJwk = {
    ...(await exportJWK((await signingKey).privateKey)),
    alg: 'RS256',
    use: 'sig',
    kid: 'test',
  };
  const provider = new Provider(issuer, {
    ...fixedConfiguration(options),
    adapter: store.adapter,
    jwks: { keys: [privateJwk as { kty: string }] },
    features: {
      ...fixedFeatures(options),
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => options.useGrantedResource ?? false,
        getResourceServerInfo(_ctx, resource) {
          const known = resources.get(resource);
          if (!known) throw new errors.InvalidTarget();
          const accessTokenFormat = options.accessTokenFormat ?? 'opaque';
          return {
            scope: known.scope,
            audience: resource,
            accessTokenFormat,
            jwt: { sign: { alg: 'RS256' } },
          };
        },
      },
    },
  });
  provider.use(async (ctx, next) => {
    await next();
    const isMetadata = ctx.path.startsWith('/.well-known/') && ctx.status === 200;
    if (isMetadata) ctx.body = publishedMetadata(ctx.body, resources, options);
    const location = ctx.response.get('location');
    if (location && options.advertiseIss === false) ctx.set('location', withoutIss(location));
  });
  return provider;
}

/**
 * Makes the provider as forgiving as most servers are, where it is stricter than the standards ask for:
 * a request to sign in without `scope` gets the whole scope of its resource (RFC 6749 §3.3), and a
 * registration may name a `scope` that only a resource knows (RFC 7591 §3.2.1 lets a server drop it).
 */
export function forgive(read: ReadRequest, resources: Resources): ReadRequest {
  const url = new URL(read.url, 'http://127.0.0.1');
  if (url.pathname === '/reg' && read.method === 'POST') {
    const metadata = parseJson(read.body);
    if (typeof metadata !== 'object' || metadata === null || !('scope' in metadata)) return read;
    const { scope: _, ...rest } = metadata;
    return { ...read, body: Buffer.from(JSON.stringify(rest)) };
  }
  if (url.pathname === '/device/auth') {
    const form = new URLSearchParams(read.body.toString());
    const known = resources.get(form.get('resource') ?? '');
    if (form.has('scope') || !known) return read;
    form.set('scope', known.scope);
    return { ...read, body: Buffer.from(form.toString()) };
  }
  const known = resources.get(url.searchParams.get('resource') ?? '');
  if (url.pathname !== '/auth' || url.searchParams.has('scope') || !known) return read;
  url.searchParams.set('scope', known.scope);
  return { ...read, url: `${url.pathname}${url.search}` };
}

/** Moves the end of a device code into the past. */
export async function expireDeviceCode(provider: OidcProvider, userCode: string): Promise<void> {
  const code = await provider.DeviceCode.findByUserCode(userCode.replace(/\W/g, ''));
  if (!code) throw new Error(`no device waits for ${userCode}`);
  code.exp = Math.floor(Date.now() / 1000) - 1;
  await code.save();
}

/** Lifetimes and helpers are all given, because the provider prints a notice for each default it falls back to. */
function fixedConfiguration(options: ProviderOptions): Configuration {
  return {
    clients: (options.clients ?? []).map((client) => ({
      grant_types: ['authorization_code', 'refresh_token', ...(options.device ? [DEVICE_GRANT] : [])],
      ...client,
    })),
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    clientBasedCORS: () => false,
    conformIdTokenClaims: options.namesAtUserinfo === true,
    // Operators close their browser; what they granted must outlive the browser's session.
    expiresWithSession: () => false,
    findAccount: (_ctx, accountId) => ({
      accountId,
      claims: () => ({ sub: accountId, email: `${accountId}@example.com`, email_verified: true }),
    }),
    ...(options.readDocument
      ? { fetch: (url) => options.readDocument?.(String(url)) as Promise<Response> }
      : {}),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    ...(options.alwaysIssueRefreshToken
      ? { issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token') }
      : {}),
    renderError(ctx, out) {
      ctx.type = 'text/plain';
      ctx.body = `${out.error}: ${out.error_description ?? ''}`;
    },
    rotateRefreshToken: options.rotateRefreshTokens ?? true,
    ttl: {
      AccessToken: options.accessTokenSeconds ?? AN_HOUR_SECONDS,
      AuthorizationCode: A_MINUTE_SECONDS,
      ClientCredentials: options.accessTokenSeconds ?? AN_HOUR_SECONDS,
      DeviceCode: TEN_MINUTES_SECONDS,
      IdToken: options.idTokenSeconds ?? AN_HOUR_SECONDS,
      Interaction: AN_HOUR_SECONDS,
      Grant: TWO_WEEKS_SECONDS,
      RefreshToken: TWO_WEEKS_SECONDS,
      Session: TWO_WEEKS_SECONDS,
    },
  };
}

function fixedFeatures(options: ProviderOptions): NonNullable<Configuration['features']> {
  return {
    devInteractions: { enabled: false },
    clientIdMetadataDocument: { enabled: options.readDocument !== undefined, ack: 'draft-02' },
    pushedAuthorizationRequests: {
      enabled: true,
      requirePushedAuthorizationRequests: options.pushedOnly === true,
    },
    clientCredentials: { enabled: options.clientCredentials === true },
    deviceFlow: { enabled: options.device === true, ...devicePages },
    registration: { enabled: true, initialAccessToken: options.openRegistration === false },
    registrationManagement: { enabled: true },
    revocation: {
      enabled: true,
      allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
    },
    rpInitiatedLogout: { enabled: false },
  };
}

/** The provider's document with the scopes of resources that came later, and the wishes of `options`. */
function publishedMetadata(document: unknown, resources: Resources, options: ProviderOptions): unknown {
  const { metadata = (same) => same, advertiseIss = true } = options;
  const published = { ...(document as Record<string, unknown>) };
  const scopes = [...resources.values()].flatMap(({ scope }) => scope.split(' ').filter(Boolean));
  published.scopes_supported = [...new Set([...(published.scopes_supported as string[]), ...scopes])];
  if (!advertiseIss) delete published.authorization_response_iss_parameter_supported;
  return metadata(published);
}

function withoutIss(location: string): string {
  const url = URL.parse(location);
  if (!url?.searchParams.has('iss')) return location;
  url.searchParams.delete('iss');
  return url.href;
}
