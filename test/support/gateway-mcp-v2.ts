/** The tools behind the official SDK v2, for the revision 2026-07-28: without sessions. */
import {
  createMcpHandler,
  fromJsonSchema,
  inputRequired,
  type McpHttpHandler,
  McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { TOOL_LIST, type ToolContext, type Tools } from './gateway-tools.ts';

/** A handler of Fetch requests that speaks 2026-07-28 only. */
export function createStatelessServer(tools: Tools): McpHttpHandler {
  return createMcpHandler(() => createServer(tools), { legacy: 'reject', keepAliveMs: 0 });
}

function createServer(tools: Tools): McpServer {
  const server = new McpServer(
    { name: 'documents', version: '2' },
    { capabilities: { tools: { listChanged: true }, logging: {} } },
  );
  for (const { name, description, inputSchema } of TOOL_LIST) {
    const config = { description, inputSchema: fromJsonSchema<Record<string, unknown>>(inputSchema) };
    server.registerTool(name, config, async (args, context) => {
      const text = await tools.call(name, args, contextOf(context));
      if (text !== undefined) return { content: [{ type: 'text', text }] };
      return inputRequired({ inputRequests: { answer: questionOf(name) } });
    });
  }
  return server;
}

function questionOf(name: string) {
  if (name === 'ask') {
    const requestedSchema = { type: 'object' as const, properties: { name: { type: 'string' as const } } };
    return inputRequired.elicit({ message: 'a name?', requestedSchema });
  }
  return inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: 'a word?' } }],
    maxTokens: 10,
  });
}

function contextOf({ mcpReq }: ServerContext): ToolContext {
  const progressToken = mcpReq._meta?.progressToken;
  const answer = mcpReq.inputResponses?.answer as { content?: unknown } | undefined;
  const answered = async () => (answer ? JSON.stringify(answer.content) : undefined);
  const progress = (done: number, total: number) =>
    mcpReq.notify({
      method: 'notifications/progress',
      params: { progressToken: progressToken ?? '', progress: done, total },
    });
  return {
    signal: mcpReq.signal,
    progress: progressToken === undefined ? undefined : progress,
    log: (text) => mcpReq.log('info', text),
    sample: answered,
    ask: answered,
  };
}
