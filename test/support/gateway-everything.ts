/**
 * What the server scenarios of the conformance suite ask for, as far as one server in the revisions with sessions can
 * have it. Behind the official SDK v1; the texts are the suite's.
 */
import { completable } from '@modelcontextprotocol/sdk/server/completable.js';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  CreateMessageResultSchema,
  ElicitResultSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
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

export function createEverythingServer(): McpServer {
  const server = new McpServer(
    { name: 'everything', version: '1' },
    { capabilities: { logging: {}, resources: { subscribe: true }, completions: {} } },
  );
  addTools(server);
  addConversations(server);
  addResources(server);
  addPrompts(server);
  server.server.setRequestHandler(SetLevelRequestSchema, () => ({}));
  server.server.setRequestHandler(SubscribeRequestSchema, () => ({}));
  server.server.setRequestHandler(UnsubscribeRequestSchema, () => ({}));
  return server;
}

function addTools(server: McpServer): void {
  for (const [name, content] of Object.entries(ANSWERS))
    server.registerTool(name, { description: name }, () => answer(...content));
  server.registerTool('test_error_handling', { description: 'fails' }, () => {
    throw new Error(TOOL_ERROR);
  });
  server.registerTool('test_tool_with_logging', { description: 'logs' }, async (extra) => {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed'])
      await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
    return answer(text('done'));
  });
  server.registerTool('test_tool_with_progress', { description: 'tells' }, async (extra) => {
    const progressToken = extra._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken === undefined) continue;
      const params = { progressToken, progress, total: 100 };
      await extra.sendNotification({ method: 'notifications/progress', params });
    }
    return answer(text('done'));
  });
  const inputSchema = z.looseObject({}).meta(SCHEMA_2020_12);
  server.registerTool('json_schema_2020_12_tool', { description: 'has a schema', inputSchema }, () =>
    answer(text('done')),
  );
  server.registerTool('test_reconnection', { description: 'closes its stream' }, async (extra) => {
    extra.closeSSEStream?.();
    return answer(text('done'));
  });
}

/** Tools that ask back. */
function addConversations(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: 'asks the model', inputSchema: { prompt: z.string() } },
    async ({ prompt }, extra) => {
      const params = { messages: [{ role: 'user' as const, content: text(prompt) }], maxTokens: 100 };
      const said = await extra.sendRequest(
        { method: 'sampling/createMessage', params },
        CreateMessageResultSchema,
      );
      return answer(text(`LLM response: ${JSON.stringify(said.content)}`));
    },
  );
  const ask = (name: string, properties: Record<string, unknown>, required: string[] = []) =>
    server.registerTool(
      name,
      { description: 'asks the person', inputSchema: { message: z.string().default('please') } },
      async ({ message }, extra) => {
        const params = { message, requestedSchema: { type: 'object' as const, properties, required } };
        const said = await extra.sendRequest(
          { method: 'elicitation/create', params: params as never },
          ElicitResultSchema,
        );
        return answer(text(`action=${said.action}, content=${JSON.stringify(said.content ?? {})}`));
      },
    );
  ask('test_elicitation', { username: { type: 'string' }, email: { type: 'string' } }, ['username', 'email']);
  ask('test_elicitation_sep1034_defaults', {
    name: { type: 'string', default: 'John Doe' },
    age: { type: 'integer', default: 30 },
    score: { type: 'number', default: 95.5 },
    status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean', default: true },
  });
  const titled = ['value1', 'value2', 'value3'].map((value) => ({ const: value, title: `Option ${value}` }));
  const options = ['option1', 'option2', 'option3'];
  ask('test_elicitation_sep1330_enums', {
    untitledSingle: { type: 'string', enum: options },
    titledSingle: { type: 'string', oneOf: titled },
    legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['One', 'Two', 'Three'] },
    untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
    titledMulti: { type: 'array', items: { anyOf: titled } },
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
  const argsSchema = { arg1: completable(z.string(), completeArg1), arg2: z.string() };
  server.registerPrompt('test_simple_prompt', { description: 'simple' }, test_simple_prompt);
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'with arguments', argsSchema },
    test_prompt_with_arguments,
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'with a resource', argsSchema: { resourceUri: z.string() } },
    test_prompt_with_embedded_resource,
  );
  server.registerPrompt('test_prompt_with_image', { description: 'with an image' }, test_prompt_with_image);
}
