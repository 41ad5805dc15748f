import { afterEach, describe, expect, it } from 'vitest';
import { askForEntry } from '../../src/oauth/resource-discovery.ts';
import { type McpTestServer, startMcpServer } from '../support/mcp-server.ts';
import { fetch } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

let raw: RawServer | undefined;
let mcp: McpTestServer | undefined;

afterEach(async () => {
  await raw?.close();
  await mcp?.close();
  mcp = undefined;
});

/** Asks for entry at a server that gives this answer. */
async function enter(answer: RawAnswer) {
  raw = await startRawServer(() => answer);
  return askForEntry(`${raw.url}/mcp`, () => fetch);
}

describe('asking for entry (RFC 9728 §5)', () => {
  it('tells status and challenge', async () => {
    const challenge = 'Basic realm="x", Bearer scope="mcp:all", resource_metadata="https://a.example.com/m"';
    expect(await enter({ status: 401, headers: { 'www-authenticate': challenge } })).toEqual({
      status: 401,
      speaksMcp: false,
      challenge: { scope: 'mcp:all', resourceMetadata: ['https://a.example.com/m'], error: undefined },
      network: 'private',
    });
  });

  it('is done like an MCP client would, without a token', async () => {
    await enter({ status: 401 });
    const [first] = raw?.requests ?? [];
    expect(first).toMatchObject({ method: 'POST', path: '/mcp' });
    expect(first?.headers.authorization).toBeUndefined();
    expect(JSON.parse(first?.body ?? '')).toMatchObject({ jsonrpc: '2.0', method: 'initialize' });
  });

  it('may lead to any network for the host that a person typed', async () => {
    const networks: string[] = [];
    raw = await startRawServer(() => ({ status: 401 }));
    await askForEntry(raw.url, (network) => {
      networks.push(network);
      return fetch;
    });
    expect(networks).toEqual(['private']);
  });

  it('finds a real server that needs no login', async () => {
    mcp = await startMcpServer({ withoutAuth: true });
    expect(await askForEntry(mcp.url, () => fetch)).toMatchObject({ status: 200, speaksMcp: true });
  });

  it.each([
    ['application/json; charset=utf-8', true],
    ['text/event-stream', true],
    ['text/html; charset=utf-8', false],
    ['text/plain', false],
  ])('takes %s for the answer of an MCP server: %s', async (type, speaksMcp) => {
    const headers = { 'content-type': type };
    expect(await enter({ status: 200, headers, body: '{}' })).toMatchObject({ speaksMcp });
  });

  it('does not read the body, which may have no end', async () => {
    const body = 'x'.repeat(2 * 1024 * 1024);
    expect(await enter({ status: 401, body })).toMatchObject({ status: 401 });
  });
});

describe('a server that cannot be entered', () => {
  it.each<[string, RawAnswer, string]>([
    ['is out of order', { status: 502, body: '<h1>Bad Gateway</h1>' }, '502'],
    ['cuts the connection', 'reset', 'cannot be reached'],
  ])('because it %s is worth another try', async (_, answer, message) => {
    await expect(enter(answer)).rejects.toMatchObject({
      code: 'upstream_unavailable',
      message: expect.stringContaining(message),
    });
  });

  it.each([301, 302, 303, 307, 308])(
    'because it sends its callers elsewhere (%i) is told',
    async (status) => {
      const refused = enter({ status, headers: { location: 'https://mcp.example.com/mcp' } });
      await expect(refused).rejects.toMatchObject({
        code: 'discovery_failed',
        message: expect.stringContaining('/mcp sends its callers somewhere else'),
        hint: expect.stringContaining('it names "https://mcp.example.com/mcp"\na token must not follow it'),
      });
      expect(raw?.requests).toHaveLength(1);
    },
  );

  it.each(['http://10.0.0.1/mcp', 'javascript:alert(1)', 'https://alice:fake@mcp.example.com/', undefined])(
    'is told without the target when that is not safe to call: %s',
    async (location) => {
      const refused = enter({ status: 302, headers: location === undefined ? {} : { location } });
      await expect(refused).rejects.toMatchObject({
        code: 'discovery_failed',
        hint: 'a token must not follow it; ask its operator for the right URL',
      });
    },
  );
});
