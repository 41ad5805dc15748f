import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NewAgent } from '../../src/broker/agents.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import { auditTrail, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const A_DAY_MS = 86_400_000;

let world: World;
let broker: Broker;

const add = (agent: Partial<NewAgent> = {}) =>
  broker.agents.add({
    name: 'docs-bot',
    allow: ['coda'],
    modes: ['token', 'gateway'],
    admin: false,
    expiresAt: null,
    ...agent,
  });

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
});

afterEach(() => world.close());

describe('an agent key', () => {
  it('is mtb_ and 256 random bits in base64url, another one each time', async () => {
    const keys = [(await add()).key.reveal(), (await add({ name: 'other' })).key.reveal()];
    for (const key of keys) expect(key).toMatch(/^mtb_[\w-]{43}$/);
    expect(keys[0]).not.toBe(keys[1]);
  });

  it('is stored only as its digest', async () => {
    const { key, agent } = await add();
    const rows = rowsOf<{ key_digest: string; key_prefix: string }>(world.vaultPath, 'SELECT * FROM agents');
    expect(rows).toMatchObject([
      {
        key_digest: createHash('sha256').update(key.reveal()).digest('base64url'),
        key_prefix: key.reveal().slice(0, 10),
      },
    ]);
    expect(JSON.stringify([agent, rows, await broker.agents.list()])).not.toContain(key.reveal());
    await broker.close();
    expect(readFileSync(world.vaultPath, 'latin1')).not.toContain(key.reveal());
  });

  it('opens the door of its agent and no other', async () => {
    const { key } = await add();
    expect(await broker.agents.authenticate(key)).toMatchObject({
      name: 'docs-bot',
      policy: { allow: ['coda'], modes: ['token', 'gateway'], admin: false },
    });
    for (const wrong of [
      '',
      'mtb_',
      `${key.reveal()}x`,
      key.reveal().toUpperCase(),
      key.reveal().slice(0, -1),
    ]) {
      await expect(broker.agents.authenticate(new Secret(wrong))).rejects.toMatchObject({
        code: 'unauthenticated',
        message: 'the agent key is not valid',
      });
    }
  });

  it('is known to another process at once', async () => {
    const other = await world.openBroker();
    const { key } = await add();
    expect(await other.agents.authenticate(key)).toMatchObject({ name: 'docs-bot' });
    await other.agents.revoke('docs-bot');
    await expect(broker.agents.authenticate(key)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});

describe('the end of an agent', () => {
  it('comes with revoking it, at once and for good, and is answered like an unknown key', async () => {
    const { key } = await add();
    await broker.agents.revoke('docs-bot');
    const unknown = await broker.agents
      .authenticate(new Secret('mtb_unknown'))
      .catch((error: unknown) => error);
    await expect(broker.agents.authenticate(key)).rejects.toEqual(unknown);
    expect(await broker.agents.list()).toMatchObject([{ name: 'docs-bot', status: 'revoked' }]);
    expect(auditTrail(world.vaultPath).map(({ action, outcome }) => [action, outcome])).toEqual([
      ['agent.add', 'ok'],
      ['agent.revoke', 'ok'],
      ['authenticate', 'revoked'],
    ]);
  });

  it('comes with its expiry, to the millisecond', async () => {
    const { key } = await add({ expiresAt: world.clock.now() + A_DAY_MS });
    world.clock.jump(A_DAY_MS - 1);
    await broker.agents.authenticate(key);
    world.clock.jump(1);
    await expect(broker.agents.authenticate(key)).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(await broker.agents.list()).toMatchObject([
      { status: 'expired', expires_at: '2026-01-02T00:00:00Z' },
    ]);
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

describe('a new agent is refused', () => {
  it.each<[string, Partial<NewAgent>]>([
    ['a bad name', { name: 'Docs Bot' }],
    ['a name like a connection', { name: 'docs@alice' }],
    ['a bad pattern', { allow: ['coda', 'Not A Name'] }],
    ['a pattern with two accounts', { allow: ['coda@*@*'] }],
    ['nothing it may use', { allow: [] }],
  ])('with %s', async (_, agent) => {
    await expect(add(agent)).rejects.toMatchObject({ code: 'usage', hint: expect.any(String) });
    expect(await broker.agents.list()).toEqual([]);
  });

  it('with a name that is taken, and the one who has it stays', async () => {
    const { key } = await add();
    await expect(add({ allow: ['*'] })).rejects.toMatchObject({ code: 'usage' });
    expect((await broker.agents.authenticate(key)).policy.allow).toEqual(['coda']);
  });
});

it('the list tells who, what, how, until when, and when last, never the key', async () => {
  await add({ name: 'a-bot', allow: ['coda', 'notion@*'], modes: ['gateway'], admin: true });
  await add({ name: 'b-bot', expiresAt: world.clock.now() + A_DAY_MS });
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
    expect.objectContaining({ name: 'b-bot', expires_at: '2026-01-02T00:00:00Z' }),
  ]);
});
