/**
 * An MCP server that is a program, written with the official SDK (v1): tools that answer, ask back, tell progress, wait,
 * misbehave and die, as tests want it. Started by the broker, so in the language every Node runs.
 */
import { spawn } from 'node:child_process';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const server = new McpServer(
  { name: 'stdio-test-server', version: '1.0.0' },
  { capabilities: { logging: {}, tools: { listChanged: true } } },
);
const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });
let calls = 0;

const echo = process.argv.includes('--renamed') ? 'echo_again' : 'echo';
server.registerTool(echo, { inputSchema: { text: z.string() } }, (args) => text(args.text));
server.registerTool('delete_document', {}, () => text('deleted'));
server.registerTool('pid', {}, () => text(process.pid));
server.registerTool('count', {}, () => text(++calls));
server.registerTool('variables', {}, () => text(Object.keys(process.env).sort().join(' ')));
server.registerTool('crash', {}, () => process.exit(3));
server.registerTool('large', { inputSchema: { bytes: z.number() } }, (args) => text('x'.repeat(args.bytes)));

/** Whether the environment holds this secret, without telling it. */
server.registerTool('has', { inputSchema: { name: z.string(), value: z.string() } }, (args) =>
  text(process.env[args.name] === args.value),
);

server.registerTool('complain', { inputSchema: { lines: z.array(z.string()) } }, (args) => {
  for (const line of args.lines)
    process.stderr.write(`${line.replace('SECRET', process.env.API_TOKEN ?? '')}\n`);
  return text('complained');
});

server.registerTool('steps', { inputSchema: { count: z.number() } }, async (args, extra) => {
  const progressToken = extra._meta?.progressToken;
  for (let progress = 1; progress <= args.count; progress += 1)
    await extra.sendNotification({
      method: 'notifications/progress',
      params: { progressToken, progress, total: args.count },
    });
  return text('done');
});

/** Never answers; tells on stderr that it was begun, and that it was cancelled. */
server.registerTool('wait', { inputSchema: { name: z.string() } }, (args, extra) => {
  process.stderr.write(`waiting ${args.name}\n`);
  return new Promise((resolve) => {
    extra.signal.addEventListener('abort', () => {
      process.stderr.write(`cancelled ${args.name}\n`);
      resolve(text('cancelled'));
    });
  });
});

server.registerTool('ask', { inputSchema: { question: z.string() } }, async (args) => {
  const answer = await server.server.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: args.question } }],
    maxTokens: 10,
  });
  return text(answer.content.text);
});

server.registerTool('elicit', {}, async () => {
  const answer = await server.server.elicitInput({
    message: 'which one?',
    requestedSchema: { type: 'object', properties: { which: { type: 'string' } } },
  });
  return text(`${answer.action} ${answer.content?.which ?? ''}`);
});

server.registerTool('announce', { inputSchema: { text: z.string() } }, async (args) => {
  await server.server.sendLoggingMessage({ level: 'info', data: args.text });
  return text('announced');
});

/** Starts a program of its own, which keeps its streams open and listens to nobody; `away`: in a group of its own. */
server.registerTool('fork', { inputSchema: { away: z.boolean().optional() } }, ({ away = false }) => {
  const child = spawn(
    process.execPath,
    ['-e', "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"],
    {
      stdio: 'inherit',
      detached: away,
    },
  );
  return text(child.pid);
});

if (process.argv.includes('--stubborn')) {
  process.on('SIGTERM', () => {});
  setInterval(() => {}, 1000);
}
if (process.argv.includes('--dead')) process.exit(4);
process.stderr.write('ready\n');
await server.connect(new StdioServerTransport());
