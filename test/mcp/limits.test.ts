import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authorization } from '../support/gateway-clients.ts';
import { rawAgent, toolCall, toolResult } from '../support/gateway-socket.ts';
import { type GatewayWorld, startGatewayWorld } from '../support/gateway-world.ts';
import { call } from '../support/http-call.ts';

const EVENTS = { 'content-type': 'text/event-stream' };

describe('limits of an agent at the gateway', () => {
  let given: GatewayWorld;
  beforeEach(async () => {
    given = await startGatewayWorld();
  });
  afterEach(() => given.close());

  async function addAgent(limits: object): Promise<string> {
    const key = await given.addAgent('docs-bot');
    given.sql("UPDATE agents SET policy = json_set(policy, '$.limits', json(?))", JSON.stringify(limits));
    return key;
  }

  const hang = () => given.upstream.answer(() => undefined);

  it('answer a call with an error when nothing comes for too long', async () => {
    hang();
    const agent = await rawAgent(given.endpoint, await addAgent({ idleMs: 10_000 }));
    agent.send(toolCall());
    const seen = await given.upstream.nth(0);
    await given.world.clock.advance(11_000);
    const text = await agent.until('"id":1,"error"');
    expect(text).toContain('HTTP/1.1 504');
    expect(text).toContain('nothing came for 10 s');
    expect(text).toMatch(/retry-after: 5/i);
    expect(await seen.ended).toBe(false);
    expect((await given.calls(1))[0]).toMatchObject({ outcome: 'timeout' });
    agent.socket.destroy();
  });

  it('answer a GET in the same way when the server does not begin', async () => {
    hang();
    const agent = await rawAgent(given.endpoint, await addAgent({ idleMs: 10_000 }));
    agent.send(undefined);
    await given.upstream.nth(0);
    await given.world.clock.advance(11_000);
    expect(await agent.until('HTTP/1.1 504')).toContain('504');
    agent.socket.destroy();
  });

  it('end a stream with an error event when nothing comes any more', async () => {
    given.upstream.answer((_call, response) => response.writeHead(200, EVENTS).write(': here\n\n'));
    const agent = await rawAgent(given.endpoint, await addAgent({ idleMs: 10_000 }));
    agent.send(toolCall(3));
    await agent.until(': here');
    await given.world.clock.advance(11_000);
    const text = await agent.until('nothing came for 10 s');
    expect(text).toMatch(/\n\ndata: \{"jsonrpc":"2.0","id":3,"error":\{/);
    agent.socket.destroy();
  });

  it('count from the last byte', async () => {
    const write = Promise.withResolvers<(text: string) => void>();
    given.upstream.answer((_call, response) => {
      response.writeHead(200, EVENTS).write(': 0\n\n');
      write.resolve((text) => void response.write(text));
    });
    const agent = await rawAgent(given.endpoint, await addAgent({ idleMs: 10_000 }));
    agent.send(toolCall());
    for (let step = 1; step <= 4; step += 1) {
      await agent.until(`: ${step - 1}`);
      await given.world.clock.advance(6_000);
      (await write.promise)(`: ${step}\n\n`);
    }
    expect(await agent.until(': 4')).not.toContain('error');
    agent.socket.destroy();
  });

  it('end a call that takes longer in all, however much comes', async () => {
    const write = Promise.withResolvers<(text: string) => void>();
    given.upstream.answer((_call, response) => {
      response.writeHead(200, EVENTS).write(': 0\n\n');
      write.resolve((text) => void response.write(text));
    });
    const agent = await rawAgent(given.endpoint, await addAgent({ idleMs: 10_000, totalMs: 20_000 }));
    agent.send(toolCall());
    for (let step = 1; step <= 4; step += 1) {
      await agent.until(`: ${step - 1}`);
      await given.world.clock.advance(6_000);
      (await write.promise)(`: ${step}\n\n`);
    }
    expect(await agent.until('"error"')).toContain('it took longer than 20 s');
    agent.socket.destroy();
  });

  it('do not end a stream that brings whatever comes', async () => {
    const write = Promise.withResolvers<(text: string) => void>();
    given.upstream.answer((_call, response) => {
      response.writeHead(200, EVENTS).write(': 0\n\n');
      write.resolve((text) => void response.write(text));
    });
    const agent = await rawAgent(given.endpoint, await addAgent({ idleMs: 10_000, totalMs: 20_000 }));
    agent.send(undefined);
    await agent.until(': 0');
    await given.world.clock.advance(3_600_000);
    (await write.promise)(': late\n\n');
    await agent.until(': late');
    agent.socket.destroy();
  });

  it('let no more calls be open at a time, and others again when one has ended', async () => {
    const key = await addAgent({ concurrency: 2 });
    hang();
    const agents = [await rawAgent(given.endpoint, key), await rawAgent(given.endpoint, key)];
    for (const agent of agents) agent.send(toolCall());
    await given.upstream.nth(1);
    const ask = () => call(given.endpoint, { method: 'POST', headers: authorization(key), body: toolCall() });
    const refused = await ask();
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '1']);
    expect(refused.json).toMatchObject({ error: { data: { code: 'rate_limited' } } });
    given.upstream.answer((_call, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(toolResult()),
    );
    agents[0]?.socket.destroy();
    await given.upstream.calls[0]?.ended;
    await given.calls(2);
    expect((await ask()).status).toBe(200);
    agents[1]?.socket.destroy();
  });

  it.each([['with its length told'], ['in pieces']])('refuse a larger body, %s', async (how) => {
    const key = await addAgent({ bodyBytes: 1000 });
    const agent = await rawAgent(given.endpoint, key);
    const body = JSON.stringify(toolCall(1, { text: 'y'.repeat(5000) }));
    const isWhole = how === 'with its length told';
    agent.socket.write(
      `POST /mcp/demo HTTP/1.1\r\nhost: ${new URL(given.url).host}\r\nauthorization: Bearer ${key}\r\n` +
        `content-type: application/json\r\n` +
        (isWhole
          ? `content-length: ${body.length}\r\n\r\n${body}`
          : `transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n`),
    );
    const text = await agent.closed;
    expect(text).toContain('HTTP/1.1 413');
    expect(text).toContain('larger than the 1000 bytes');
    expect(given.upstream.calls).toEqual([]);
  });
});
