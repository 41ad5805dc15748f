import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NewAgent } from '../../src/broker/agents.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import { lastRecord, newAgent } from '../support/agents.ts';
import { auditTrail, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const AN_HOUR_MS = 3_600_000;
const A_DAY_MS = 24 * AN_HOUR_MS;

let world: World;
let broker: Broker;

const add = (agent?: Partial<NewAgent>) => broker.agents.add(newAgent(agent));
const authenticate = (key: Secret) => broker.agents.authenticate(key);
const expectRefused = (key: Secret) =>
  expect(authenticate(key)).rejects.toMatchObject({
    code: 'unauthenticated',
    message: 'the agent key is not valid',
  });

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
});

afterEach(() => world.close());

describe('an agent key', () => {
  it('is mtb_ and 256 random bits in base64url, another one each time', async () => {
    const keys = [
      (await add()).key.reveal(),
      (await add({ name: 'other' })).key.reveal(),
      (await broker.agents.rotate('other')).key.reveal(),
    ];
    for (const key of keys) expect(key).toMatch(/^mtb_[\w-]{43}$/);
    expect(new Set(keys).size).toBe(3);
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
    const rotated = await broker.agents.rotate('docs-bot');
    const shown = JSON.stringify([agent, rows, rotated, await broker.agents.list()]);
    await broker.close();
    const file = readFileSync(world.vaultPath, 'latin1');
    for (const secret of [key.reveal(), rotated.key.reveal()]) {
      expect(shown).not.toContain(secret);
      expect(file).not.toContain(secret);
    }
  });

  it('opens the door of its agent and no other', async () => {
    const { key } = await add();
    expect(await authenticate(key)).toMatchObject({
      name: 'docs-bot',
      policy: { allow: ['coda'], modes: ['token', 'gateway'], admin: false },
    });
    for (const wrong of [
      '',
      'mtb_',
      `${key.reveal()}x`,
      key.reveal().toUpperCase(),
      key.reveal().slice(0, -1),
    ])
      await expectRefused(new Secret(wrong));
  });

  it('is known to another process at once, and so is its end', async () => {
    const other = await world.openBroker();
    const { key } = await add();
    expect(await other.agents.authenticate(key)).toMatchObject({ name: 'docs-bot' });
    await other.agents.revoke('docs-bot');
    await expectRefused(key);
  });
});

describe('a rotated key', () => {
  it('works beside the new one for 24 hours, to the millisecond', async () => {
    const { key: old } = await add();
    const { key, agent } = await broker.agents.rotate('docs-bot');
    expect(agent).toMatchObject({
      key_prefix: key.reveal().slice(0, 10),
      previous_key: { key_prefix: old.reveal().slice(0, 10), ends_at: '2026-01-02T00:00:00Z' },
    });
    world.clock.jump(A_DAY_MS - 1);
    for (const each of [old, key]) expect(await authenticate(each)).toMatchObject({ name: 'docs-bot' });
    world.clock.jump(1);
    await expectRefused(old);
    expect(lastRecord(world.vaultPath)).toMatchObject({ actor: 'agent:docs-bot', outcome: 'rotated' });
    expect(await authenticate(key)).toMatchObject({ name: 'docs-bot' });
    expect((await broker.agents.list())[0]).not.toHaveProperty('previous_key');
  });

  it('ends when it was said, or at once', async () => {
    const { key: first } = await add();
    const { key: second } = await broker.agents.rotate('docs-bot', AN_HOUR_MS);
    world.clock.jump(AN_HOUR_MS);
    await expectRefused(first);
    const { key: third, agent } = await broker.agents.rotate('docs-bot', 0);
    await expectRefused(second);
    expect(await authenticate(third)).toMatchObject({ name: 'docs-bot' });
    expect(agent).not.toHaveProperty('previous_key');
  });

  it('ends before its time with the next rotation, which says so', async () => {
    const { key: first } = await add();
    const { key: second, endedKeyPrefix: none } = await broker.agents.rotate('docs-bot');
    const { key: third, endedKeyPrefix } = await broker.agents.rotate('docs-bot');
    expect([none, endedKeyPrefix]).toEqual([undefined, first.reveal().slice(0, 10)]);
    await expectRefused(first);
    for (const each of [second, third]) expect(await authenticate(each)).toMatchObject({ name: 'docs-bot' });
  });

  it('has the rights of its agent as they are now', async () => {
    const { key: old } = await add();
    await broker.agents.rotate('docs-bot');
    await broker.agents.set('docs-bot', { allow: ['*'] });
    expect((await authenticate(old)).policy.allow).toEqual(['*']);
  });

  it('is cut off together with the new one', async () => {
    const { key: old } = await add();
    const { key } = await broker.agents.rotate('docs-bot');
    await broker.agents.revoke('docs-bot');
    for (const each of [old, key]) await expectRefused(each);
    expect((await broker.agents.list())[0]).not.toHaveProperty('previous_key');
  });

  it('is seen in the list while somebody uses it, to the minute', async () => {
    const { key: old } = await add();
    const { key } = await broker.agents.rotate('docs-bot');
    const usedAt = async () => (await broker.agents.list())[0]?.previous_key?.last_used_at;
    world.clock.jump(AN_HOUR_MS);
    await authenticate(key);
    expect(await usedAt()).toBeUndefined();
    await authenticate(old);
    expect(await usedAt()).toBe('2026-01-01T01:00:00Z');
    world.clock.jump(59_000);
    await authenticate(old);
    expect(await usedAt()).toBe('2026-01-01T01:00:00Z');
    world.clock.jump(1000);
    await authenticate(old);
    expect(await usedAt()).toBe('2026-01-01T01:01:00Z');
  });
});

describe('a rotation', () => {
  it('is on record, with the keys by their prefixes alone', async () => {
    const { key: old } = await add();
    const { key } = await broker.agents.rotate('docs-bot', AN_HOUR_MS);
    expect(lastRecord(world.vaultPath)).toEqual({
      actor: 'operator',
      action: 'agent.rotate',
      outcome: 'ok',
      detail: {
        agent: 'docs-bot',
        key_prefix: key.reveal().slice(0, 10),
        previous_key_prefix: old.reveal().slice(0, 10),
        previous_key_ends_at: '2026-01-01T01:00:00Z',
      },
    });
  });

  it.each([30 * A_DAY_MS + 1, -1, Number.NaN])('with an overlap of %d ms is refused', async (overlapMs) => {
    const { key } = await add();
    await expect(broker.agents.rotate('docs-bot', overlapMs)).rejects.toMatchObject({ code: 'usage' });
    expect((await broker.agents.list())[0]).not.toHaveProperty('previous_key');
    expect(await authenticate(key)).toMatchObject({ name: 'docs-bot' });
  });

  it('is refused for an agent that has expired, is revoked, or is not there', async () => {
    await add({ expiresAt: world.clock.now() + 1 });
    world.clock.jump(1);
    await expect(broker.agents.rotate('docs-bot')).rejects.toMatchObject({
      code: 'usage',
      hint: expect.stringContaining('broker agent set docs-bot --expires'),
    });
    await broker.agents.revoke('docs-bot');
    await expect(broker.agents.rotate('docs-bot')).rejects.toMatchObject({ code: 'usage' });
    await expect(broker.agents.rotate('nobody')).rejects.toMatchObject({ code: 'not_found' });
    expect(auditTrail(world.vaultPath).map(({ action }) => action)).toEqual(['agent.add', 'agent.revoke']);
  });
});
