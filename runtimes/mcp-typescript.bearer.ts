import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const client = new Client({ name: 'my-agent', version: '1.0.0' });
await client.connect(
  new StreamableHTTPClientTransport(new URL('{{url}}'), {
    authProvider: { token: async () => process.env.BROKER_AGENT_KEY },
  }),
);
console.log(await client.listTools());
await client.close();
