/** The official clients as agents of the gateway, each told no more than a URL and a header. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';

export interface CallWishes {
  onProgress?: (done: number) => void;
  signal?: AbortSignal;
}

/** One client, connected. */
export interface GatewayClient {
  /** Names of all tools, page by page. */
  list(): Promise<string[]>;
  /** The text a tool answers. Rejects with what the client makes of a refusal. */
  call(name: string, args?: Record<string, unknown>, wishes?: CallWishes): Promise<string | undefined>;
  /** Resolves when the server says that its tools have changed. */
  changed: Promise<void>;
  /** Lines of the server's log. */
  logged: string[];
  /** Undefined: there is no session. */
  sessionId(): string | undefined;
  /** Ends the session with DELETE. */
  terminate(): Promise<void>;
  close(): Promise<void>;
}

/** Clients by the way they speak. */
export const GATEWAY_CLIENTS: Record<string, (url: string, key: string) => Promise<GatewayClient>> = {
  'SDK v1': connectV1,
  'SDK v2 in a session': (url, key) => connectV2(url, key, 'legacy'),
  'SDK v2 in 2026-07-28': (url, key) => connectV2(url, key, 'auto'),
};

const CAPABILITIES = { sampling: {}, elicitation: {} };
const SAMPLED = {
  model: 'm',
  role: 'assistant' as const,
  content: { type: 'text' as const, text: 'a word' },
};
const ELICITED = { action: 'accept' as const, content: { name: 'Ada' } };

async function connectV1(url: string, key: string): Promise<GatewayClient> {
  const client = new ClientV1({ name: 'agent', version: '1' }, { capabilities: CAPABILITIES });
  const changed = Promise.withResolvers<void>();
  const logged: string[] = [];
  client.setRequestHandler(CreateMessageRequestSchema, () => SAMPLED);
  client.setRequestHandler(ElicitRequestSchema, () => ELICITED);
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => changed.resolve());
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    logged.push(String(params.data));
  });
  const transport = new TransportV1(new URL(url), { requestInit: { headers: authorization(key) } });
  await client.connect(transport as Transport);
  return {
    changed: changed.promise,
    logged,
    async list() {
      const names: string[] = [];
      for (let cursor: string | undefined; ; ) {
        const page = await client.listTools(cursor === undefined ? {} : { cursor });
        names.push(...page.tools.map(({ name }) => name));
        cursor = page.nextCursor;
        if (cursor === undefined) return names;
      }
    },
    async call(name, args = {}, wishes = {}) {
      const result = await client.callTool(
        { name, arguments: args },
        CallToolResultSchema,
        optionsOf(wishes),
      );
      return (result.content as { text: string }[])[0]?.text;
    },
    sessionId: () => transport.sessionId,
    terminate: () => transport.terminateSession(),
    close: () => client.close(),
  };
}

async function connectV2(url: string, key: string, mode: 'legacy' | 'auto'): Promise<GatewayClient> {
  const changed = Promise.withResolvers<void>();
  const logged: string[] = [];
  const client = new Client(
    { name: 'agent', version: '1' },
    {
      capabilities: CAPABILITIES,
      versionNegotiation: { mode },
      listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => changed.resolve() } },
    },
  );
  client.setRequestHandler('sampling/createMessage', () => SAMPLED);
  client.setRequestHandler('elicitation/create', () => ELICITED);
  client.setNotificationHandler('notifications/message', ({ params }) => {
    logged.push(String(params.data));
  });
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: authorization(key) },
  });
  await client.connect(transport);
  return {
    changed: changed.promise,
    logged,
    list: async () => (await client.listTools()).tools.map(({ name }) => name),
    async call(name, args = {}, wishes = {}) {
      const result = await client.callTool({ name, arguments: args }, optionsOf(wishes));
      return (result.content as { text: string }[])[0]?.text;
    },
    sessionId: () => transport.sessionId,
    terminate: () => transport.terminateSession(),
    close: () => client.close(),
  };
}

/** The header of an agent. */
export function authorization(key: string): { authorization: string } {
  return { authorization: `Bearer ${key}` };
}

function optionsOf({ onProgress, signal }: CallWishes) {
  return {
    ...(onProgress ? { onprogress: ({ progress }: { progress: number }) => onProgress(progress) } : {}),
    ...(signal ? { signal } : {}),
  };
}
