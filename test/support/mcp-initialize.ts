import { call } from './http-call.ts';

/** What an MCP server answers to the first message of a session that comes with these headers. */
export async function initializeWith(url: string, headers: Record<string, string>): Promise<number> {
  const { status } = await call(url, {
    method: 'POST',
    headers: { ...headers, accept: 'application/json, text/event-stream' },
    body: {
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'an-agent', version: '1' },
      },
    },
  });
  return status;
}
