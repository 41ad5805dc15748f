import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import { callTool } from '../support/mcp-client.ts';

describe('the gateway', () => {
  let given: TestDaemon;
  beforeAll(async () => {
    given = await startTestDaemon();
  });
  afterAll(() => given.close());

  it('is an MCP server to SDK v1', async () => {
    const key = await given.addAgent({ name: 'gate', modes: ['gateway'] });
    expect(await callTool(`${given.url}/mcp/demo`, key, 'echo', { text: 'hi' })).toBe('hi');
  });

  it('is an MCP server to SDK v2', async () => {
    const key = await given.addAgent({ name: 'gate2', modes: ['gateway'], toolDeny: ['whoami'] });
    const client = new Client({ name: 'x', version: '1' }, { versionNegotiation: { mode: 'auto' } });
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`${given.url}/mcp/demo`), {
        requestInit: { headers: { authorization: `Bearer ${key}` } },
      }),
    );
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['echo']);
    await expect(client.callTool({ name: 'whoami', arguments: {} })).rejects.toThrow(
      'tool whoami of demo is not allowed for agent gate2',
    );
    await client.close();
  });
});
