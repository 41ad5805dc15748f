import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { newAgent } from '../support/agents.ts';
import { type ChangingServer, startChangingServer } from '../support/changing-server.ts';
import { rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let server: ChangingServer;
let broker: Broker;

beforeEach(async () => {
  world = await startWorld();
  server = await startChangingServer();
  broker = await world.openBroker();
  await add('coda');
});
afterEach(async () => {
  await server.close();
  await world.close();
});

const add = (name: string) => broker.addStatic({ name, url: server.url, credential: { kind: 'none' } });
const pin = (name: string, digest = name) => ({ name, digest, definition: { name } });

describe('the rules of a server', () => {
  it('change where they are named, count for other processes at once, and are written down', async () => {
    const other = await world.openBroker();
    const { key } = await broker.agents.add(newAgent({ modes: ['gateway'] }));
    const seen = async () => {
      const agent = await other.agents.authenticate(key);
      return (await other.gateway.open({ kind: 'agent', agent }, 'coda')).policy.server;
    };
    expect(await seen()).toMatchObject({ tools: { allow: [], deny: [] }, readOnly: false, pins: null });

    expect(await broker.gateway.setRules('coda', { deny: ['delete_*'], readOnly: true })).toBe(true);
    expect(await seen()).toMatchObject({ tools: { allow: [], deny: ['delete_*'] }, readOnly: true });
    expect(
      await broker.gateway.setRules('coda', { promptDeny: ['x'], resourceAllow: ['file:///open/*'] }),
    ).toBe(true);
    expect(await broker.gateway.setRules('coda', { readOnly: false, deny: [] })).toBe(true);
    expect(await seen()).toMatchObject({
      ...{ tools: { allow: [], deny: [] }, readOnly: false, prompts: { deny: ['x'] } },
      resources: { allow: ['file:///open/*'] },
    });
    // The same again is no change.
    expect(await broker.gateway.setRules('coda', { deny: [] })).toBe(false);

    const records = rowsOf<{ detail: string }>(
      world.vaultPath,
      "SELECT detail FROM audit WHERE action = 'tools.set'",
    );
    expect(records).toHaveLength(3);
    const { server: of, before, after } = JSON.parse(records[0]?.detail ?? '');
    expect(of).toBe('coda');
    expect(JSON.parse(before)).toMatchObject({ tools: { deny: [] }, readOnly: false });
    expect(JSON.parse(after)).toMatchObject({ tools: { deny: ['delete_*'] }, readOnly: true });
  });

  it.each([
    [{ allow: ['a b'] }, /"a b" is not a name or pattern/],
    [{ deny: ['a', 'a'] }, /"a" is named twice/],
    [{ deny: ['notion:a'] }, /is for another server than coda/],
    [{ promptAllow: [''] }, /is not a name or pattern/],
    [{ resourceDeny: ['file:///a b'] }, /is not a URI or pattern/],
    [{ resourceDeny: ['x'.repeat(2001)] }, /is not a URI or pattern/],
  ])('are refused whole for %j', async (changes, why) => {
    const failure = broker.gateway.setRules('coda', { readOnly: true, ...changes });
    await expect(failure).rejects.toMatchObject({ code: 'usage', message: expect.stringMatching(why) });
    expect((await broker.gateway.rules('coda')).policy.readOnly).toBe(false);
  });

  it('survive another credential, and go with the server', async () => {
    await broker.gateway.setRules('coda', { deny: ['delete_*'], pins: [pin('a')] });
    await add('coda');
    expect((await broker.gateway.rules('coda')).policy).toMatchObject({
      tools: { deny: ['delete_*'] },
      pins: { a: 'a' },
    });
    await broker.logout(OPERATOR, 'coda');
    expect(rowsOf(world.vaultPath, 'SELECT * FROM pinned_tools')).toEqual([]);
    await add('coda');
    expect((await broker.gateway.rules('coda')).policy).toMatchObject({ tools: { deny: [] }, pins: null });
  });
});

describe('accepted tools', () => {
  it('are kept in full, each with the date of its last change', async () => {
    const first = world.clock.now();
    await broker.gateway.setRules('coda', { pins: [pin('a'), pin('b'), pin('__proto__')] });
    await world.clock.advance(1000);
    await broker.gateway.setRules('coda', { pins: [pin('a'), pin('b', 'other'), pin('__proto__')] });
    const { pinned, policy } = await broker.gateway.rules('coda');
    expect(pinned.map(({ name, acceptedAt }) => [name, acceptedAt - first])).toEqual([
      ['__proto__', 0],
      ['a', 0],
      ['b', 1000],
    ]);
    expect(Object.entries(policy.pins ?? {}).sort()).toEqual([
      ['__proto__', '__proto__'],
      ['a', 'a'],
      ['b', 'other'],
    ]);
    expect(pinned[1]?.definition).toEqual({ name: 'a' });
  });

  it('are forgotten with --no-pin, and none is not the same as no pins', async () => {
    await broker.gateway.setRules('coda', { pins: [pin('a')] });
    await broker.gateway.setRules('coda', { pins: [] });
    expect((await broker.gateway.rules('coda')).policy.pins).toEqual({});
    await broker.gateway.setRules('coda', { pins: null });
    expect(await broker.gateway.rules('coda')).toMatchObject({ policy: { pins: null }, pinned: [] });
  });
});

describe('the connection that is meant', () => {
  it('is the one of that name, else the only one of the server', async () => {
    await broker.logout(OPERATOR, 'coda');
    await add('coda@alice');
    expect(await broker.gateway.rules('coda')).toMatchObject({ connection: 'coda@alice', isShared: false });
    await add('coda@bob');
    await expect(broker.gateway.rules('coda')).rejects.toMatchObject({
      code: 'usage',
      message: 'coda has 2 connections: coda@alice, coda@bob',
      hint: expect.stringContaining('broker tools coda@alice'),
    });
    expect(await broker.gateway.rules('coda@bob')).toMatchObject({ connection: 'coda@bob', isShared: true });
    await add('coda');
    expect(await broker.gateway.rules('coda')).toMatchObject({ connection: 'coda' });
    await expect(broker.gateway.rules('nope')).rejects.toMatchObject({ code: 'not_found' });
    await expect(broker.gateway.rules('No Name')).rejects.toMatchObject({ code: 'usage' });
  });

  it('is judged for agents that may use it through the gateway, and for no others', async () => {
    await add('notion');
    await broker.agents.add(newAgent({ name: 'here', modes: ['gateway'] }));
    await broker.agents.add(newAgent({ name: 'both', allow: ['*'] }));
    await broker.agents.add(newAgent({ name: 'tokens', modes: ['token'] }));
    await broker.agents.add(newAgent({ name: 'elsewhere', allow: ['notion'] }));
    await broker.agents.add(newAgent({ name: 'gone' }));
    await broker.agents.revoke('gone');
    const { agents } = await broker.gateway.rules('coda');
    expect(agents.map(({ name, hasOthers }) => [name, hasOthers])).toEqual([
      ['both', true],
      ['here', false],
    ]);
  });
});
