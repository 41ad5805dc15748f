/** `/v1/logins` and where browsers come back: logins begun for somebody else. */
import { NewLogin } from '../logins.ts';
import {
  FOR_ANYBODY,
  json,
  jsonBody,
  type Operation,
  type Parameter,
  type Paths,
  SAFE_HEADERS,
  WITH_AGENT_KEY,
  words,
} from './parts.ts';
import { ALWAYS, answers, KEYED, OF_LOGIN } from './problems.ts';
import { type AnySchema, requestSchema, type StringSchema } from './schema.ts';

const LOGIN: AnySchema = { $ref: '#/components/schemas/Login' };

const ID_PARAMETER: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'The login, by the `id` that `POST /v1/logins` answered.',
  schema: { type: 'string', minLength: 1, description: 'Opaque.' },
};

const NEW_LOGIN = requestSchema(NewLogin, 'Whom to connect to what.', {
  server: {
    description: 'Name of a server that is known, a URL, or a preset.',
    examples: ['notion', 'https://mcp.example.com'],
  },
  name: {
    description: 'What a server by URL is to be called. Default: as in `broker login`.',
    examples: ['notion'],
  },
  account: {
    description: 'Makes the connection `server@account`: letters, digits and `._+-`, at most 64.',
    examples: ['alice'],
  },
  scope: {
    description: 'Asked for in this login alone, space separated. Default: what the server suggests.',
    examples: ['openid email'],
  },
  expected_account: {
    description: 'The login must belong to this identity, now and later.',
    examples: ['alice@example.com'],
  },
  reregister: {
    description: 'Passes over earlier registrations, for a server that has forgotten them.',
    examples: [false],
  },
});

/** Of routes for one login. */
const OF_ONE = [...KEYED, 'bad_request', 'not_found'] as const;

const shared = { tags: ['Logins'], security: WITH_AGENT_KEY } satisfies Partial<Operation>;

const PAGE: StringSchema = { type: 'string', description: 'A page that loads, runs and tells nothing.' };

const FROM_THE_PROVIDER = 'As the authorization server sends it (RFC 6749 §4.1.2, RFC 9207).';

/** The routes below `/v1/logins`, and the one for browsers. */
export const LOGIN_PATHS: Paths = {
  '/v1/logins': {
    get: {
      operationId: 'listLogins',
      ...shared,
      summary: 'List logins that wait or have ended',
      description:
        'Those that wait and those that ended within the hour, of connections the agent is allowed. For agents with the admin right.',
      responses: answers(
        {
          200: json('The logins.', {
            type: 'object',
            description: 'All this agent may know of.',
            properties: {
              logins: { type: 'array', items: LOGIN, description: 'Those first whose links end last.' },
            },
            required: ['logins'],
            additionalProperties: false,
          }),
        },
        KEYED,
      ),
    },
    post: {
      operationId: 'beginLogin',
      ...shared,
      summary: 'Begin a login for somebody else',
      description:
        'The answer is a link for that person’s browser. For agents with the admin right, and connections they are allowed.',
      requestBody: jsonBody(NEW_LOGIN, { required: true }),
      responses: answers(
        {
          201: json(
            'The link.',
            { $ref: '#/components/schemas/BegunLogin' },
            {
              Location: {
                description: 'Where to ask how it went.',
                required: true,
                schema: { type: 'string', pattern: '^/v1/logins/', description: 'Path on this daemon.' },
              },
            },
          ),
        },
        [...KEYED, ...OF_LOGIN, 'bad_request', 'not_found', 'config_error', 'upstream_unavailable'],
        { hasBody: true },
      ),
    },
  },
  '/v1/logins/{id}': {
    get: {
      operationId: 'showLogin',
      ...shared,
      summary: 'Ask how a login stands',
      description: 'Kept for an hour after its end. For agents with the admin right.',
      parameters: [ID_PARAMETER],
      responses: answers({ 200: json('How it stands.', LOGIN) }, OF_ONE),
    },
    delete: {
      operationId: 'cancelLogin',
      ...shared,
      summary: 'Cancel a login',
      description:
        'Its link ends. What is connected stays connected. For agents with the admin right. May be repeated.',
      parameters: [ID_PARAMETER],
      responses: answers({ 204: { description: 'Nothing more comes of the link.', headers: SAFE_HEADERS } }, [
        ...OF_ONE,
        'upstream_unavailable',
      ]),
    },
  },
  '/oauth/callback': {
    get: {
      operationId: 'finishLogin',
      tags: ['Logins'],
      security: FOR_ANYBODY,
      summary: 'Come back from a login',
      description:
        'For browsers, which the authorization server sends here; the `state` is the credential. Only a page opened as such is taken, not one that is part of another.',
      parameters: [
        ['state', 'The login it belongs to.'],
        ['code', 'What the login is redeemed with.'],
        ['iss', 'Who answers.'],
        ['error', 'Why there is no code.'],
        ['error_description', 'The same in words.'],
      ].map(([name = '', description = '']) => ({
        name,
        in: 'query' as const,
        required: false,
        description,
        schema: { type: 'string' as const, description: FROM_THE_PROVIDER },
      })),
      responses: answers(
        {
          200: words('Something was connected.', 'text/html', PAGE),
          400: words('Nothing was connected; the page says why.', 'text/html', PAGE),
          503: words('Nothing was used yet: the page may be loaded again.', 'text/html', PAGE),
        },
        ALWAYS,
      ),
    },
  },
};
