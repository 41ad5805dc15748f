/**
 * The JSON-RPC messages of MCP, as far as a gateway must understand them: what is asked for, of which tool, prompt or
 * resource, and which messages could be read in two ways. Those are refused: a server behind us may be laxer than we
 * are, and take `Method` for `method`.
 */
export type RequestId = string | number;

/** One message an agent sends. */
export type McpMessage =
  | { kind: 'request'; id: RequestId; method: string; params: Params }
  | { kind: 'notification'; method: string; params: Params }
  /** An answer to what the server asked: sampling, elicitation, roots. */
  | { kind: 'response' };

export type Params = Readonly<Record<string, unknown>>;

/** Why messages are refused: words to follow "the message". */
export class AmbiguousMessage extends Error {}

/** JSON-RPC batches are of the revision 2025-03-26; nobody needs long ones. */
const MAX_BATCH = 100;
const MAX_ID_LENGTH = 256;
const MAX_METHOD_LENGTH = 128;

/** All a message may have at its top. */
const MEMBERS = new Set(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);

/** Members of `params` that policy looks at, and that nothing may look like. */
const WATCHED_PARAMS = watched('name', 'uri', 'ref', 'arguments', 'notifications', 'cursor', '_meta');
const WATCHED_IN_REFERENCE = watched('type', 'name', 'uri');
const WATCHED_IN_FILTER = watched('resourceSubscriptions');

/** Names of members, and what lax readers take for them. */
interface Watched {
  names: ReadonlySet<string>;
  folded: ReadonlySet<string>;
}

function watched(...names: string[]): Watched {
  return { names: new Set(names), folded: new Set(names.map(fold)) };
}

/**
 * The messages of a body, one or a batch. Throws `AmbiguousMessage`.
 *
 * @param body parsed by `parseStrict`
 */
export function readMessages(body: unknown): McpMessage[] {
  if (!Array.isArray(body)) return [readMessage(body)];
  if (body.length === 0) throw new AmbiguousMessage('is an empty batch');
  if (body.length > MAX_BATCH) throw new AmbiguousMessage(`is a batch of more than ${MAX_BATCH}`);
  const messages = body.map(readMessage);
  if (messages.some((message) => message.kind === 'request' && message.method === 'initialize')) {
    throw new AmbiguousMessage('begins a session inside a batch');
  }
  const ids = messages.flatMap((message) => (message.kind === 'request' ? [message.id] : []));
  if (new Set(ids.map(String)).size < ids.length) throw new AmbiguousMessage('uses one id twice in a batch');
  return messages;
}

function readMessage(value: unknown): McpMessage {
  if (!isObject(value)) throw new AmbiguousMessage('is not a JSON object');
  const odd = Object.keys(value).find((name) => !MEMBERS.has(name));
  if (odd !== undefined) throw new AmbiguousMessage('has a member that JSON-RPC does not know');
  if (value.jsonrpc !== '2.0') throw new AmbiguousMessage('is not of JSON-RPC 2.0');
  const isAnswer = 'result' in value || 'error' in value;
  if (!('method' in value)) {
    if (!isAnswer || ('result' in value && 'error' in value))
      throw new AmbiguousMessage('is neither request nor answer');
    if ('params' in value) throw new AmbiguousMessage('is an answer with params');
    return { kind: 'response' };
  }
  if (isAnswer) throw new AmbiguousMessage('is request and answer at once');
  const method = readMethod(value.method);
  const params = readParams(value.params);
  if (!('id' in value)) return { kind: 'notification', method, params };
  if (!isId(value.id))
    throw new AmbiguousMessage(`has an id that is neither a string up to ${MAX_ID_LENGTH} nor an integer`);
  return { kind: 'request', id: value.id, method, params };
}

function isId(id: unknown): id is RequestId {
  return typeof id === 'string' ? id.length <= MAX_ID_LENGTH : Number.isSafeInteger(id);
}

function readMethod(method: unknown): string {
  if (typeof method !== 'string' || !/^[\w$.\-/]+$/.test(method) || method.length > MAX_METHOD_LENGTH)
    throw new AmbiguousMessage('has no proper method');
  const known = METHODS_BY_FOLDED.get(fold(method));
  if (known !== undefined && known !== method)
    throw new AmbiguousMessage(`writes the method ${known} in another way`);
  return method;
}

function readParams(params: unknown): Params {
  if (params === undefined) return {};
  if (!isObject(params)) throw new AmbiguousMessage('has params that are no object');
  requireExact(params, WATCHED_PARAMS);
  return params;
}

/** Refuses names that a lax reader would take for one of these. */
function requireExact(object: Params, { names, folded }: Watched): void {
  const odd = Object.keys(object).find((name) => !names.has(name) && folded.has(fold(name)));
  if (odd !== undefined) throw new AmbiguousMessage(`writes the parameter ${fold(odd)} in another way`);
}

/**
 * What a lax reader takes for the same: other case, other forms of a letter, accents, white space and invisible signs.
 * By way of capitals, because some letters have only those in common (`ı` and `i`, `ß` and `ss`).
 */
export function fold(text: string): string {
  // Most names are written in the plainest way.
  if (/^[a-z0-9_/.-]*$/.test(text)) return text;
  return text
    .normalize('NFKD')
    .replace(/[\p{C}\p{Z}\p{Mn}\p{Default_Ignorable_Code_Point}]/gu, '')
    .toUpperCase()
    .toLowerCase();
}

/** Methods whose answer is a list, and the member of the result that holds it. */
export const LISTS: Readonly<Record<string, ListMember>> = {
  'tools/list': 'tools',
  'prompts/list': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
};

export type ListMember = 'tools' | 'prompts' | 'resources' | 'resourceTemplates';

/** Methods of all revisions that clients call, without the lists. */
const OTHER_METHODS = [
  ...['initialize', 'ping', 'server/discover', 'subscriptions/listen', 'logging/setLevel'],
  ...['tools/call', 'prompts/get', 'completion/complete'],
  ...['resources/read', 'resources/subscribe', 'resources/unsubscribe'],
  ...['tasks/get', 'tasks/result', 'tasks/list', 'tasks/cancel', 'tasks/update'],
  ...['notifications/initialized', 'notifications/cancelled', 'notifications/progress'],
  ...['notifications/roots/list_changed', 'notifications/tasks/status'],
];

const METHODS_BY_FOLDED = new Map(
  [...Object.keys(LISTS), ...OTHER_METHODS].map((method) => [fold(method), method]),
);

/** Whether some revision of MCP has this method. */
export function isKnownMethod(method: string): boolean {
  return METHODS_BY_FOLDED.has(fold(method));
}

/** Whether an answer to it may hold a list: also of methods nobody knows. */
export function mayAnswerWithList(method: string): boolean {
  return method in LISTS || !isKnownMethod(method) || method === 'tasks/result';
}

/** Methods that change nothing at the server, so that asking twice is asking once. */
const REPEATABLE = new Set([
  ...['initialize', 'ping', 'server/discover', 'completion/complete', 'prompts/get', 'resources/read'],
  ...Object.keys(LISTS),
]);

/** Whether the messages may be sent again although nobody knows whether they arrived. */
export function isRepeatable(messages: readonly McpMessage[]): boolean {
  return messages.every((message) => message.kind === 'request' && REPEATABLE.has(message.method));
}

/** What a message wants to use. */
export interface Wanted {
  kind: 'tool' | 'prompt' | 'resource';
  name: string;
}

/**
 * What the message uses, each to be judged; none when it uses nothing by name. Throws `AmbiguousMessage` when it should
 * name something and does not.
 */
export function wantedBy(message: McpMessage): Wanted[] {
  if (message.kind === 'response') return [];
  const { method, params } = message;
  switch (method) {
    case 'tools/call':
      return [{ kind: 'tool', name: text(params.name, 'params.name') }];
    case 'prompts/get':
      return [{ kind: 'prompt', name: text(params.name, 'params.name') }];
    case 'resources/read':
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return [{ kind: 'resource', name: text(params.uri, 'params.uri') }];
    case 'completion/complete':
      return [referenced(params.ref)];
    case 'subscriptions/listen':
      return subscribed(params.notifications);
    default:
      return [];
  }
}

function referenced(reference: unknown): Wanted {
  if (!isObject(reference)) throw new AmbiguousMessage('names nothing to complete in params.ref');
  requireExact(reference, WATCHED_IN_REFERENCE);
  if (reference.type === 'ref/prompt')
    return { kind: 'prompt', name: text(reference.name, 'params.ref.name') };
  if (reference.type === 'ref/resource')
    return { kind: 'resource', name: text(reference.uri, 'params.ref.uri') };
  throw new AmbiguousMessage('names neither a prompt nor a resource in params.ref');
}

function subscribed(filter: unknown): Wanted[] {
  if (!isObject(filter)) return [];
  requireExact(filter, WATCHED_IN_FILTER);
  const uris = filter.resourceSubscriptions ?? [];
  if (!Array.isArray(uris)) throw new AmbiguousMessage('has resourceSubscriptions that are no list');
  return uris.map((uri) => ({ kind: 'resource', name: text(uri, 'resourceSubscriptions') }));
}

/** The value `Mcp-Name` must mirror. Undefined: the method has none. (SEP-2243, SEP-2663) */
export function nameHeaderOf({ method, params }: { method: string; params: Params }): string | undefined {
  const member = Object.hasOwn(NAME_MEMBERS, method) ? NAME_MEMBERS[method] : undefined;
  const value = member === undefined ? undefined : params[member];
  return typeof value === 'string' ? value : undefined;
}

const NAME_MEMBERS: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

function text(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw new AmbiguousMessage(`has no text in ${where}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
