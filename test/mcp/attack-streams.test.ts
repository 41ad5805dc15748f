/** Streams that are open while an operator changes his mind. */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type AttackWorld, JSON_TYPE, message, shareAttackWorld } from '../support/attack-world.ts';

let world: AttackWorld;
shareAttackWorld((given) => {
  world = given;
});

const EVENT = 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n';
const LISTEN = message('subscriptions/listen', { notifications: {} });

/** An agent with a stream that does not end by itself, open to the end. */
async function listening(name: string, call: { method: string; body?: string }) {
  const { key } = await world.broker.agents.add({
    ...{ name, allow: ['coda'], modes: ['gateway'], admin: false, expiresAt: null },
  });
  const begun = Promise.withResolvers<void>();
  const given = Promise.withResolvers<void>();
  world.coda.answerWith((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(EVENT, () => begun.resolve());
    response.on('close', given.resolve);
  });
  const headers: [string, string][] = [JSON_TYPE, ['Authorization', `Bearer ${key.reveal()}`]];
  const reply = world.attack({ bare: true, headers, ...call });
  await begun.promise;
  return { reply, endedAtServer: given.promise };
}

/** Lets time pass until the stream ends; one that does not ends the test by its own limit. */
async function untilEnded<T>(reply: Promise<T>): Promise<T> {
  const ended = reply.then(() => true);
  while (!(await Promise.race([ended, setImmediate(false)]))) await world.clock.advance(5_000);
  return reply;
}

describe('an open stream ends', () => {
  it.each<[string, string, { method: string; body?: string }, (name: string) => Promise<unknown>]>([
    ['when its agent is cut off', 'gone', { method: 'GET' }, (name) => world.broker.agents.revoke(name)],
    [
      'when its agent gets a rule',
      'bound',
      { method: 'GET' },
      (name) => world.broker.agents.set(name, { toolDeny: ['x'] }),
    ],
    [
      'when its connection is taken away',
      'moved',
      { method: 'POST', body: LISTEN },
      (name) => world.broker.agents.set(name, { allow: ['other'] }),
    ],
    [
      'when its agent may not use the gateway any more',
      'handed',
      { method: 'GET' },
      (name) => world.broker.agents.set(name, { modes: ['token'] }),
    ],
  ])('%s', async (_when, name, call, change) => {
    const { reply, endedAtServer } = await listening(name, call);
    await change(name);
    const { text } = await untilEnded(reply);
    await endedAtServer;
    expect(text).toContain('notifications/message');
    expect(text.includes('what the agent may do has changed')).toBe(call.method === 'POST');
  });

  it('and not before', async () => {
    const { reply } = await listening('steady', { method: 'GET' });
    const ended = reply.then(() => 'ended');
    for (let round = 0; round < 5; round += 1) {
      await world.clock.advance(60_000);
      world.coda.reset();
      const other = world.attack({ body: message('ping') }, 'free').then(() => 'open');
      expect(await Promise.race([ended, other])).toBe('open');
    }
    await world.broker.agents.revoke('steady');
    expect(await untilEnded(ended)).toBe('ended');
  });
});
