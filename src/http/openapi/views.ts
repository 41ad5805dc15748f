/** What the routes answer with, property by property. A property that a view has and its schema lacks does not compile. */
import type { CheckView, ProbeView } from '../../broker/check.ts';
import type { ConnectionView } from '../../broker/connections.ts';
import type { LogoutView } from '../../broker/logout-one.ts';
import type { TokenView } from '../../broker/token-view.ts';
import type { BegunLoginView } from '../../broker/web-login.ts';
import type { WebLoginView } from '../../broker/web-login-status.ts';
import type { ConnectionState } from '../../core/connection.ts';
import type { CredentialKind } from '../../core/credential-kind.ts';
import type { ProcessMode } from '../../core/program.ts';
import type { RecoveryPolicy } from '../../core/recovery.ts';
import type { Transport } from '../../core/server-settings.ts';
import { instant, maybe, objectOf, oneNumberOf, oneOf, text, uri, whole, yesOrNo } from './schema.ts';

/** Of programs and clients; told to the operator alone. */
type OperatorsOwn = 'client_jwks' | 'command' | 'arguments' | 'directory' | 'environment';

const NAME = text('Name of the connection: a server, or a server and an account.', 'coda', 'notion@alice');

const STATE = oneOf<ConnectionState>('How it is doing.', {
  ok: 'fine',
  degraded: 'the token works, but refreshing fails',
  uncertain: 'the answer to a refresh was lost; it is asked again',
  login_required: 'somebody must sign in again',
  client_invalid: 'the server does not know our client any more',
  config_error: 'the server refuses what it is asked for',
  disabled: 'switched off',
});

const NEXT_STEP = text('The command that mends it. Absent: nothing is to be done.', 'broker login coda');

const EXPIRES_AT = instant('When the access token ends. Absent: nobody knows.');

const REFRESH_AFTER = instant('From then on, asking for the token gives a newer one.');

const SCOPE = text('Scope as granted, space separated. Absent: the server did not say.', 'mcp:all');

const ACCOUNT = text('Whose login it is, where the server tells.', 'alice@example.com');

const GENERATION = whole('Goes up by one each time the tokens change.', 7);

/** `GET /v1/connections/{name}`, and each of the list. */
export const CONNECTION_VIEW = objectOf<Omit<ConnectionView, OperatorsOwn>>(
  'A connection, without anything secret. What is unknown is left out; so are settings that are as with most servers.',
  {
    name: NAME,
    server: text('The server it is for, by name.', 'coda'),
    kind: oneOf<CredentialKind>('What it is made of.', {
      oauth: 'the login of a person',
      client_credentials: 'a machine’s own credentials',
      bearer: 'a token entered by hand',
      headers: 'headers entered by hand',
      identity: 'made from logins of users',
      none: 'no credential',
    }),
    url: maybe(uri('Where the server is. Absent: it is a program.', 'https://coda.io/apis/mcp')),
    resource: maybe(text('What tokens are asked for (RFC 8707).', 'https://coda.io/apis/mcp')),
    account: maybe(ACCOUNT),
    state: STATE,
    code: maybe(text('Why it is not `ok`, in a word for programs.', 'invalid_grant')),
    cause: maybe(text('The same in words for people.', 'the server ended the login')),
    since: instant('Since when it has been in this state.'),
    next_attempt_at: maybe(instant('When the broker tries again by itself.')),
    next_step: maybe(NEXT_STEP),
    expires_at: maybe(EXPIRES_AT),
    refresh_after: maybe(REFRESH_AFTER),
    scope: maybe(SCOPE),
    refresh_token: yesOrNo('Whether there is a refresh token.'),
    generation: GENERATION,
    issuer: maybe(text('The authorization server.', 'https://as.example.com')),
    client_id: maybe(
      text('Who the broker is to the authorization server.', 'https://as.example.com/clients/1'),
    ),
    client_source: maybe(text('How the client came to be there.', 'registered')),
    client_secret_expires_at: maybe(instant('When the client secret ends.')),
    redirect_uri: maybe(text('Where browsers came back to.', 'http://127.0.0.1:43117/callback')),
    expected_account: maybe(text('Whom the login must belong to.', 'alice@example.com')),
    auth_method: maybe(text('How the client authenticates (RFC 7591 §2).', 'client_secret_basic')),
    recovery: maybe(
      oneOf<RecoveryPolicy>('What is done when the answer to a refresh was lost.', {
        retry: 'the same refresh token is presented again',
        'reuse-safe': 'the same, because this server does not replace it',
        'needs-login': 'it is never presented again',
      }),
    ),
    dead_token_errors: maybe(text('OAuth errors by which this server says `invalid_grant`.', 'token_dead')),
    pinned_issuer: maybe(text('The issuer an operator vouches for.', 'https://as.example.com')),
    pinned_resource: maybe(text('The resource an operator vouches for.', 'https://mcp.example.com')),
    resource_parameter: maybe(text('`omit`: requests do not name the resource.', 'omit')),
    refresh_scope: maybe(text('`send`: a refresh repeats the scope.', 'send')),
    basic_encoding: maybe(text('`raw`: client id and secret are not encoded in HTTP Basic.', 'raw')),
    pkce: maybe(text('`assumed`: PKCE is used although it is not announced.', 'assumed')),
    requested_scope: maybe(text('Scope that an operator chose.', 'mcp:all')),
    authorization_parameters: maybe(
      text('Further parameters of the authorization request.', 'access_type=offline'),
    ),
    ended_login_texts: maybe(text('What a tool’s error says when the login has ended.', 'session expired')),
    network: maybe(text('`private`: its URLs may lead into the private network.', 'private')),
    grant: maybe(text('How a machine gets its tokens.', 'client credentials')),
    transport: maybe(
      oneOf<Transport>('How MCP is spoken with it.', {
        http: 'Streamable HTTP',
        sse: 'the transport before it',
        stdio: 'a program on the machine of the broker',
      }),
    ),
    processes: maybe(
      oneOf<ProcessMode>('Of a program: how many run.', {
        session: 'one for each session of an agent',
        shared: 'one for all',
      }),
    ),
    idle_limit_seconds: maybe(
      whole('Seconds the server keeps a refresh token that nobody uses. Absent: nobody said.', 2_592_000),
    ),
    idle_end_seconds: maybe(whole('Of a program: idle for so long, it is ended. Seconds.', 600)),
    created_at: instant('When it was first connected.'),
    last_refreshed_at: instant('When the current tokens came.'),
    last_used_at: maybe(instant('When an agent last used it.')),
  },
);

/** `/v1/connections/{name}/token`. */
export const TOKEN_VIEW = objectOf<TokenView>('An access token, with what is known about it.', {
  access_token: text('To be sent to the server. Secret.', '<access token>'),
  token_type: { type: 'string', const: 'Bearer', description: 'How it is sent (RFC 6750).' },
  expires_in: maybe(whole('Seconds it lives still. Absent: the server did not say.', 3412)),
  expires_at: maybe(EXPIRES_AT),
  refresh_after: maybe(REFRESH_AFTER),
  scope: maybe(SCOPE),
  resource: text('What it is for (RFC 8707). Empty: the server named nothing.', 'https://coda.io/apis/mcp'),
  connection: NAME,
  account: maybe(ACCOUNT),
  generation: whole('To be named as `rejected_generation` when the server refuses this token.', 7),
  warnings: maybe({
    type: 'array',
    minItems: 1,
    items: text('In words for people.', 'degraded: the provider is down; run: broker refresh coda'),
    description: 'What is wrong although the token works.',
  }),
});

/** `POST /v1/connections/{name}/check`. */
export const CHECK_VIEW = objectOf<CheckView>('What `broker check` finds.', {
  connection: NAME,
  state: STATE,
  exit_code: oneNumberOf<CheckView['exit_code']>('What `broker check` would exit with.', {
    0: 'fine',
    1: 'needs attention soon',
    2: 'somebody must act',
    3: 'neither vault nor daemon could be asked; only for the command line',
    75: 'the provider is down',
  }),
  message: text('The finding in one line.', 'ok', 'the client secret ends in 12 days'),
  next_step: maybe(NEXT_STEP),
  code: maybe(text('Machine word for why it is not well. Absent: it is.', 'invalid_grant')),
  cause: maybe(text('The same for people.', 'the server ended the login')),
  next_attempt_at: maybe(instant('When it is tried again. Absent: no attempt is planned.')),
  expires_at: maybe(EXPIRES_AT),
  last_refreshed_at: maybe(instant('When the present tokens came. Absent: they were entered by hand.')),
  refresh_token_age: maybe(
    whole('Seconds since the present refresh token was received. Absent: there is none.', 432_000),
  ),
  refresh_token_idle_limit: maybe(
    whole(
      'Seconds the server keeps one that nobody uses, as an operator said. Absent: nobody did.',
      2_592_000,
    ),
  ),
  refresh_token_expires_at: maybe(instant('When the refresh token ends. Absent: the server did not say.')),
  client_secret_expires_at: maybe(
    instant('When the secret of the client ends. Absent: it has none, or never.'),
  ),
  last_error: maybe(
    objectOf<NonNullable<CheckView['last_error']>>('What went wrong last, also when all is well again.', {
      code: text('Machine word.', 'http_503'),
      at: instant('When.'),
      cause: maybe(text('The same for people.', 'the server could not be asked (http_503)')),
    }),
  ),
  probe: maybe(
    objectOf<ProbeView>('What the server made of the credential. Absent: it was not called.', {
      ok: yesOrNo('Whether it took it.'),
      status: maybe(whole('HTTP status. Absent: no answer came, or it is a program.', 200)),
      message: text('In one line.', 'coda 1.0 takes the credential (200)'),
    }),
  ),
});

/** `DELETE /v1/connections/{name}`. */
export const LOGOUT_VIEW = objectOf<LogoutView>('What was done to disconnect. Here everything is erased.', {
  connection: NAME,
  revocation: oneOf<LogoutView['revocation']>('What the server did with the tokens (RFC 7009).', {
    revoked: 'it takes them no more',
    failed: 'it may still take them',
    unsupported: 'it offers no revocation',
    by_hand: 'the credential was entered by hand, and only its vendor can end it',
    nothing: 'there was no token',
  }),
  registration_deleted: maybe(
    yesOrNo(
      'Whether our registration was deleted (RFC 7592). Absent: others use it, or it cannot be deleted.',
    ),
  ),
  gone: maybe({
    type: 'array',
    items: NAME,
    description: 'Of a server of identities: the connections that are gone with it.',
  }),
});

const LOGIN_ID = text(
  'Names this login to the routes below `/v1/logins`.',
  '6f0e3c1a-0000-4000-8000-000000000001',
);

const LINK_ENDS = instant('When the link ends.');

/** `POST /v1/logins`. */
export const BEGUN_LOGIN_VIEW = objectOf<BegunLoginView>('A login that waits for its person.', {
  id: LOGIN_ID,
  authorization_url: uri(
    'Where the person must go. Good for this one login, and told only here.',
    'https://as.example.com/authorize?client_id=broker',
  ),
  expires_at: LINK_ENDS,
});

/** `GET /v1/logins/{id}`, and each of the list. */
export const LOGIN_VIEW = objectOf<WebLoginView>('How a login stands.', {
  id: LOGIN_ID,
  status: oneOf<WebLoginView['status']>('How far it has come.', {
    pending: 'its link waits',
    connected: 'done',
    failed: 'see `error`',
    expired: 'nobody came in time',
    cancelled: 'its link was taken back',
  }),
  connection: NAME,
  account: maybe(ACCOUNT),
  error: maybe(
    objectOf<NonNullable<WebLoginView['error']>>('Why it failed.', {
      code: text('A code of docs/errors.md.', 'login_denied'),
      message: text('What happened, in words for people.', 'the login was refused at the server'),
    }),
  ),
  expires_at: LINK_ENDS,
});
