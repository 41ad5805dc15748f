/** One HTTP request of an agent to the gateway, read and understood. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import {
  AmbiguousMessage,
  type McpMessage,
  nameHeaderOf,
  type RequestId,
  readMessages,
} from '../core/mcp-message.ts';
import { AmbiguousJson, parseStrict } from '../core/strict-json.ts';
import { readUpTo } from './read-up-to.ts';
import { GatewayRefusal } from './refusal.ts';

export type Verb = 'POST' | 'GET' | 'DELETE';

export interface Call {
  verb: Verb;
  /** Empty for GET and DELETE. */
  messages: readonly McpMessage[];
  /** Whether the body is a list, also of one message. */
  isBatch: boolean;
  /** As it came, to be sent as it came. Undefined for GET and DELETE. */
  body: Buffer | undefined;
  headers: IncomingHttpHeaders;
  /** `Mcp-Session-Id`. Undefined: none was named. */
  sessionId: string | undefined;
}

/** Reads the request whole. Throws `GatewayRefusal`. */
export async function readCall(request: IncomingMessage, maxBytes: number): Promise<Call> {
  const { headers } = request;
  const sessionId = only(headers, 'mcp-session-id');
  const rest = { headers, sessionId };
  switch (request.method) {
    case 'GET':
    case 'DELETE':
      // Nothing is asked for, whatever the headers say.
      requireAgreement(headers, []);
      return { ...rest, verb: request.method, messages: [], isBatch: false, body: undefined };
    case 'POST': {
      requireJson(headers);
      const body = await readBody(request, maxBytes);
      const understood = understand(body);
      requireAgreement(headers, understood.messages);
      return { ...rest, ...understood, verb: 'POST', body };
    }
    default:
      throw new GatewayRefusal(405, 'bad_request', `the gateway takes POST, GET and DELETE`);
  }
}

/** Ids of the messages that want an answer. */
export function requestIds(messages: readonly McpMessage[]): RequestId[] {
  return messages.flatMap((message) => (message.kind === 'request' ? [message.id] : []));
}

/** A body in another encoding would be read in one way here and in another there. */
function requireJson(headers: IncomingHttpHeaders): void {
  const type = only(headers, 'content-type') ?? '';
  if (!/^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i.test(type))
    throw new GatewayRefusal(415, 'bad_request', 'the body must be application/json, in UTF-8');
  if (!/^(identity)?$/i.test(only(headers, 'content-encoding') ?? ''))
    throw new GatewayRefusal(415, 'bad_request', 'the body must not be packed (Content-Encoding)');
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = () =>
    new GatewayRefusal(
      413,
      'bad_request',
      `the body is larger than the ${maxBytes} bytes this agent may send`,
    );
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const { bytes, isWhole } = await readUpTo(request, maxBytes);
  if (!isWhole) throw tooLarge();
  return bytes;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function understand(body: Buffer): Pick<Call, 'messages' | 'isBatch'> {
  let text: string;
  try {
    text = UTF8.decode(body);
  } catch {
    throw new GatewayRefusal(400, 'parse_error', 'the body is not UTF-8');
  }
  try {
    const value = parseStrict(text);
    return { messages: readMessages(value), isBatch: Array.isArray(value) };
  } catch (error) {
    if (error instanceof AmbiguousJson)
      throw new GatewayRefusal(400, 'parse_error', `the body ${error.message}`);
    if (error instanceof AmbiguousMessage)
      throw new GatewayRefusal(400, 'bad_request', `the message ${error.message}`);
    throw error;
  }
}

/** What the headers say of a message must be what it says (2026-07-28, SEP-2243): servers may route by either. */
function requireAgreement(headers: IncomingHttpHeaders, messages: readonly McpMessage[]): void {
  const [method, name] = [only(headers, 'mcp-method'), only(headers, 'mcp-name')];
  if (method === undefined && name === undefined) return;
  const [message, ...others] = messages;
  if (others.length > 0 || !message || message.kind === 'response')
    throw mismatch(
      'Mcp-Method and Mcp-Name describe one request or notification, and the body is something else',
    );
  if (method !== undefined && method.trim() !== message.method)
    throw mismatch('Mcp-Method and the body name different methods');
  const named = nameHeaderOf(message);
  if (name !== undefined && (named === undefined || decodeParameter(name.trim()) !== named))
    throw mismatch('Mcp-Name and the body name different things');
}

/** A header of this name, which must come once at most: Node joins others with commas. */
function only(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Values that no header can carry come in Base64 (SEP-2243). Undefined: it is none. */
function decodeParameter(value: string): string | undefined {
  const packed = /^=\?base64\?(.*)\?=$/is.exec(value)?.[1];
  if (packed === undefined) return value;
  const bytes = Buffer.from(packed, 'base64');
  if (bytes.toString('base64') !== packed) return undefined;
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

function mismatch(message: string): GatewayRefusal {
  return new GatewayRefusal(400, 'header_mismatch', message);
}
