import type { Client } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  isRunning,
  type ProgramWorld,
  STDIO_SERVER,
  startProgramWorld,
  textOf,
} from '../support/program-world.ts';
import { type RpcClient, rpcClient, toolText } from '../support/rpc.ts';

let given: ProgramWorld;
let one: string;
let two: string;

beforeAll(async () => {
  given = await startProgramWorld();
  one = await given.agent('one', { toolDeny: ['delete_document'] });
  two = await given.agent('two');
});
afterAll(() => given.close());

async function session(name: string, key: string): Promise<RpcClient> {
  const client = rpcClient(`${given.url}/mcp/${name}`, key);
  await client.initialize();
  return client;
}

/** Each test has a program of its own: a shared one outlives its callers. */
async function share(name: string, args: string[] = []): Promise<void> {
  await given.add(name, { processes: 'shared', args: [STDIO_SERVER, ...args] });
}

describe('a program that is shared', () => {
  it('is one process for all sessions of all agents, begun once', async () => {
    await share('begun-once');
    const clients = await Promise.all([session('begun-once', one), session('begun-once', two)]);
    const third = await given.connect('begun-once', one);
    expect(third.getServerVersion()?.name).toBe('stdio-test-server');
    const pids = await Promise.all([
      ...clients.map(async (client) => toolText(await client.callTool(1, 'pid'))),
      textOf(third, 'pid'),
    ]);
    expect(new Set(pids).size).toBe(1);
    const starts = given.log.filter(
      ({ msg, connection }) => msg === 'a program has started' && connection === 'begun-once',
    );
    expect(starts).toHaveLength(1);
  });

  it('obeys the rules of each agent', async () => {
    await share('ruled');
    const [bound, free] = [await given.connect('ruled', one), await given.connect('ruled', two)];
    const names = async (client: Client) => (await client.listTools()).tools.map(({ name }) => name);
    expect(await names(bound)).not.toContain('delete_document');
    expect(await names(free)).toContain('delete_document');
    await expect(bound.callTool({ name: 'delete_document', arguments: {} })).rejects.toThrow('not allowed');
    expect(await textOf(free, 'delete_document')).toBe('deleted');
  });

  it('answers the right one, although all use the same ids and progress tokens', async () => {
    await share('same-ids');
    const clients = [await session('same-ids', one), await session('same-ids', two)];
    const answers = await Promise.all(
      clients.flatMap((client, at) => [
        client.callTool(1, 'echo', { text: `of ${at}` }),
        client.callTool('p', 'steps', { count: at + 2 }, { progressToken: 7 }),
      ]),
    );
    expect([answers[0], answers[2]].map((each) => each && toolText(each))).toEqual(['of 0', 'of 1']);
    const progress = (at: number) =>
      answers[at]?.messages
        .filter(({ method }) => method === 'notifications/progress')
        .map(({ params }) => params);
    const told = (total: number) =>
      Array.from({ length: total }, (_, at) => ({ progressToken: 7, progress: at + 1, total }));
    expect(progress(1)).toEqual(told(2));
    expect(progress(3)).toEqual(told(3));
  });

  it('hears which call is cancelled, and of whom', async () => {
    await share('cancels');
    const clients = [await session('cancels', one), await session('cancels', two)] as [RpcClient, RpcClient];
    const calls = clients.map((client, at) => client.callTool(1, 'wait', { name: `shared ${at}` }));
    await Promise.all([0, 1].map((at) => given.logged(({ stderr }) => stderr === `waiting shared ${at}`)));
    const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
    await clients[1].post(cancelled);
    await given.logged(({ stderr }) => stderr === 'cancelled shared 1');
    expect(await calls[1]).toMatchObject({ messages: [] });
    expect(given.log.some(({ stderr }) => stderr === 'cancelled shared 0')).toBe(false);
    await clients[0].delete();
    // Whoever leaves takes along what nobody waits for any more.
    await given.logged(({ stderr }) => stderr === 'cancelled shared 0');
    await calls[0];
  });

  it('tells all what it says to everybody', async () => {
    await share('announces');
    const [teller, listener] = [await session('announces', one), await session('announces', two)];
    const next = await listener.listen();
    await teller.callTool(1, 'announce', { text: 'to all' });
    expect(await next()).toMatchObject({ method: 'notifications/message', params: { data: 'to all' } });
  });

  it('cannot ask a client, because nobody could tell which', async () => {
    await share('asks');
    const client = await session('asks', one);
    const answer = await client.callTool(1, 'ask', { question: 'who?' });
    expect(JSON.stringify(answer.messages)).toMatch(/does not support sampling|nobody can tell whose/);
  });

  it('that ends by itself ends all its sessions, and the next one starts it again', async () => {
    await share('crashes');
    const clients = [await session('crashes', one), await session('crashes', two)] as [RpcClient, RpcClient];
    const pid = toolText(await clients[0].callTool(1, 'pid'));
    const waiting = clients[0].callTool(2, 'wait', { name: 'for the crash' });
    await given.logged(({ stderr }) => stderr === 'waiting for the crash');
    const crashed = await clients[1].callTool(2, 'crash');
    for (const { messages } of [crashed, await waiting]) {
      expect(messages).toMatchObject([{ id: 2, error: { data: { code: 'upstream_unavailable' } } }]);
      expect(JSON.stringify(messages)).toContain('has ended (exit code 3) before it answered');
    }
    for (const client of clients) expect((await client.callTool(3, 'pid')).status).toBe(404);
    const again = await session('crashes', one);
    expect(toolText(await again.callTool(1, 'pid'))).not.toBe(pid);
  });

  it('is ended with its last session, not before', async () => {
    await share('left', ['--stubborn']);
    const clients = [await session('left', one), await session('left', two)] as [RpcClient, RpcClient];
    const pid = Number(toolText(await clients[0].callTool(1, 'pid')));
    await clients[0].delete();
    expect(Number(toolText(await clients[1].callTool(1, 'pid')))).toBe(pid);
    await clients[1].delete();
    await given.logged((line) => line.msg === 'a program is asked to end' && line.pid === pid);
    expect(isRunning(pid)).toBe(true);
    // Whoever comes while it leaves is given another.
    const next = await session('left', one);
    const other = Number(toolText(await next.callTool(1, 'pid')));
    expect(other).not.toBe(pid);
    await next.delete();
    await given.logged((line) => line.msg === 'a program is asked to end' && line.pid === other);
    for (const grace of [1_000, 4_000]) await given.world.clock.advance(grace);
    for (const each of [pid, other])
      await given.logged((line) => line.msg === 'a program has ended' && line.pid === each);
  });

  it('is another one for sessions that begin after its secret has changed', async () => {
    await share('renewed');
    const before = await session('renewed', one);
    const pid = toolText(await before.callTool(1, 'pid'));
    await given.add('renewed', { processes: 'shared', env: { API_TOKEN: '{{coda-pat}}', MODE: 'other' } });
    const after = await session('renewed', two);
    expect(toolText(await after.callTool(1, 'pid'))).not.toBe(pid);
    expect(toolText(await before.callTool(2, 'pid'))).toBe(pid);
  });

  it('that does not begin is told of to whoever waits for it', async () => {
    await share('dead-together', ['--dead']);
    const clients = [one, two].map((key) => rpcClient(`${given.url}/mcp/dead-together`, key));
    const answers = await Promise.all(clients.map((client) => client.initialize()));
    for (const { status, messages } of answers) {
      expect(status).toBe(503);
      expect(JSON.stringify(messages)).toContain(
        'the program of dead-together has ended (exit code 4) before it began',
      );
    }
  });
});
