import { createMCPClient } from '@ai-sdk/mcp';

const client = await createMCPClient({
  transport: {
    type: 'http',
    url: '{{url}}',
    headers: { Authorization: `Bearer ${process.env.BROKER_AGENT_KEY}` },
  },
});
const tools = await client.tools();
console.log(Object.keys(tools));
await client.close();
