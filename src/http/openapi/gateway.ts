/**
 * `/mcp/{name}`: the gateway. What a server answers passes as it comes, so that only the gateway's own refusals can be
 * described in full.
 */
import { NAME_PARAMETER } from './connections.ts';
import {
  type Operation,
  type Parameter,
  type PathItem,
  type Paths,
  type Response,
  SAFE_HEADERS,
  WITH_AGENT_KEY,
} from './parts.ts';
import { KEYED, problemResponses, RETRY_AFTER } from './problems.ts';
import { type AnySchema, maybe, type ObjectSchema, objectOf, text, whole } from './schema.ts';

/** What the gateway refuses with, as programs are told it. */
const CODES = [
  ...['bad_request', 'parse_error', 'header_mismatch', 'forbidden', 'session_unknown', 'not_found'],
  ...['login_required', 'client_invalid', 'config_error', 'rate_limited', 'upstream_unavailable'],
  ...['save_failed', 'vault_locked', 'vault_unavailable', 'cancelled', 'login_renewed', 'internal'],
];

interface RefusalView {
  jsonrpc: '2.0';
  id: string | number | null;
  error: ErrorView;
}

interface ErrorView {
  code: number;
  message: string;
  data: { code: string; next_step?: string; retry_after?: number };
}

const REQUEST_ID: AnySchema = {
  description: 'Of the request that is refused; null: it had none.',
  type: ['string', 'number', 'null'],
};

/** A refusal of the gateway itself. */
export const GATEWAY_ERROR: ObjectSchema = objectOf<RefusalView>(
  'A refusal, as JSON-RPC 2.0 has it (§5.1).',
  {
    jsonrpc: { type: 'string', const: '2.0', description: 'The version of JSON-RPC.' },
    id: REQUEST_ID,
    error: objectOf<ErrorView>('Why.', {
      code: { type: 'integer', description: 'A number of JSON-RPC or MCP.', examples: [-32603] },
      message: text('For people and models, the next step included.'),
      data: objectOf<ErrorView['data']>('For programs.', {
        code: { type: 'string', enum: CODES, description: 'A code of docs/errors.md.' },
        next_step: maybe(text('What to do next, usually the exact command.', 'broker login coda')),
        retry_after: maybe(whole('Seconds until another attempt can make sense.', 5)),
      }),
    }),
  },
);

const ERROR: AnySchema = { $ref: '#/components/schemas/GatewayError' };

const MESSAGE: AnySchema = {
  type: 'object',
  description: 'A JSON-RPC 2.0 message of MCP.',
  properties: { jsonrpc: { type: 'string', const: '2.0', description: 'The version of JSON-RPC.' } },
  required: ['jsonrpc'],
  additionalProperties: true,
  examples: [{ jsonrpc: '2.0', id: 1, method: 'tools/list' }],
};

const MESSAGES: AnySchema = {
  description: 'One message, or a batch.',
  oneOf: [MESSAGE, { type: 'array', items: MESSAGE, description: 'A batch.' }],
};

const EVENTS: AnySchema = { type: 'string', description: 'Server-sent events, each a message.' };

const SERVERS_OWN: AnySchema = { description: 'What the server itself answers.' };

const HEADERS: Response['headers'] = {
  ...SAFE_HEADERS,
  'Mcp-Session-Id': {
    description: 'The session, as the server names it. It is of use to this agent alone.',
    required: false,
    schema: { type: 'string', description: 'Opaque.' },
  },
};

const SESSION: Parameter[] = [
  ['Mcp-Session-Id', 'The session, as the answer to `initialize` named it.'],
  ['MCP-Protocol-Version', 'The version of MCP that is spoken.'],
].map(([name = '', description = '']) => ({
  name,
  in: 'header',
  required: false,
  description,
  schema: { type: 'string', description: 'As MCP has it.' },
}));

const LAST_EVENT: Parameter = {
  name: 'Last-Event-ID',
  in: 'header',
  required: false,
  description: 'Where a stream that broke off goes on; with the session it belongs to.',
  schema: { type: 'string', description: 'As the stream named it.' },
};

const later: Response['headers'] = { ...HEADERS, 'Retry-After': { ...RETRY_AFTER, required: false } };

/** A refusal of the gateway, of the door in front of it, or of the server, which are told apart by the body. */
function refused(description: string, headers: Response['headers'] = HEADERS): Response {
  return {
    description,
    headers,
    content: {
      'application/json': {
        schema: { description: 'Of the gateway, or of the server.', anyOf: [ERROR, SERVERS_OWN] },
      },
    },
  };
}

/** Refusals of the door: as everywhere else, before the gateway looks. */
const AT_THE_DOOR = problemResponses([...KEYED, 'bad_request'], false);

const REFUSALS: Operation['responses'] = withDoor({
  400: refused('The body, or a header, makes no sense, or headers and body disagree.'),
  403: refused('The agent may not do that, or the login lacks a scope.'),
  404: refused('No such connection for this agent, or no such session.'),
  409: refused('An operator must act; `data.next_step` is the command.'),
  413: refused('The body is larger than this agent may send.'),
  415: refused('The body is not JSON in UTF-8.'),
  429: refused('Too many calls, or too many at once.', later),
  500: refused('A fault of the broker.'),
  502: refused('The server broke off in the middle.', later),
  503: refused('The server cannot be used at the moment.', later),
  504: refused('The server took too long.', later),
  default: {
    description: 'Any other answer of the server, as it comes.',
    headers: later,
    content: { '*/*': { schema: SERVERS_OWN } },
  },
});

/** The same statuses with what the door in front of the gateway answers. */
function withDoor(responses: Operation['responses']): Operation['responses'] {
  const both = Object.entries(responses).map(([status, response]) => {
    const atTheDoor = AT_THE_DOOR[status];
    if (!atTheDoor) return [status, response] as const;
    const content = { ...atTheDoor.content, ...response.content };
    return [status, { ...response, content }] as const;
  });
  const { 401: unauthenticated } = AT_THE_DOOR;
  return { ...Object.fromEntries(both), ...(unauthenticated && { 401: unauthenticated }) };
}

const shared = { tags: ['Gateway'], security: WITH_AGENT_KEY } satisfies Partial<Operation>;

const ACCEPTED: Response = { description: 'Taken; there is nothing to answer.', headers: HEADERS };

const ITEM: PathItem = {
  post: {
    operationId: 'sendToServer',
    ...shared,
    summary: 'Send messages to the MCP server',
    description:
      'MCP Streamable HTTP. The credential is put in, and what the agent may not use is refused or left out of lists.',
    parameters: [NAME_PARAMETER, ...SESSION],
    requestBody: {
      description: 'One message, or a batch. Duplicate keys are refused.',
      required: true,
      content: { 'application/json': { schema: MESSAGES } },
    },
    responses: {
      200: {
        description: 'The answer of the server.',
        headers: HEADERS,
        content: { 'application/json': { schema: MESSAGES }, 'text/event-stream': { schema: EVENTS } },
      },
      202: ACCEPTED,
      ...REFUSALS,
    },
  },
  get: {
    operationId: 'listenToServer',
    ...shared,
    summary: 'Open the stream of the MCP server',
    description: 'What the server says without being asked, until either side ends it.',
    parameters: [NAME_PARAMETER, ...SESSION, LAST_EVENT],
    responses: {
      200: {
        description: 'The stream.',
        headers: HEADERS,
        content: { 'text/event-stream': { schema: EVENTS } },
      },
      ...REFUSALS,
    },
  },
  delete: {
    operationId: 'endSession',
    ...shared,
    summary: 'End the session at the MCP server',
    description: 'The server decides whether it can be ended so; 405: it cannot.',
    parameters: [NAME_PARAMETER, ...SESSION],
    responses: {
      200: { description: 'Ended.', headers: HEADERS, content: { '*/*': { schema: SERVERS_OWN } } },
      202: ACCEPTED,
      204: { description: 'Ended.', headers: HEADERS },
      ...REFUSALS,
    },
  },
};

/** The routes of the gateway. */
export const GATEWAY_PATHS: Paths = { '/mcp/{name}': ITEM };
