/** `/v1/connections`: tokens, headers, and what an agent may use. */
import { CheckBody, TokenBody, TokenQuery } from '../connections.ts';
import { json, jsonBody, type Operation, type Parameter, type Paths, WITH_AGENT_KEY } from './parts.ts';
import { answers, KEYED, OF_CONNECTION, OF_REFRESH } from './problems.ts';
import { type AnySchema, requestSchema } from './schema.ts';

/** Which connection is meant. */
export const NAME_PARAMETER: Parameter = {
  name: 'name',
  in: 'path',
  required: true,
  description: 'Name of the connection. `@` may be written as `%40`.',
  schema: {
    type: 'string',
    pattern: '^[a-z0-9][a-z0-9._-]{0,62}(@[A-Za-z0-9._+-]{1,64})?$',
    description: 'A server, perhaps with an account.',
    examples: ['coda', 'notion@alice'],
  },
};

const MIN_TTL = {
  description: 'Seconds the token should live at least; clamped to half its lifetime.',
  examples: [60],
};

const TOKEN_QUERY = parametersOf(
  requestSchema(TokenQuery, 'What the token must be like.', { min_ttl: MIN_TTL }),
);

const TOKEN_BODY = requestSchema(TokenBody, 'What the token must be like. Absent: any that lives will do.', {
  min_ttl: MIN_TTL,
  rejected_generation: {
    description:
      'Generation of a token the server refused. It is refreshed only if it is still the current one.',
    examples: [7],
  },
});

const CHECK_BODY = requestSchema(CheckBody, 'How thoroughly to look. Absent: without asking anybody.', {
  refresh: { description: 'Spends one refresh to prove that it works. Default false.', examples: [false] },
  probe: { description: 'Calls the server as that connection. Default false.', examples: [true] },
  warn_within: {
    description: 'Ends nearer than this are warned of, in seconds. Default 14 days.',
    examples: [1_209_600],
  },
});

const TOKEN: AnySchema = { $ref: '#/components/schemas/Token' };
const CONNECTION: AnySchema = { $ref: '#/components/schemas/Connection' };

/** What these routes have in common. */
const shared = { tags: ['Connections'], security: WITH_AGENT_KEY } satisfies Partial<Operation>;

/** The routes below `/v1/connections`. */
export const CONNECTION_PATHS: Paths = {
  '/v1/connections': {
    get: {
      operationId: 'listConnections',
      ...shared,
      summary: 'List the connections this agent may use',
      description: 'By name. Never a secret.',
      responses: answers(
        {
          200: json('The connections.', {
            type: 'object',
            description: 'All this agent may see.',
            properties: {
              connections: { type: 'array', items: CONNECTION, description: 'By name.' },
            },
            required: ['connections'],
            additionalProperties: false,
          }),
        },
        KEYED,
      ),
    },
  },
  '/v1/connections/{name}': {
    get: {
      operationId: 'showConnection',
      ...shared,
      summary: 'Show one connection',
      description: 'State, ends, scope and next step. Never a secret.',
      parameters: [NAME_PARAMETER],
      responses: answers({ 200: json('The connection.', CONNECTION) }, OF_CONNECTION),
    },
    delete: {
      operationId: 'deleteConnection',
      ...shared,
      summary: 'Disconnect',
      description:
        'Revokes upstream, takes our registration back when nobody else needs it, and erases. For agents with the admin right.',
      parameters: [NAME_PARAMETER],
      responses: answers({ 200: json('What was done.', { $ref: '#/components/schemas/Logout' }) }, [
        ...OF_CONNECTION,
        'upstream_unavailable',
      ]),
    },
  },
  '/v1/connections/{name}/token': {
    get: {
      operationId: 'getToken',
      ...shared,
      summary: 'Get an access token that works',
      description: 'Refreshed if need be. For kinds without a bearer token ask for the headers.',
      parameters: [NAME_PARAMETER, ...TOKEN_QUERY],
      responses: answers({ 200: json('The token.', TOKEN) }, OF_REFRESH),
    },
    post: {
      operationId: 'getTokenAfterRejection',
      ...shared,
      summary: 'Get another access token than the one the server refused',
      description:
        'If the rejected generation is the current one, it is refreshed; if not, the newer token is the answer. A token that is refused within seconds of its refresh gets `rate_limited`.',
      parameters: [NAME_PARAMETER],
      requestBody: jsonBody(TOKEN_BODY, { required: false }),
      responses: answers({ 200: json('The token.', TOKEN) }, OF_REFRESH, { hasBody: true }),
    },
  },
  '/v1/connections/{name}/headers': {
    get: {
      operationId: 'getHeaders',
      ...shared,
      summary: 'Get the headers to send',
      description: 'For every kind of credential, with a token refreshed if need be.',
      parameters: [NAME_PARAMETER, ...TOKEN_QUERY],
      responses: answers(
        {
          200: json('Header names to values.', {
            type: 'object',
            description: 'To be sent to the server as they are. Secret. Empty: it wants none.',
            additionalProperties: { type: 'string', description: 'Value of the header.' },
            examples: [{ Authorization: 'Bearer <access token>' }],
          }),
        },
        OF_REFRESH,
      ),
    },
  },
  '/v1/connections/{name}/check': {
    post: {
      operationId: 'checkConnection',
      ...shared,
      summary: 'Check one connection',
      description: 'What `broker check` shows: what is wrong now or soon, and what mends it.',
      parameters: [NAME_PARAMETER],
      requestBody: jsonBody(CHECK_BODY, { required: false }),
      responses: answers({ 200: json('The finding.', { $ref: '#/components/schemas/Check' }) }, OF_REFRESH, {
        hasBody: true,
      }),
    },
  },
};

/** A query, one parameter for each field. */
function parametersOf({ properties = {}, required = [] }: ReturnType<typeof requestSchema>): Parameter[] {
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    description: ('description' in schema && schema.description) || '',
    schema,
  }));
}
