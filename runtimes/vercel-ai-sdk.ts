import { createMCPClient } from '@ai-sdk/mcp';

// include broker-fetch.ts

const client = await createMCPClient({
  transport: { type: 'http', url: '{{server_url}}', fetch: brokerFetch },
});
const tools = await client.tools();
console.log(Object.keys(tools));
await client.close();
