/**
 * What an agent says to an MCP server, as plain JSON-RPC over fetch: get to know each other where the revision asks
 * for it, list the tools, call `test-tool`.
 */

/** First revision without a handshake: every request says for itself who speaks, and what of. */
const STATELESS_SINCE = '2026-07-28';

const CLIENT = { name: 'mcp-token-broker-conformance', version: '1.0.0' };
const TOOL = 'test-tool';

/** A JSON-RPC message with the headers its revision wants. */
export interface Message {
  headers: Record<string, string>;
  body: string;
}

/** Brings a message to the server and comes back with an answer that is not a refusal. */
export type Send = (message: Message) => Promise<Response>;

/** Does what every scenario wants to see. Throws when the server answers anything but a tool's result. */
export async function useTestTool(version: string, send: Send): Promise<void> {
  const isStateless = version >= STATELESS_SINCE;
  const call = isStateless ? statelessCaller(version, send) : await shakeHands(version, send);
  const { tools } = await call('tools/list', {});
  if (!Array.isArray(tools) || !tools.some(({ name }) => name === TOOL)) {
    throw new Error(`the server has no ${TOOL}: ${JSON.stringify(tools)}`);
  }
  const { content } = await call('tools/call', { name: TOOL, arguments: {} });
  if (!Array.isArray(content)) throw new Error(`${TOOL} answered nothing`);
}

type Call = (method: string, params: Record<string, unknown>) => Promise<Record<string, unknown>>;

/** 2026-07-28: the revision in a header and in `_meta`, method and tool in headers too. */
function statelessCaller(version: string, send: Send): Call {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientInfo': CLIENT,
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  return async (method, params) => {
    const headers = {
      'mcp-protocol-version': version,
      'mcp-method': method,
      ...(typeof params.name === 'string' ? { 'mcp-name': params.name } : {}),
    };
    return resultOf(await send(request(method, { ...params, _meta: meta }, headers)));
  };
}

/** Up to 2025-11-25: `initialize`, `notifications/initialized`, and the session the server may have opened. */
async function shakeHands(version: string, send: Send): Promise<Call> {
  const hello = { protocolVersion: version, capabilities: {}, clientInfo: CLIENT };
  const opened = await send(request('initialize', hello, {}));
  const session = opened.headers.get('mcp-session-id');
  await resultOf(opened);
  const headers = {
    'mcp-protocol-version': version,
    ...(session === null ? {} : { 'mcp-session-id': session }),
  };
  const noted = await send(message({ method: 'notifications/initialized' }, headers));
  if (!noted.ok) throw new Error(`notifications/initialized was answered with ${noted.status}`);
  await noted.body?.cancel();
  return async (method, params) => resultOf(await send(request(method, params, headers)));
}

let lastId = 0;

function request(method: string, params: unknown, headers: Record<string, string>): Message {
  lastId += 1;
  return message({ id: lastId, method, params }, headers);
}

function message(content: Record<string, unknown>, headers: Record<string, string>): Message {
  return {
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', ...content }),
  };
}

/** The result in an answer, which is JSON or one event of a stream. Throws for an error in its place. */
async function resultOf(response: Response): Promise<Record<string, unknown>> {
  const text = await response.text();
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
  const json = isStream ? (/^data: *(\{.*)$/m.exec(text)?.[1] ?? '') : text;
  try {
    const { result } = JSON.parse(json) as { result?: Record<string, unknown> };
    if (result) return result;
  } catch {
    // Told below, with all there is to see.
  }
  throw new Error(`the MCP server answered ${response.status}: ${text}`);
}
