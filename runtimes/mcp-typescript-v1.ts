import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { brokerFetch } from 'mcp-token-broker/client';

const fetch = brokerFetch({ connection: '{{connection}}', url: '{{broker_url}}' });

const client = new Client({ name: 'my-agent', version: '1.0.0' });
await client.connect(new StreamableHTTPClientTransport(new URL('{{server_url}}'), { fetch }));
console.log(await client.listTools());
await client.close();
