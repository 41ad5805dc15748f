/** MCP over HTTP by hand: what clients of the SDK hide, such as sessions, statuses and ids. */
import { expectDescribed, operationFor } from './openapi.ts';

export interface RpcAnswer {
  status: number;
  headers: Headers;
  /** Messages of a JSON body or of a stream, once it has ended. */
  messages: Record<string, unknown>[];
}

/** One agent at one MCP endpoint. */
export interface RpcClient {
  sessionId: string | undefined;
  /** Sends messages and reads the whole answer. */
  post(
    message: unknown,
    options?: { headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<RpcAnswer>;
  request(id: number | string, method: string, params?: object): Promise<RpcAnswer>;
  callTool(id: number | string, name: string, args?: object, meta?: object): Promise<RpcAnswer>;
  /** Begins a session. */
  initialize(): Promise<RpcAnswer>;
  delete(): Promise<RpcAnswer>;
  /** Opens the stream without a question: it is open when this resolves, with what gives its next message. */
  listen(): Promise<() => Promise<Record<string, unknown> | undefined>>;
}

export function rpcClient(url: string, key: string): RpcClient {
  async function send(init: RequestInit & { headers: Record<string, string> }): Promise<RpcAnswer> {
    const session = client.sessionId === undefined ? {} : { 'mcp-session-id': client.sessionId };
    const answer = await fetch(url, {
      ...init,
      headers: { authorization: `Bearer ${key}`, ...session, ...init.headers },
    });
    const { status, headers } = answer;
    const text = await answer.text();
    requireDescribed(url, init.method ?? 'GET', { status, headers, text });
    return { status, headers, messages: messagesIn(headers.get('content-type'), text) };
  }

  const client: RpcClient = {
    sessionId: undefined,
    post: (message, { headers = {}, signal } = {}) =>
      send({
        method: 'POST',
        headers: {
          accept: 'application/json, text/event-stream',
          'content-type': 'application/json',
          ...headers,
        },
        body: JSON.stringify(message),
        ...(signal ? { signal } : {}),
      }),
    request: (id, method, params = {}) => client.post({ jsonrpc: '2.0', id, method, params }),
    callTool: (id, name, args = {}, meta) =>
      client.request(id, 'tools/call', { name, arguments: args, ...(meta ? { _meta: meta } : {}) }),
    async initialize() {
      client.sessionId = undefined;
      const clientInfo = { name: 'by-hand', version: '1' };
      const params = { protocolVersion: '2025-11-25', capabilities: { sampling: {} }, clientInfo };
      const answer = await client.request('init', 'initialize', params);
      client.sessionId = answer.headers.get('mcp-session-id') ?? undefined;
      if (client.sessionId !== undefined)
        await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
      return answer;
    },
    delete: () => send({ method: 'DELETE', headers: {} }),
    async listen() {
      const answer = await fetch(url, {
        headers: {
          authorization: `Bearer ${key}`,
          accept: 'text/event-stream',
          'mcp-session-id': client.sessionId ?? '',
        },
      });
      if (answer.status !== 200 || !answer.body) throw new Error(`no stream: ${answer.status}`);
      return nextMessageOf(answer.body);
    },
  };
  return client;
}

/** Throws for an answer of the gateway that `/openapi.json` does not have. */
function requireDescribed(
  url: string,
  method: string,
  { status, headers, text }: { status: number; headers: Headers; text: string },
): void {
  const { pathname } = new URL(url);
  if (!operationFor(method, pathname)) return;
  const isJson = /json$/.test(headers.get('content-type') ?? '');
  const json = isJson && text !== '' ? JSON.parse(text) : undefined;
  expectDescribed(method, pathname, { status, headers: Object.fromEntries(headers), text, json });
}

function messagesIn(type: string | null, text: string): Record<string, unknown>[] {
  if (type !== 'text/event-stream') return text === '' ? [] : [JSON.parse(text)].flat();
  return text.split('\n').flatMap((line) => (line.startsWith('data: ') ? [JSON.parse(line.slice(6))] : []));
}

/** The text of the first tool result in an answer. */
export function toolText({ messages }: RpcAnswer): string | undefined {
  const result = messages.findLast((each) => 'result' in each)?.result as
    | { content?: { text: string }[] }
    | undefined;
  return result?.content?.[0]?.text;
}

function nextMessageOf(body: ReadableStream<Uint8Array>): () => Promise<Record<string, unknown> | undefined> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return async () => {
    for (;;) {
      const [, before = '', rest = ''] = /^(.*?)\n\n(.*)$/s.exec(text) ?? [];
      const data = /^data: (.*)$/m.exec(before)?.[1];
      if (before !== '') text = rest;
      if (data !== undefined) return JSON.parse(data);
      if (before !== '') continue;
      const { done, value } = await reader.read();
      if (done) return undefined;
      text += value;
    }
  };
}
