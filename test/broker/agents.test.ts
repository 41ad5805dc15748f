import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentWishes, NewAgent } from '../../src/broker/agents.ts';
import type { Broker } from '../../src/broker/index.ts';
import { lastRecord, newAgent } from '../support/agents.ts';
import { signIn } from '../support/sign-in.ts';
import { auditTrail } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const A_DAY_MS = 86_400_000;

let world: World;
let broker: Broker;

const add = (agent?: Partial<NewAgent>) => broker.agents.add(newAgent(agent));
const set = (wishes: AgentWishes, name = 'docs-bot') => broker.agents.set(name, wishes);
const connect = (name: string) => signIn(broker, world.authorizationServer, world.mcp.url, { name });

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
});

afterEach(() => world.close());

describe('a new agent is refused', () => {
  it.each<[string, Partial<NewAgent>]>([
    ['a bad name', { name: 'Docs Bot' }],
    ['a name like a connection', { name: 'docs@alice' }],
    ['a bad pattern', { allow: ['coda', 'Not A Name'] }],
    ['a pattern with two accounts', { allow: ['coda@*@*'] }],
    ['a pattern twice', { allow: ['coda', 'coda'] }],
    ['nothing it may use', { allow: [] }],
    ['a bad tool pattern', { toolDeny: ['coda: x'] }],
    ['an end that has passed', { expiresAt: 0 }],
  ])('with %s', async (_, agent) => {
    await expect(add(agent)).rejects.toMatchObject({ code: 'usage', hint: expect.any(String) });
    expect(await broker.agents.list()).toEqual([]);
  });

  it.each<[string, Partial<NewAgent>]>([
    ['what it may use', { allow: ['coda', 'linear'] }],
    ['a tool pattern', { toolAllow: ['linear:read_*'] }],
    ['a denied tool', { toolDeny: ['linear:*'] }],
  ])('with a connection that is not there in %s', async (_, agent) => {
    await connect('coda');
    await expect(add({ allowUnknown: false, ...agent })).rejects.toMatchObject({
      code: 'usage',
      message: 'there is no connection linear to allow',
      hint: expect.stringContaining('--allow-unknown'),
    });
    expect(await broker.agents.list()).toEqual([]);
    expect(await add({ allowUnknown: false, allow: ['coda', 'linear@*'] })).toHaveProperty('key');
  });

  it('with a name that is taken, and the one who has it stays', async () => {
    const { key } = await add();
    await expect(add({ allow: ['*'] })).rejects.toMatchObject({ code: 'usage' });
    expect((await broker.agents.authenticate(key)).policy.allow).toEqual(['coda']);
  });
});

describe('a change', () => {
  it('counts at once, also in another process, and is on record with before and after', async () => {
    const { key } = await add();
    const other = await world.openBroker();
    expect(await other.agents.authenticate(key)).toMatchObject({ policy: { admin: false } });
    const { isChanged } = await set({ addAllow: ['notion@*'], rate: { requests: 9, per: 'h' }, admin: true });
    expect(isChanged).toBe(true);
    // A request of the other process comes in a turn of its own.
    await nextTurn();
    expect(await other.agents.authenticate(key)).toMatchObject({
      policy: { allow: ['coda', 'notion@*'], modes: ['token', 'gateway'], admin: true },
    });
    const { detail, ...record } = lastRecord(world.vaultPath);
    expect(record).toEqual({ actor: 'operator', action: 'agent.set', outcome: 'ok' });
    const { agent, before, after } = detail as Record<string, string>;
    expect(agent).toBe('docs-bot');
    const common = { modes: ['token', 'gateway'], tools: { allow: [], deny: [] }, expiresAt: null };
    expect(JSON.parse(String(before))).toEqual({ ...common, allow: ['coda'], admin: false, rate: null });
    expect(JSON.parse(String(after))).toEqual({
      ...common,
      ...{ allow: ['coda', 'notion@*'], admin: true, rate: '9/h' },
    });
  });

  it('to what was so already changes nothing and leaves no record', async () => {
    await add();
    expect(await set({ allow: ['coda'], admin: false, rate: null, allowUnknown: true })).toMatchObject({
      isChanged: false,
      agent: { name: 'docs-bot', allow: ['coda'] },
    });
    expect(auditTrail(world.vaultPath).map(({ action }) => action)).toEqual(['agent.add']);
  });

  it('that cannot be changes nothing, not even the part that could', async () => {
    await add();
    await expect(set({ admin: true, removeAllow: ['coda'] })).rejects.toMatchObject({ code: 'usage' });
    expect(await broker.agents.list()).toMatchObject([{ admin: false, allow: ['coda'] }]);
  });

  it('may name a connection that is not there only when told so', async () => {
    await add();
    for (const wishes of [{ addAllow: ['linear'] }, { allow: ['linear'] }, { toolDeny: ['linear:x'] }])
      await expect(set(wishes)).rejects.toMatchObject({ code: 'usage', connection: 'linear' });
    expect(await set({ addAllow: ['linear'], allowUnknown: true })).toMatchObject({ isChanged: true });
    expect(await set({ addAllow: ['*@alice'] })).toMatchObject({ isChanged: true });
  });

  it('is not kept from an agent by a connection that has gone since', async () => {
    await add();
    expect((await set({ toolDeny: ['delete_*'] })).agent.tool_deny).toEqual(['delete_*']);
  });

  it('lets an agent live again that has expired', async () => {
    const { key } = await add({ expiresAt: world.clock.now() + 1000 });
    world.clock.jump(1000);
    await expect(broker.agents.authenticate(key)).rejects.toMatchObject({ code: 'unauthenticated' });
    await set({ expiresAt: world.clock.now() + A_DAY_MS });
    expect(await broker.agents.authenticate(key)).toMatchObject({ name: 'docs-bot' });
    expect((await set({ expiresAt: null })).agent).not.toHaveProperty('expires_at');
  });

  it('is refused for an agent that is revoked or not there', async () => {
    await add();
    await broker.agents.revoke('docs-bot');
    await expect(set({ admin: true })).rejects.toMatchObject({
      code: 'usage',
      message: 'the agent docs-bot was revoked',
    });
    await expect(set({ admin: true }, 'nobody')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is not lost to another one at the same time', async () => {
    await add();
    const other = await world.openBroker();
    await Promise.all([
      set({ addAllow: ['a*'] }),
      other.agents.set('docs-bot', { addAllow: ['b*'] }),
      set({ admin: true }),
    ]);
    const [agent] = await broker.agents.list();
    expect(agent?.admin).toBe(true);
    expect([...(agent?.allow ?? [])].sort()).toEqual(['a*', 'b*', 'coda']);
  });
});

describe('an agent in full', () => {
  it('tells what it can see now, and what it is allowed that is not there', async () => {
    await Promise.all(['notes', 'notes@alice', 'notes@bob'].map(connect));
    await add({ allow: ['notes@*', 'coda', 'linear*'] });
    expect(await broker.agents.show('docs-bot')).toMatchObject({
      connections: ['notes@alice', 'notes@bob'],
      unmatched: ['coda', 'linear*'],
    });
    await broker.agents.revoke('docs-bot');
    expect((await broker.agents.show('docs-bot')).connections).toEqual([]);
  });

  it('is told of nobody', async () => {
    await expect(broker.agents.show('nobody')).rejects.toMatchObject({ code: 'not_found' });
    await expect(broker.agents.show('No Name')).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('the end of an agent', () => {
  it('comes with its expiry, to the millisecond, and the reason is on record', async () => {
    const { key } = await add({ expiresAt: world.clock.now() + A_DAY_MS });
    world.clock.jump(A_DAY_MS - 1);
    await broker.agents.authenticate(key);
    world.clock.jump(1);
    await expect(broker.agents.authenticate(key)).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(await broker.agents.list()).toMatchObject([
      { status: 'expired', expires_at: '2026-01-02T00:00:00Z' },
    ]);
    expect(lastRecord(world.vaultPath)).toMatchObject({ actor: 'agent:docs-bot', outcome: 'expired' });
  });

  it('cannot be brought about for an agent that is not there', async () => {
    await expect(broker.agents.revoke('nobody')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('may be brought about twice', async () => {
    await add();
    await broker.agents.revoke('docs-bot');
    await broker.agents.revoke('docs-bot');
  });
});

it('the list tells who, what, how, until when, and when last, never the key', async () => {
  await add({ name: 'a-bot', allow: ['coda', 'notion@*'], modes: ['gateway'], admin: true });
  await add({
    name: 'b-bot',
    expiresAt: world.clock.now() + A_DAY_MS,
    rate: { requests: 600, per: 'm' },
    toolAllow: ['read_*'],
    toolDeny: ['coda:read_secret'],
  });
  expect(await broker.agents.list()).toEqual([
    {
      name: 'a-bot',
      key_prefix: expect.stringMatching(/^mtb_[\w-]{6}$/),
      allow: ['coda', 'notion@*'],
      modes: ['gateway'],
      admin: true,
      status: 'active',
      created_at: '2026-01-01T00:00:00Z',
    },
    expect.objectContaining({
      ...{ name: 'b-bot', expires_at: '2026-01-02T00:00:00Z', rate: '600/m' },
      ...{ tool_allow: ['read_*'], tool_deny: ['coda:read_secret'] },
    }),
  ]);
});
