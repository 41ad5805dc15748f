import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const client = new Client({ name: 'my-agent', version: '1.0.0' });
await client.connect(
  new StreamableHTTPClientTransport(new URL('{{url}}'), {
    requestInit: { headers: { Authorization: `Bearer ${process.env.BROKER_AGENT_KEY}` } },
  }),
);
console.log(await client.listTools());
await client.close();
