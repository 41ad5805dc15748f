import { Agent, MCPServerStreamableHttp, run } from '@openai/agents';

const server = new MCPServerStreamableHttp({
  name: '{{name}}',
  url: '{{url}}',
  requestInit: { headers: { Authorization: `Bearer ${process.env.BROKER_AGENT_KEY}` } },
});
await server.connect();
try {
  const agent = new Agent({ name: 'Assistant', mcpServers: [server] });
  const result = await run(agent, 'Which tools can you use?');
  console.log(result.finalOutput);
} finally {
  await server.close();
}
