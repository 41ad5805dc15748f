import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import { callTool } from '../support/mcp-client.ts';
import { textOf } from '../support/program-world.ts';
import { type RpcClient, rpcClient, toolText } from '../support/rpc.ts';
import type { SseQuirks } from '../support/sse-sessions.ts';

let given: TestDaemon;
let key: string;
const opened: Client[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.close()));
  await given.close();
});

/** A daemon signed in to a server of the older transport. */
async function start(sse: SseQuirks = {}): Promise<void> {
  given = await startTestDaemon({}, { mcp: { sse } });
  key = await given.addAgent({ name: 'gate', modes: ['gateway'], toolDeny: ['delete_document'] });
}

async function connect(client = new Client({ name: 'x', version: '1' })): Promise<Client> {
  const headers = { authorization: `Bearer ${key}` };
  opened.push(client);
  const target = new URL(`${given.url}/mcp/demo`);
  await client.connect(new StreamableHTTPClientTransport(target, { requestInit: { headers } }));
  return client;
}

async function session(): Promise<RpcClient> {
  const client = rpcClient(`${given.url}/mcp/demo`, key);
  await client.initialize();
  return client;
}

const posts = () => given.world.mcp.requests.filter(({ method }) => method === 'POST').length;

describe('a server that only speaks HTTP with SSE', () => {
  it('is found out at the first call, remembered, and an MCP server to SDK v1 and v2', async () => {
    await start();
    expect((await given.broker.show(OPERATOR, 'demo')).transport).toBeUndefined();
    expect(await callTool(`${given.url}/mcp/demo`, key, 'echo', { text: 'hi' })).toBe('hi');
    expect((await given.broker.show(OPERATOR, 'demo')).transport).toBe('sse');
    const before = posts();
    const client = await connect(
      new Client({ name: 'x', version: '1' }, { versionNegotiation: { mode: 'auto' } }),
    );
    expect(client.getServerVersion()?.name).toBe('sse-test-server');
    expect(await textOf(client, 'whoami')).toBe('alice');
    // initialize, initialized, the call: none is tried in another way first.
    expect(posts() - before).toBe(3);
  });

  it('obeys the rules for tools', async () => {
    await start();
    const client = await connect();
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names).toContain('echo');
    expect(names).not.toContain('delete_document');
    await expect(client.callTool({ name: 'delete_document', arguments: {} })).rejects.toThrow('not allowed');
  });

  it('tells progress and asks the client', async () => {
    await start();
    const asking = new Client({ name: 'x', version: '1' }, { capabilities: { sampling: {} } });
    asking.setRequestHandler('sampling/createMessage', async () => ({
      model: 'm',
      role: 'assistant',
      content: { type: 'text', text: 'because' },
    }));
    const client = await connect(asking);
    const seen: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => void seen.push(progress);
    await client.callTool({ name: 'steps', arguments: { count: 3 } }, { onprogress });
    expect(seen).toEqual([1, 2, 3]);
    expect(await textOf(client, 'ask', { question: 'why?' })).toBe('because');
  });

  it('keeps sessions apart', async () => {
    await start();
    const [one, two] = [await session(), await session()];
    const [first, second] = await Promise.all([
      one.callTool(1, 'echo', { text: 'one' }),
      two.callTool(1, 'echo', { text: 'two' }),
    ]);
    expect([toolText(first), toolText(second)]).toEqual(['one', 'two']);
    expect(given.world.mcp.sse.open()).toBe(2);
  });

  it('is asked again with a fresh token when it refuses one, in a session as at its beginning', async () => {
    await start();
    const client = await session();
    const { authorizationServer, mcp, clock } = given.world;
    const refused = () => mcp.requests.filter(({ status }) => status === 401).length;
    const before = refused();
    await clock.advance(60_000);
    authorizationServer.revokeAccessTokens();
    expect(toolText(await client.callTool(1, 'echo', { text: 'again' }))).toBe('again');
    expect(refused() - before).toBe(1);
    await clock.advance(60_000);
    authorizationServer.revokeAccessTokens();
    expect((await session()).sessionId).toBeDefined();
    expect(refused() - before).toBe(2);
    expect(authorizationServer.refreshes()).toBe(2);
  });

  it('never lets its 401 reach the agent', async () => {
    await start();
    const client = await session();
    await given.world.clock.advance(60_000);
    await given.world.authorizationServer.revokeGrantsOf('alice');
    const answer = await client.callTool(1, 'echo', { text: 'x' });
    // The first refusal of a refresh is not believed yet.
    expect(answer).toMatchObject({
      status: 503,
      messages: [{ id: 1, error: { data: { code: 'upstream_unavailable' } } }],
    });
    expect(answer.headers.get('www-authenticate')).toBeNull();
  });

  it('ends its sessions when its stream ends, and tells calls under way', async () => {
    await start();
    const client = await session();
    const next = await client.listen();
    const waiting = client.callTool(1, 'wait');
    await expect
      .poll(() => given.world.mcp.requests.filter(({ rpcMethod }) => rpcMethod === 'tools/call').length)
      .toBe(1);
    await expect.poll(() => given.world.mcp.requests.at(-1)?.status).toBe(202);
    given.world.mcp.sse.drop();
    expect(JSON.stringify((await waiting).messages)).toContain('the server has closed its stream of events');
    expect(await next()).toBeUndefined();
    expect((await client.callTool(2, 'echo', { text: 'x' })).status).toBe(404);
  });

  it('has its stream closed when the agent ends the session, and when nobody uses it', async () => {
    await start();
    const client = await session();
    await client.delete();
    await expect.poll(() => given.world.mcp.sse.open()).toBe(0);
    await session();
    expect(given.world.mcp.sse.open()).toBe(1);
    await given.world.clock.advance(30 * 60_000);
    await expect.poll(() => given.world.mcp.sse.open()).toBe(0);
  });

  it('is not sent a credential to another origin', async () => {
    await start({ firstEvent: 'event: endpoint\ndata: http://127.0.0.1:9/messages\n\n' });
    await given.broker.gateway.learnTransport('demo', 'sse');
    const before = posts();
    const answer = await rpcClient(`${given.url}/mcp/demo`, key).initialize();
    expect(answer.status).toBe(503);
    expect(JSON.stringify(answer.messages)).toContain('which is another origin');
    expect(posts()).toBe(before);
  });

  it('is not taken for one when it is none', async () => {
    await start({ firstEvent: 'data: {}\n\n' });
    const answer = await rpcClient(`${given.url}/mcp/demo`, key).initialize();
    expect(answer.status).toBe(405);
    expect((await given.broker.show(OPERATOR, 'demo')).transport).toBeUndefined();
  });
});
