// An agent with the MCP TypeScript SDK v1 (`@modelcontextprotocol/sdk`).
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { brokerFetch } from 'mcp-token-broker/client';

const [url = 'https://coda.io/apis/mcp', connection = 'coda'] = process.argv.slice(2);

const transport = new StreamableHTTPClientTransport(new URL(url), { fetch: brokerFetch({ connection }) });
const client = new Client({ name: 'example-agent', version: '1.0.0' });
await client.connect(transport as Transport);
const { tools } = await client.listTools();
process.stdout.write(`${tools.map(({ name }) => name).join('\n')}\n`);
await client.close();
