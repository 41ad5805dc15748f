import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rawAgent, toolCall, toolResult } from '../support/gateway-socket.ts';
import { type GatewayWorld, startGatewayWorld } from '../support/gateway-world.ts';

const EVENTS = { 'content-type': 'text/event-stream' };
const JSON_TYPE = { 'content-type': 'application/json' };
const MIB = 1024 * 1024;

describe('streams through the gateway', () => {
  let given: GatewayWorld;
  let key: string;
  beforeEach(async () => {
    given = await startGatewayWorld();
    key = await given.addAgent('docs-bot');
  });
  afterEach(() => given.close());

  const connect = () => rawAgent(given.endpoint, key);

  it.each([
    ['an event', EVENTS, ': first\n\n', `data: ${toolResult()}\n\n`],
    ['a piece of JSON', JSON_TYPE, '{"jsonrpc":"2.0",', '"id":1,"result":{}}'],
  ])('pass %s on before there is more', async (_what, type, first, rest) => {
    const going = Promise.withResolvers<void>();
    given.upstream.answer(async (_call, response) => {
      response.writeHead(200, type).write(first);
      await going.promise;
      response.end(rest);
    });
    const agent = await connect();
    agent.send(toolCall());
    await agent.until(first.trim());
    expect(agent.text()).not.toContain('"id":1');
    going.resolve();
    await agent.until('"id":1');
    agent.socket.destroy();
  });

  it('pass the head of an event stream on before the first event', async () => {
    given.upstream.answer((_call, response) => response.writeHead(200, EVENTS).flushHeaders());
    const agent = await connect();
    agent.send(undefined);
    await agent.until('200 OK');
    agent.socket.destroy();
  });

  it('ask the server for no more than the agent reads', async () => {
    const sent = pour(64 * MIB);
    given.upstream.answer(sent.answer);
    const agent = await connect();
    agent.send(toolCall());
    await agent.until('200 OK');
    agent.socket.pause();
    await sent.stalled;
    // Sockets hold a few MiB between them; the rest has to wait.
    expect(sent.bytes() - agent.bytes()).toBeLessThan(24 * MIB);
    agent.socket.resume();
    await sent.finished;
    await agent.untilBytes(64 * MIB);
    const [record] = await given.calls(1);
    expect(record).toMatchObject({ bytes: 64 * MIB, outcome: 'ok', status: 200 });
    agent.socket.destroy();
  });

  it.each([
    ['before the head of the answer', undefined],
    ['in the middle of the answer', ': here\n\n'],
  ])('tell the server at once that the agent hung up %s', async (_when, first) => {
    given.upstream.answer((_call, response) => {
      if (first !== undefined) response.writeHead(200, EVENTS).write(first);
    });
    const agent = await connect();
    agent.send(toolCall());
    const seen = await given.upstream.nth(0);
    if (first !== undefined) await agent.until(first.trim());
    agent.socket.destroy();
    expect(await seen.ended).toBe(false);
    expect((await given.calls(1))[0]).toMatchObject({ outcome: 'client_gone', name: 'read_doc' });
  });

  it('do not begin for an agent that hung up while the login was renewed', async () => {
    given.upstream.answer((_call, response) => response.end(toolResult()));
    const asked = Promise.withResolvers<void>();
    const going = Promise.withResolvers<void>();
    given.world.authorizationServer.fail(async ({ grantType }) => {
      if (grantType !== 'refresh_token') return undefined;
      asked.resolve();
      await going.promise;
      return undefined;
    });
    given.world.clock.jump(3_590_000);
    const agent = await connect();
    agent.send(toolCall());
    await asked.promise;
    agent.socket.destroy();
    await given.calls(0);
    going.resolve();
    expect((await given.calls(1))[0]).toMatchObject({ outcome: 'client_gone' });
    expect(given.upstream.calls).toEqual([]);
  });

  it('use the connections to the server again', async () => {
    given.upstream.answer((_call, response) =>
      response.writeHead(200, JSON_TYPE).end(toolResult(1, `answer ${given.upstream.calls.length}.`)),
    );
    const agent = await connect();
    for (let id = 1; id <= 10; id += 1) {
      agent.send(toolCall(id));
      await agent.until(`answer ${id}.`);
    }
    const numbers = new Set(given.upstream.calls.map(({ socket }) => socket));
    expect([given.upstream.calls.length, numbers.size]).toEqual([10, 1]);
    agent.socket.destroy();
  });

  it('end at a stop of the daemon, when calls have had their answer', async () => {
    const held: ServerResponse[] = [];
    given.upstream.answer(({ verb }, response) => {
      response.writeHead(200, EVENTS).write(': here\n\n');
      if (verb === 'POST') held.push(response);
    });
    const [listener, caller] = [await connect(), await connect()];
    listener.send(undefined);
    caller.send(toolCall());
    await Promise.all([listener.until(': here'), caller.until(': here')]);
    const stopped = given.stop();
    expect(await listener.closed).toMatch(/\r\n0\r\n\r\n$/);
    held[0]?.end(`data: ${toolResult()}\n\n`);
    await caller.until('fine');
    await stopped;
  });

  it('are told of a stop when somebody listens by POST', async () => {
    given.upstream.answer((_call, response) => response.writeHead(200, EVENTS).write(': here\n\n'));
    const listener = await connect();
    listener.send({ jsonrpc: '2.0', id: 5, method: 'subscriptions/listen', params: {} });
    await listener.until(': here');
    const stopped = given.stop();
    expect(await listener.closed).toContain('"id":5,"error"');
    await stopped;
  });
});

/** Answers with so many bytes, as fast as they are taken. */
function pour(total: number) {
  const stalled = Promise.withResolvers<void>();
  const finished = Promise.withResolvers<void>();
  let bytes = 0;
  return {
    bytes: () => bytes,
    /** Resolves when the other side takes no more: not a byte for as long as it takes to fill all buffers. */
    stalled: stalled.promise,
    finished: finished.promise,
    async answer(_call: unknown, response: ServerResponse) {
      const chunk = Buffer.alloc(64 * 1024, 'x');
      response.writeHead(200, JSON_TYPE);
      while (bytes < total) {
        bytes += chunk.length;
        if (response.write(chunk)) continue;
        const patience = setTimeout(stalled.resolve, 300);
        await once(response, 'drain');
        clearTimeout(patience);
      }
      response.end();
      finished.resolve();
    },
  };
}
