// An agent with the MCP TypeScript SDK v2 (`@modelcontextprotocol/client`).
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { brokerAuth } from 'mcp-token-broker/client';

const [url = 'https://coda.io/apis/mcp', connection = 'coda'] = process.argv.slice(2);

const transport = new StreamableHTTPClientTransport(new URL(url), {
  authProvider: brokerAuth({ connection }),
});
const client = new Client({ name: 'example-agent', version: '1.0.0' });
await client.connect(transport);
const { tools } = await client.listTools();
process.stdout.write(`${tools.map(({ name }) => name).join('\n')}\n`);
await client.close();
