import { createMCPClient } from '@ai-sdk/mcp';
import { brokerFetch } from 'mcp-token-broker/client';

const fetch = brokerFetch({ connection: '{{connection}}', url: '{{broker_url}}' });

const client = await createMCPClient({ transport: { type: 'http', url: '{{server_url}}', fetch } });
const tools = await client.tools();
console.log(Object.keys(tools));
await client.close();
