/**
 * What the server scenarios of the conformance suite ask for, as far as one server in the revisions with sessions can
 * have it. Behind the official SDK v1; the texts are the suite's.
 */
import { completable } from '@modelcontextprotocol/sdk/server/completable.js';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  type CallToolResult,
  CreateMessageResultSchema,
  ElicitResultSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';

/** A picture of one pixel, and a sound of no length. */
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=';

const image = { type: 'image' as const, data: PNG, mimeType: 'image/png' };
const text = (said: string) => ({ type: 'text' as const, text: said });
const answer = (...content: CallToolResult['content']): CallToolResult => ({ content });
const resource = (uri: string, mimeType: string, said: string) => ({
  type: 'resource' as const,
  resource: { uri, mimeType, text: said },
});

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
  const add = (name: string, ...content: CallToolResult['content']) =>
    server.registerTool(name, { description: name }, () => answer(...content));
  add('test_simple_text', text('This is a simple text response for testing.'));
  add('test_image_content', image);
  add('test_audio_content', { type: 'audio', data: WAV, mimeType: 'audio/wav' });
  add(
    'test_embedded_resource',
    resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
  );
  add(
    'test_multiple_content_types',
    text('Multiple content types test:'),
    image,
    resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
  );
  server.registerTool('test_error_handling', { description: 'fails' }, () => {
    throw new Error('This tool intentionally returns an error for testing');
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
}

function addResources(server: McpServer): void {
  const add = (name: string, mimeType: string, content: { text: string } | { blob: string }) => {
    const uri = `test://${name}`;
    server.registerResource(name, uri, { description: name, mimeType }, () => ({
      contents: [{ uri, mimeType, ...content }],
    }));
  };
  add('static-text', 'text/plain', { text: 'This is the content of the static text resource.' });
  add('static-binary', 'image/png', { blob: PNG });
  add('watched-resource', 'text/plain', { text: 'watched' });
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  server.registerResource('template', template, { description: 'a template' }, (uri, { id }) => ({
    contents: [
      {
        uri: uri.href,
        mimeType: 'application/json',
        text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
      },
    ],
  }));
}

const ARG1 = completable(z.string(), (typed) => ['paris', 'park'].filter((each) => each.startsWith(typed)));

function addPrompts(server: McpServer): void {
  const user = (content: ReturnType<typeof text> | typeof image | ReturnType<typeof resource>) => ({
    role: 'user' as const,
    content,
  });
  server.registerPrompt('test_simple_prompt', { description: 'simple' }, () => ({
    messages: [user(text('This is a simple prompt for testing.'))],
  }));
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'with arguments', argsSchema: { arg1: ARG1, arg2: z.string() } },
    ({ arg1, arg2 }) => ({
      messages: [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
    }),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'with a resource', argsSchema: { resourceUri: z.string() } },
    ({ resourceUri }) => ({
      messages: [
        user(resource(resourceUri, 'text/plain', 'Embedded resource content for testing.')),
        user(text('Please process the embedded resource above.')),
      ],
    }),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'with an image' }, () => ({
    messages: [user(image), user(text('Please analyze the image above.'))],
  }));
}
