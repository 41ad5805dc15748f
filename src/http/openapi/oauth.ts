/** `/oauth/token` and its metadata: tokens for stock OAuth clients. */
import type { TokenView } from '../../broker/token-view.ts';
import type { OAuthRefusal } from '../client-request.ts';
import type { OAuthMetadata } from '../oauth-token.ts';
import { FOR_ANYBODY, type Header, json, type Paths, type Response, SAFE_HEADERS } from './parts.ts';
import { ALWAYS, answers, RETRY_AFTER } from './problems.ts';
import { maybe, type ObjectSchema, objectOf, text, uri, whole } from './schema.ts';

/** What is answered of a token here. */
type GrantedView = Pick<TokenView, 'access_token' | 'token_type' | 'expires_in' | 'scope'>;

/** A granted token. */
export const GRANTED: ObjectSchema = objectOf<GrantedView>('An access token (RFC 6749 §5.1).', {
  access_token: text('To be sent to the server. Secret.', '<access token>'),
  token_type: { type: 'string', const: 'Bearer', description: 'How it is sent (RFC 6750).' },
  expires_in: maybe(whole('Seconds it lives still. Absent: the server did not say.', 3412)),
  scope: maybe(text('Scope as granted, space separated. Absent: the server did not say.', 'mcp:all')),
});

interface RefusalView {
  error: string;
  error_description: string;
}

type OAuthError = OAuthRefusal['error'];

const FORM: ObjectSchema = {
  type: 'object',
  description:
    'A token request (RFC 6749 §4.4.2). Other parameters are ignored; none may come twice but `resource`.',
  properties: {
    grant_type: { type: 'string', const: 'client_credentials', description: 'The only grant there is.' },
    resource: {
      description:
        'The `resource` of the connection, to the letter (RFC 8707). A slash at the end may be there or not.',
      oneOf: [
        text('Once.', 'https://coda.io/apis/mcp'),
        { type: 'array', items: text('Each time.'), description: 'Several times the same.' },
      ],
    },
    scope: text('`connection:NAME` chooses by name. Other words are ignored.', 'connection:coda'),
    client_id: text('Name of the agent, where it is not sent by Basic.', 'docs-bot'),
    client_secret: text('Key of the agent, where it is not sent by Basic.', 'mtb_…'),
  },
  required: ['grant_type'],
  additionalProperties: true,
};

const BASIC_CHALLENGE: Header = {
  description: 'Asks for name and key by Basic. Not sent to clients that asked in the body.',
  required: false,
  schema: {
    type: 'string',
    const: 'Basic realm="mcp-token-broker", charset="UTF-8"',
    description: 'RFC 7617 §2.',
  },
};

const PERHAPS_LATER: Response['headers'] = { 'Retry-After': { ...RETRY_AFTER, required: false } };

/** An answer of RFC 6749 §5.2. */
function refusal(description: string, errors: OAuthError[], headers: Response['headers'] = {}): Response {
  return json(
    description,
    objectOf<RefusalView>('A refusal (RFC 6749 §5.2).', {
      error: { type: 'string', enum: errors, description: 'What programs go by.' },
      error_description: {
        type: 'string',
        pattern: '^[\\x20-\\x21\\x23-\\x5b\\x5d-\\x7e]+$',
        description: 'What happened, and what to do next.',
        examples: ['coda must be signed in again; next step: broker login coda'],
      },
    }),
    headers,
  );
}

/** The fields of RFC 8414 §2 that are told here. */
export const METADATA: ObjectSchema = objectOf<OAuthMetadata>(
  'Metadata of the token endpoint (RFC 8414 §2).',
  {
    issuer: uri('Compared by clients to the letter.', 'http://127.0.0.1:8787/oauth'),
    token_endpoint: uri('Where tokens are given out.', 'http://127.0.0.1:8787/oauth/token'),
    grant_types_supported: words('What can be granted.', 'client_credentials'),
    token_endpoint_auth_methods_supported: words(
      'How clients authenticate.',
      'client_secret_basic',
      'client_secret_post',
    ),
    authorization_endpoint: uri(
      'There because clients demand it. Nobody can sign in: it answers 400.',
      'http://127.0.0.1:8787/oauth/authorize',
    ),
    response_types_supported: { ...words('None.'), examples: [[]] },
  },
);

function words(description: string, ...examples: string[]) {
  return {
    type: 'array' as const,
    items: text('One of them.'),
    description,
    examples: [examples],
  };
}

const { 403: FOREIGN } = answers({}, ALWAYS);

/** The routes for OAuth clients. Nobody can do anything at `/oauth/authorize`, which is left out. */
export const OAUTH_PATHS: Paths = {
  '/oauth/token': {
    post: {
      operationId: 'grantToken',
      tags: ['OAuth'],
      security: [{ agentCredentials: [] }, {}],
      summary: 'Get a token as an OAuth client',
      description:
        'Client credentials (RFC 6749 §4.4): the agent’s name is the client id and its key the secret, by Basic or in the body, never both. Refusals are never `invalid_grant`: nobody signs in here.',
      requestBody: {
        description: 'A token request.',
        required: true,
        content: { 'application/x-www-form-urlencoded': { schema: FORM } },
      },
      responses: {
        200: json(
          'The token.',
          { $ref: '#/components/schemas/GrantedToken' },
          {
            Pragma: {
              description: 'RFC 6749 §5.1.',
              required: true,
              schema: { type: 'string', const: 'no-cache', description: 'Not to be stored.' },
            },
          },
        ),
        400: refusal('The request cannot be, or no one connection of this agent is meant.', [
          'invalid_request',
          'unsupported_grant_type',
          'invalid_target',
        ]),
        401: refusal('The key is unknown, revoked, expired, or another agent’s.', ['invalid_client'], {
          'WWW-Authenticate': BASIC_CHALLENGE,
        }),
        ...(FOREIGN && { 403: FOREIGN }),
        413: refusal('The body is too large.', ['invalid_request']),
        415: refusal('The body is not declared as a form.', ['invalid_request']),
        429: refusal('Too soon.', ['temporarily_unavailable'], PERHAPS_LATER),
        500: refusal('A fault of the broker.', ['server_error']),
        503: refusal('No token at the moment.', ['temporarily_unavailable'], PERHAPS_LATER),
      },
    },
  },
  '/.well-known/oauth-authorization-server/oauth': {
    get: {
      operationId: 'getOAuthMetadata',
      tags: ['OAuth'],
      security: FOR_ANYBODY,
      summary: 'Get the metadata of the token endpoint',
      description: 'RFC 8414. The issuer is the base URL of this daemon and `/oauth`.',
      responses: answers(
        {
          200: {
            ...json('The metadata.', { $ref: '#/components/schemas/OAuthMetadata' }),
            headers: SAFE_HEADERS,
          },
        },
        ALWAYS,
      ),
    },
  },
};
