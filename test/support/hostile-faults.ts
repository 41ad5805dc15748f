/**
 * Everything that may happen to one refresh, as data. The name of a fault says what a person would see on the wire;
 * `commits` says whether the server used the refresh token up first, which the client cannot know.
 */

/** What a fault does to a refresh. */
export type FaultAct =
  /** Another answer than the server's. `headers` may depend on the server's clock. */
  | {
      kind: 'answer';
      status: number;
      headers?: (now: number) => Record<string, string>;
      body?: string | object;
    }
  /** The server's own answer, changed. Refusals stay as they are. */
  | { kind: 'change'; change: (body: Record<string, unknown>) => object; contentType?: string }
  /** A TCP reset. */
  | { kind: 'reset' }
  /** Silence, until the server is told to go on. */
  | { kind: 'hold' }
  /** The head of the server's answer, then a byte of it now and then. */
  | { kind: 'drip' }
  /** The server's answer behind more padding than a client should read. */
  | { kind: 'flood' }
  /** Half of the server's answer under its full `content-length`, then the end of the connection. */
  | { kind: 'truncate' }
  /** The listener is closed. */
  | { kind: 'closed' }
  /** The metadata names a token endpoint that cannot be reached: an unknown host, or one without a good certificate. */
  | { kind: 'moved'; to: 'unknown host' | 'bad certificate' };

export interface FaultBehaviour {
  /** Whether the server acts on the refresh token before it fails. */
  commits: boolean;
  act: FaultAct;
}

/** `Retry-After` of the faults that have one: longer than the first backoff, so that it can be told from it. */
export const RETRY_AFTER_SECONDS = 120;

const PAGE = '<!doctype html><title>Blocked</title><h1>Access denied</h1>';
const HTML = () => ({ 'content-type': 'text/html' });

const before = (act: FaultAct): FaultBehaviour => ({ commits: false, act });
const after = (act: FaultAct): FaultBehaviour => ({ commits: true, act });

/** A page of a proxy with this status. */
const page = (status: number): FaultAct => ({ kind: 'answer', status, headers: HTML, body: PAGE });

/** An OAuth error, as RFC 6749 §5.2 spells it. */
const oauthError = (error: string, status = 400, description?: string): FaultBehaviour =>
  before({
    kind: 'answer',
    status,
    body: { error, ...(description === undefined ? {} : { error_description: description }) },
  });

/** The server's answer with these fields instead of its own; undefined takes a field out. */
const withFields = (fields: Record<string, unknown>, contentType?: string): FaultBehaviour =>
  after({
    kind: 'change',
    change: (body) => ({ ...body, ...fields }),
    ...(contentType === undefined ? {} : { contentType }),
  });

type BusyName<S extends number> =
  | `${S}`
  | `${S} with Retry-After in seconds`
  | `${S} with Retry-After as a date`;

/** "Later": bare, and with `Retry-After` in both of its forms (RFC 9110 §10.2.3). */
function busy<S extends number>(status: S): Record<BusyName<S>, FaultBehaviour> {
  const inSeconds = () => ({ 'retry-after': String(RETRY_AFTER_SECONDS) });
  const asDate = (now: number) => ({
    'retry-after': new Date(now + RETRY_AFTER_SECONDS * 1000).toUTCString(),
  });
  return {
    [`${status}`]: before({ kind: 'answer', status }),
    [`${status} with Retry-After in seconds`]: before({ kind: 'answer', status, headers: inSeconds }),
    [`${status} with Retry-After as a date`]: before({ kind: 'answer', status, headers: asDate }),
  } as Record<BusyName<S>, FaultBehaviour>;
}

/** Every fault by its name. */
export const FAULTS = {
  'connection refused': before({ kind: 'closed' }),
  'DNS failure': before({ kind: 'moved', to: 'unknown host' }),
  'TLS failure': before({ kind: 'moved', to: 'bad certificate' }),
  'reset before commit': before({ kind: 'reset' }),
  'reset after commit': after({ kind: 'reset' }),
  'no answer before the deadline': before({ kind: 'hold' }),
  'no answer before the deadline, committed': after({ kind: 'hold' }),
  'slow loris': after({ kind: 'drip' }),
  ...busy(408),
  ...busy(425),
  ...busy(429),
  ...busy(503),
  '500': before(page(500)),
  '500, committed': after(page(500)),
  '502': before(page(502)),
  '502, committed': after(page(502)),
  '504': before(page(504)),
  '504, committed': after(page(504)),
  server_error: oauthError('server_error', 500),
  temporarily_unavailable: oauthError('temporarily_unavailable', 503),
  '429 with the error invalid_client': oauthError('invalid_client', 429),
  '503 with the error invalid_client': oauthError('invalid_client', 503),
  '429 with the error invalid_request': oauthError('invalid_request', 429),
  'page of a firewall, 403': before(page(403)),
  'page of a captive portal, 200': before(page(200)),
  'redirect to a login page': before({
    kind: 'answer',
    status: 302,
    headers: () => ({ location: 'https://login.example.com/' }),
  }),
  'truncated JSON': after({ kind: 'truncate' }),
  'huge body': after({ kind: 'flood' }),
  'JSON as text/plain': withFields({}, 'text/plain'),
  'expires_in missing': withFields({ expires_in: undefined }),
  'expires_in 0': withFields({ expires_in: 0 }),
  'expires_in as text': withFields({ expires_in: '3600' }),
  'expires_in negative': withFields({ expires_in: -1 }),
  'token_type missing': withFields({ token_type: undefined }),
  'token_type in other case': withFields({ token_type: 'bEARER' }),
  'token_type DPoP': withFields({ token_type: 'DPoP' }),
  'scope shrunk': withFields({ scope: 'mcp:read' }),
  'a new pair with an error beside it': withFields({ error: 'invalid_request' }),
  'no refresh token returned': before({
    kind: 'answer',
    status: 200,
    body: { access_token: 'at-without-refresh-token', token_type: 'Bearer', expires_in: 3600 },
  }),
  invalid_grant: oauthError('invalid_grant'),
  'invalid_grant with 401 and a challenge': before({
    kind: 'answer',
    status: 401,
    headers: () => ({ 'www-authenticate': 'Basic realm="as", error="invalid_grant"' }),
    body: { error: 'invalid_grant' },
  }),
  'invalid_grant with 200': oauthError('invalid_grant', 200),
  'invalid_client with 400': oauthError('invalid_client', 400),
  'invalid_client with 401': oauthError('invalid_client', 401),
  'dead token called unauthorized_client': oauthError('unauthorized_client', 400, 'refresh_token is invalid'),
  'dead token called invalid_request': oauthError('invalid_request', 400, 'refresh_token is invalid'),
  'dead token called bad_refresh_token': oauthError('bad_refresh_token'),
  'dead token called bad_refresh_token, with 200': oauthError('bad_refresh_token', 200),
} satisfies Record<string, FaultBehaviour>;

export type FaultName = keyof typeof FAULTS;
