/** What the server scenarios of the conformance suite ask for in 2026-07-28, behind the official SDK v2. */
import { randomBytes } from 'node:crypto';
import {
  completable,
  createMcpHandler,
  fromJsonSchema,
  type McpHttpHandler,
  McpServer,
  ResourceTemplate,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import {
  ANSWERS,
  answer,
  completeArg1,
  PROMPTS,
  RESOURCES,
  readTemplate,
  SCHEMA_2020_12,
  TEMPLATE,
  TOOL_ERROR,
  text,
} from './gateway-everything-contents.ts';
import { addQuestions, createStates } from './gateway-everything-questions.ts';

/** The input of a tool whose argument is also sent as a header, for those on the way. */
const HEADER_SCHEMA = {
  type: 'object',
  properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
  required: ['region'],
};

/** A handler of Fetch requests that speaks 2026-07-28 only. */
export function createEverythingHandler(): McpHttpHandler {
  const states = createStates(randomBytes(32));
  const handler = createMcpHandler(
    () => {
      const server = new McpServer(
        { name: 'everything', version: '2' },
        {
          capabilities: {
            ...{ tools: { listChanged: true }, prompts: { listChanged: true } },
            ...{ resources: {}, logging: {}, completions: {} },
          },
          requestState: { verify: states.verify },
        },
      );
      addTools(server);
      addTriggers(server, () => handler.notify);
      addQuestions(server, states);
      addResources(server);
      addPrompts(server);
      return server;
    },
    { legacy: 'reject', keepAliveMs: 0 },
  );
  return handler;
}

function addTools(server: McpServer): void {
  for (const [name, content] of Object.entries(ANSWERS))
    server.registerTool(name, { description: name }, () => answer(...content));
  server.registerTool('test_error_handling', { description: 'fails' }, () => {
    throw new Error(TOOL_ERROR);
  });
  server.registerTool('test_logging_tool', { description: 'logs' }, async ({ mcpReq }) => {
    await mcpReq.log('info', 'a line of the log');
    return answer(text('done'));
  });
  server.registerTool('test_tool_with_progress', { description: 'tells' }, async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken === undefined) continue;
      const params = { progressToken, progress, total: 100 };
      await mcpReq.notify({ method: 'notifications/progress', params });
    }
    return answer(text('done'));
  });
  const addWithSchema = (name: string, schema: Record<string, unknown>) =>
    server.registerTool(name, { description: name, inputSchema: fromJsonSchema(schema) }, () =>
      answer(text('done')),
    );
  addWithSchema('json_schema_2020_12_tool', SCHEMA_2020_12);
  addWithSchema('test_x_mcp_header', HEADER_SCHEMA);
}

/** Tools that tell subscribers of a change. */
function addTriggers(server: McpServer, notify: () => McpHttpHandler['notify']): void {
  server.registerTool('test_trigger_tool_change', { description: 'changes the tools' }, () => {
    notify().toolsChanged();
    return answer(text('done'));
  });
  server.registerTool('test_trigger_prompt_change', { description: 'changes the prompts' }, () => {
    notify().promptsChanged();
    return answer(text('done'));
  });
}

function addResources(server: McpServer): void {
  for (const [name, { mimeType, content }] of Object.entries(RESOURCES)) {
    const uri = `test://${name}`;
    server.registerResource(name, uri, { description: name, mimeType }, () => ({
      contents: [{ uri, mimeType, ...content }],
    }));
  }
  const template = new ResourceTemplate(TEMPLATE, { list: undefined });
  server.registerResource('template', template, { description: 'a template' }, (uri, { id }) =>
    readTemplate(uri, id),
  );
}

function addPrompts(server: McpServer): void {
  const { test_simple_prompt, test_prompt_with_arguments, ...others } = PROMPTS;
  const { test_prompt_with_embedded_resource, test_prompt_with_image } = others;
  const twoArguments = z.object({ arg1: completable(z.string(), completeArg1), arg2: z.string() });
  server.registerPrompt('test_simple_prompt', { description: 'simple' }, test_simple_prompt);
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'with arguments', argsSchema: twoArguments },
    test_prompt_with_arguments,
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'with a resource', argsSchema: z.object({ resourceUri: z.string() }) },
    test_prompt_with_embedded_resource,
  );
  server.registerPrompt('test_prompt_with_image', { description: 'with an image' }, test_prompt_with_image);
}
