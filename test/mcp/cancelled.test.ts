import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rawAgent, toolCall, toolResult } from '../support/gateway-socket.ts';
import { type GatewayWorld, startGatewayWorld } from '../support/gateway-world.ts';

const cancel = (requestId: unknown) => ({
  ...{ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } },
});

describe('a call that its agent cancels', () => {
  let given: GatewayWorld;
  beforeEach(async () => {
    given = await startGatewayWorld();
    // A server that takes the word, and leaves the stream of the call open.
    given.upstream.answer(({ method }, response) => {
      if (method === 'notifications/cancelled') return response.writeHead(202).end();
      return response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': working\n\n');
    });
  });
  afterEach(() => given.close());

  async function begin(id: number | string, key: string) {
    const agent = await rawAgent(given.endpoint, key);
    agent.send(toolCall(id));
    await agent.until(': working');
    return agent;
  }

  async function say(message: object, key: string): Promise<void> {
    const agent = await rawAgent(given.endpoint, key);
    agent.send(message);
    await agent.until('HTTP/1.1 202');
    agent.socket.destroy();
  }

  it('ends a few seconds later, at the server too, without a word', async () => {
    const key = await given.addAgent('docs-bot');
    const agent = await begin(7, key);
    await say(cancel(7), key);
    await given.world.clock.advance(4_000);
    expect(agent.text()).not.toMatch(/\r\n0\r\n\r\n$/);
    await given.world.clock.advance(2_000);
    const text = await agent.until(/\r\n0\r\n\r\n$/);
    expect(text).not.toContain('"error"');
    expect(await given.upstream.calls[0]?.ended).toBe(false);
    const calls = await given.calls(2);
    expect(calls.map(({ outcome }) => outcome).sort()).toEqual(['cancelled', 'ok']);
    agent.socket.destroy();
  });

  it.each([
    ['of another agent', 7, 'other'],
    ['with another id', 8, 'docs-bot'],
    ['with the id as text', '7', 'docs-bot'],
    ['without an id', undefined, 'docs-bot'],
  ])('goes on after a word %s', async (_whose, id, name) => {
    const keys = new Map([
      ['docs-bot', await given.addAgent('docs-bot')],
      ['other', await given.addAgent('other')],
    ]);
    const agent = await begin(7, keys.get('docs-bot') ?? '');
    await say(cancel(id), keys.get(name) ?? '');
    await given.world.clock.advance(10_000);
    expect(agent.text()).not.toMatch(/\r\n0\r\n\r\n$/);
    agent.socket.destroy();
    expect(await given.upstream.calls[0]?.ended).toBe(false);
  });

  it('still gets the answer that comes in time', async () => {
    const key = await given.addAgent('docs-bot');
    let finish: () => void = () => {};
    given.upstream.answer(({ method }, response) => {
      if (method === 'notifications/cancelled') return response.writeHead(202).end();
      finish = () => void response.end(`data: ${toolResult(7)}\n\n`);
      return response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': working\n\n');
    });
    const agent = await begin(7, key);
    await say(cancel(7), key);
    finish();
    expect(await agent.until(/\r\n0\r\n\r\n$/)).toContain('fine');
    await given.world.clock.advance(10_000);
    agent.socket.destroy();
  });
});
