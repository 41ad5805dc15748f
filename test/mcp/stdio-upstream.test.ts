import { readFileSync } from 'node:fs';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callTool } from '../support/mcp-client.ts';
import {
  isRunning,
  PROGRAM_SECRET,
  type ProgramWorld,
  startProgramWorld,
  textOf,
} from '../support/program-world.ts';
import { rpcClient, toolText } from '../support/rpc.ts';

let given: ProgramWorld;
let key: string;
const endpoint = (name = 'coda-local') => `${given.url}/mcp/${name}`;

beforeAll(async () => {
  given = await startProgramWorld();
  await given.add('coda-local');
  key = await given.agent('docs-bot', { toolDeny: ['delete_document'] });
});
afterAll(() => given.close());

describe('a program behind the gateway', () => {
  it('is an MCP server to SDK v1', async () => {
    expect(await callTool(endpoint(), key, 'echo', { text: 'hi' })).toBe('hi');
  });

  it('is one to SDK v2, which asks for the newest revision first and then begins a session', async () => {
    const client = new Client({ name: 'x', version: '1' }, { versionNegotiation: { mode: 'auto' } });
    await given.connect('coda-local', key, client);
    expect(client.getServerVersion()?.name).toBe('stdio-test-server');
    expect(await textOf(client, 'echo', { text: 'hi' })).toBe('hi');
  });

  it('tells a client that wants no session what it speaks', async () => {
    const pinned = new Client(
      { name: 'x', version: '1' },
      { versionNegotiation: { mode: { pin: '2026-07-28' } } },
    );
    await expect(given.connect('coda-local', key, pinned)).rejects.toThrow('Unsupported protocol version');
    const answer = await rpcClient(endpoint(), key).request(7, 'tools/list');
    expect(answer).toMatchObject({ status: 400, messages: [{ id: 7, error: { code: -32000 } }] });
    expect(JSON.stringify(answer.messages)).toContain('begin with initialize');
  });

  it('has its secret in its environment, and nothing else but what it was configured with', async () => {
    const client = await given.connect('coda-local', key);
    const pid = await textOf(client, 'pid');
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean);
    expect(environment.sort()).toEqual([`API_TOKEN=${PROGRAM_SECRET}`, 'MODE=test']);
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(PROGRAM_SECRET);
    expect(process.env.PATH).toBeDefined();
  });

  it('is not given what Node hands on by itself', async () => {
    const before = process.env.NODE_V8_COVERAGE;
    process.env.NODE_V8_COVERAGE = '/nowhere';
    try {
      const client = await given.connect('coda-local', key);
      expect(await textOf(client, 'variables')).toBe('API_TOKEN MODE');
    } finally {
      if (before === undefined) delete process.env.NODE_V8_COVERAGE;
      else process.env.NODE_V8_COVERAGE = before;
    }
  });

  it('obeys the rules for tools: one that is denied is neither seen nor called', async () => {
    const client = await given.connect('coda-local', key);
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names).toContain('echo');
    expect(names).not.toContain('delete_document');
    await expect(client.callTool({ name: 'delete_document', arguments: {} })).rejects.toThrow(
      'tool delete_document of coda-local is not allowed for agent docs-bot',
    );
    const other = await given.connect('coda-local', await given.agent('editor'));
    expect(await textOf(other, 'delete_document')).toBe('deleted');
  });

  it('runs once for each session, and a session is its agent’s alone', async () => {
    const one = rpcClient(endpoint(), key);
    const two = rpcClient(endpoint(), await given.agent('second'));
    await Promise.all([one.initialize(), two.initialize()]);
    expect(toolText(await one.callTool(1, 'count'))).toBe('1');
    expect(toolText(await one.callTool(2, 'count'))).toBe('2');
    expect(toolText(await two.callTool(1, 'count'))).toBe('1');
    expect(toolText(await one.callTool(3, 'pid'))).not.toBe(toolText(await two.callTool(3, 'pid')));
    two.sessionId = one.sessionId;
    expect(await two.callTool(4, 'count')).toMatchObject({ status: 404 });
  });

  it('tells progress, in order and before the answer', async () => {
    const client = await given.connect('coda-local', key);
    const seen: number[] = [];
    const { content } = await client.callTool(
      { name: 'steps', arguments: { count: 5 } },
      { onprogress: ({ progress }) => void seen.push(progress) },
    );
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(content).toMatchObject([{ text: 'done' }]);
  });

  it('hears of calls that are cancelled', async () => {
    const client = await given.connect('coda-local', key);
    const giveUp = new AbortController();
    const call = client.callTool(
      { name: 'wait', arguments: { name: 'cancelled-call' } },
      { signal: giveUp.signal },
    );
    await given.logged(({ stderr }) => stderr === 'waiting cancelled-call');
    giveUp.abort();
    await expect(call).rejects.toThrow();
    await given.logged(({ stderr }) => stderr === 'cancelled cancelled-call');
  });

  it('asks the client of the session: sampling and elicitation', async () => {
    const client = new Client(
      { name: 'x', version: '1' },
      { capabilities: { sampling: {}, elicitation: { form: {} } } },
    );
    client.setRequestHandler('sampling/createMessage', async ({ params }) => {
      const [message] = params.messages;
      const { text: asked } = Object(message?.content) as { text: string };
      return { model: 'm', role: 'assistant', content: { type: 'text', text: `re: ${asked}` } };
    });
    client.setRequestHandler('elicitation/create', async () => ({
      action: 'accept',
      content: { which: 'that' },
    }));
    await given.connect('coda-local', key, client);
    expect(await textOf(client, 'ask', { question: 'why?' })).toBe('re: why?');
    expect(await textOf(client, 'elicit')).toBe('accept that');
  });

  it('gives large results whole', async () => {
    const client = await given.connect('coda-local', key);
    const bytes = 8 * 1024 * 1024;
    expect(await textOf(client, 'large', { bytes })).toHaveLength(bytes);
  });

  it('ends with its session', async () => {
    const client = rpcClient(endpoint(), key);
    await client.initialize();
    const pid = Number(toolText(await client.callTool(1, 'pid')));
    expect(isRunning(pid)).toBe(true);
    expect((await client.delete()).status).toBe(200);
    await given.logged((line) => line.msg === 'a program has ended' && line.pid === pid);
    expect(isRunning(pid)).toBe(false);
    expect(await client.callTool(2, 'pid')).toMatchObject({ status: 404 });
  });

  it('takes an id once at a time, so that no answer is another’s', async () => {
    const client = rpcClient(endpoint(), key);
    await client.initialize();
    const first = client.callTool(5, 'wait', { name: 'same-id' });
    await given.logged(({ stderr }) => stderr === 'waiting same-id');
    const second = await client.callTool(5, 'echo', { text: 'x' });
    expect(second).toMatchObject({
      status: 400,
      messages: [{ id: 5, error: { data: { code: 'bad_request' } } }],
    });
    const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 5 } };
    await client.post(cancelled);
    // Nothing answers what was cancelled, and nobody waits for it.
    expect(await first).toMatchObject({ status: 200, messages: [] });
    expect(toolText(await client.callTool(6, 'echo', { text: 'goes on' }))).toBe('goes on');
  });

  it('tells calls under way that their session was ended', async () => {
    const client = rpcClient(endpoint(), key);
    await client.initialize();
    const call = client.callTool(1, 'wait', { name: 'ended' });
    await given.logged(({ stderr }) => stderr === 'waiting ended');
    await client.delete();
    const [message] = (await call).messages;
    expect(message).toMatchObject({ id: 1, error: { data: { code: 'upstream_unavailable' } } });
    expect(JSON.stringify(message)).toContain('the agent has ended the session before it answered');
  });

  it('is no HTTP server to clients of the SDK that know its session only', async () => {
    const transport = new StreamableHTTPClientTransport(new URL(endpoint()), {
      sessionId: 'nobody-has-this',
      requestInit: { headers: { authorization: `Bearer ${key}` } },
    });
    await transport.start();
    await expect(transport.send({ jsonrpc: '2.0', id: 1, method: 'ping' })).rejects.toThrow(/404|session/);
  });
});
