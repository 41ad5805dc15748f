import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NewAgent } from '../../src/broker/agents.ts';
import { type Caller, OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { signIn } from '../support/sign-in.ts';
import { auditTrail } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

/** An agent as `authenticate` would give it. */
async function agent(policy: Partial<NewAgent>): Promise<Caller> {
  const { key } = await broker.agents.add({
    name: 'docs-bot',
    allow: ['notes'],
    modes: ['token', 'gateway'],
    admin: false,
    expiresAt: null,
    allowUnknown: true,
    ...policy,
  });
  return { kind: 'agent', agent: await broker.agents.authenticate(key) };
}

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  for (const name of ['notes', 'notes@alice', 'notes@bob'])
    await signIn(broker, world.authorizationServer, world.mcp.url, { name });
});

afterEach(() => world.close());

describe('an agent', () => {
  it.each<[string[], string[]]>([
    [['notes'], ['notes']],
    [['notes@*'], ['notes@alice', 'notes@bob']],
    [['*'], ['notes']],
    [
      ['*', '*@alice'],
      ['notes', 'notes@alice'],
    ],
    [['other'], []],
  ])('that may use %j sees %j', async (allow, names) => {
    const caller = await agent({ allow });
    expect((await broker.list(caller)).map(({ name }) => name)).toEqual(names);
    for (const name of names) expect(await broker.token(caller, name)).toMatchObject({ connection: name });
  });

  it('cannot tell a connection it may not see from one that is not there', async () => {
    const caller = await agent({});
    for (const ask of [
      (name: string) => broker.token(caller, name),
      (name: string) => broker.show(caller, name),
      (name: string) => broker.check(caller, name),
    ]) {
      const [hidden, unknown] = await Promise.all(
        ['notes@alice', 'nothing@alice'].map((name) => ask(name).catch((error: unknown) => error as Error)),
      );
      expect(hidden).toMatchObject({ code: 'not_found' });
      expect(hidden).toEqual(
        Object.assign(unknown as Error, {
          message: (unknown as Error).message.replace('nothing', 'notes'),
          connection: 'notes@alice',
        }),
      );
    }
  });

  it('without the mode for it gets no token of what it sees, and the refusal is on disk', async () => {
    const caller = await agent({ modes: ['gateway'] });
    await expect(broker.token(caller, 'notes')).rejects.toMatchObject({
      code: 'forbidden',
      message: 'the agent docs-bot may not be handed the token of notes',
      hint: 'broker agent set docs-bot --mode gateway,token',
      connection: 'notes',
    });
    expect(await broker.show(caller, 'notes')).toMatchObject({ name: 'notes' });
    expect(auditTrail(world.vaultPath).at(-1)).toEqual({
      actor: 'agent:docs-bot',
      action: 'token',
      outcome: 'forbidden',
    });
  });

  it('leaves a refusal on disk also for what it may not see', async () => {
    const caller = await agent({});
    await expect(broker.token(caller, 'notes@alice')).rejects.toThrow();
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ action: 'token', outcome: 'not_found' });
  });
});

it('the operator may do all', async () => {
  expect(await broker.list(OPERATOR)).toHaveLength(3);
  expect(await broker.token(OPERATOR, 'notes@bob')).toMatchObject({ connection: 'notes@bob' });
  await expect(broker.show(OPERATOR, 'nothing')).rejects.toMatchObject({
    code: 'not_found',
    hint: expect.stringContaining('broker login <url>'),
  });
});

describe('hand-outs', () => {
  it('are written down in batches, at most 100 ms late, with who got what', async () => {
    const caller = await agent({});
    await broker.token(caller, 'notes');
    await broker.token(OPERATOR, 'notes@bob');
    const handOuts = () => auditTrail(world.vaultPath).filter(({ action }) => action === 'token');
    expect(handOuts()).toEqual([]);
    await world.clock.advance(100);
    expect(handOuts().map(({ actor }) => actor)).toEqual(['agent:docs-bot', 'operator']);
    expect(await broker.show(OPERATOR, 'notes')).toMatchObject({ last_used_at: expect.any(String) });
    expect(await broker.show(OPERATOR, 'notes@alice')).not.toHaveProperty('last_used_at');
    expect(await broker.agents.list()).toMatchObject([{ last_used_at: expect.any(String) }]);
  });

  it('are written down when the broker closes', async () => {
    await broker.token(OPERATOR, 'notes');
    await broker.close();
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ action: 'token', outcome: 'ok' });
  });
});
