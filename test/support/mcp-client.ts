import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';

/** Calls a tool with the official MCP client, as an agent would; the text it answers. Rejects when it is refused. */
export function callTool(
  url: string,
  accessToken: string,
  name: string,
  args: Record<string, unknown> = {},
): Promise<string | undefined> {
  return callToolWith(url, { authorization: `Bearer ${accessToken}` }, name, args);
}

/** Whose credential these headers are, as the MCP server says. Rejects when they are refused. */
export function whoami(url: string, headers: Record<string, string>): Promise<string | undefined> {
  return callToolWith(url, headers, 'whoami');
}

async function callToolWith(
  url: string,
  headers: Record<string, string>,
  name: string,
  args: Record<string, unknown> = {},
): Promise<string | undefined> {
  const client = new Client({ name: 'test-agent', version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  try {
    await client.connect(transport as Transport);
    const { content } = await client.callTool({ name, arguments: args });
    return (content as { text: string }[])[0]?.text;
  } finally {
    await client.close();
  }
}
