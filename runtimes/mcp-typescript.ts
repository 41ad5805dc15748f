import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { brokerAuth } from 'mcp-token-broker/client';

const authProvider = brokerAuth({ connection: '{{connection}}', url: '{{broker_url}}' });

const client = new Client({ name: 'my-agent', version: '1.0.0' });
await client.connect(new StreamableHTTPClientTransport(new URL('{{server_url}}'), { authProvider }));
console.log(await client.listTools());
await client.close();
