import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent, AgentPolicy } from '../../src/core/access-policy.ts';
import { Secret } from '../../src/secret.ts';
import {
  findAgent,
  findAgentByKey,
  insertAgent,
  keyDigest,
  listAgents,
  markAgentUsed,
  markPreviousKeyUsed,
  replaceKey,
  revokeAgent,
  updateRights,
} from '../../src/vault/agents.ts';
import { openTestVault, type TestVault } from '../support/vault.ts';

const KEY = new Secret('mtb_plainly-a-fake-key');

const POLICY: AgentPolicy = {
  allow: ['coda', 'notion@*'],
  modes: ['token'],
  tools: { allow: ['read_*'], deny: ['coda:delete_*'] },
  rate: { requests: 600, per: 'm' },
  admin: false,
};

let test: TestVault;

beforeEach(async () => {
  test = await openTestVault();
});

afterEach(() => test.close());

function agent(name: string, changes: Partial<Agent> = {}): Agent {
  return {
    name,
    policy: { ...POLICY },
    keyPrefix: 'mtb_plainl',
    previousKey: null,
    createdAt: 1,
    expiresAt: null,
    revokedAt: null,
    lastUsedAt: null,
    ...changes,
  };
}

const insert = (given: Agent, key = KEY) => test.vault.transaction(() => insertAgent(given, keyDigest(key)));
const find = (name: string) => test.vault.run(() => findAgent(name));
const findByKey = (key: Secret) => test.vault.run(() => findAgentByKey(keyDigest(key)));
const mark = (key: Secret, now: number) => test.vault.run(() => markPreviousKeyUsed(keyDigest(key), now));
const replace = (name: string, key: string, endsAt: number) =>
  test.vault.transaction(() =>
    replaceKey(name, { digest: keyDigest(new Secret(key)), prefix: key.slice(0, 10) }, endsAt),
  );
const revoke = (name: string, now: number) => test.vault.transaction(() => revokeAgent(name, now));

describe('an agent', () => {
  it('is found by its key and by its name, as it was stored', async () => {
    const given = agent('ci', { expiresAt: 99 });
    expect(await insert(given)).toBe(true);
    expect(await findByKey(KEY)).toEqual({ agent: given, keyAge: 'current' });
    expect(await find('ci')).toEqual(given);
  });

  it('is not found by another key, nor by the digest or the prefix of its own', async () => {
    await insert(agent('ci'));
    for (const key of ['mtb_other', 'mtb_plainl', keyDigest(KEY), '']) {
      expect(await findByKey(new Secret(key))).toBeUndefined();
    }
  });

  it('leaves only a digest of its key in the file', async () => {
    await insert(agent('ci'));
    const file = readFileSync(`${test.path}-wal`, 'latin1');
    expect(file).toContain(keyDigest(KEY));
    expect(file).not.toContain(KEY.reveal());
  });

  it('cannot have a name that is taken, and does not change who has it', async () => {
    await insert(agent('ci'));
    expect(await insert(agent('ci', { keyPrefix: 'mtb_second' }), new Secret('mtb_second'))).toBe(false);
    expect(await findByKey(new Secret('mtb_second'))).toBeUndefined();
    expect((await findByKey(KEY))?.agent.keyPrefix).toBe('mtb_plainl');
  });

  it('frees its name when it is revoked, and the old key opens nothing for the new one', async () => {
    await insert(agent('ci'));
    await revoke('ci', 5);
    expect(await insert(agent('ci'), new Secret('mtb_second'))).toBe(true);
    expect(await findByKey(KEY)).toBeUndefined();
    expect((await findByKey(new Secret('mtb_second')))?.agent).toMatchObject({
      name: 'ci',
      revokedAt: null,
      lastUsedAt: null,
    });
  });

  it('leaves neither of its keys behind when another takes its name', async () => {
    await insert(agent('ci'));
    await replace('ci', 'mtb_second', 99);
    await revoke('ci', 5);
    await insert(agent('ci', { keyPrefix: 'mtb_third' }), new Secret('mtb_third'));
    for (const old of [KEY, new Secret('mtb_second')]) expect(await findByKey(old)).toBeUndefined();
    expect(await find('ci')).toEqual(agent('ci', { keyPrefix: 'mtb_third' }));
  });

  it('gets other rights and keeps all else', async () => {
    await insert(agent('ci'));
    await insert(agent('other'), new Secret('mtb_other'));
    const rights = { policy: { ...POLICY, allow: ['linear'], rate: null }, expiresAt: 77 };
    await test.vault.transaction(() => updateRights('ci', rights));
    expect(await find('ci')).toEqual(agent('ci', rights));
    expect(await find('other')).toEqual(agent('other'));
  });

  it('is revoked once: the first time counts', async () => {
    await insert(agent('ci'));
    expect(await revoke('ci', 5)).toBe(true);
    expect(await revoke('ci', 9)).toBe(true);
    expect((await find('ci'))?.revokedAt).toBe(5);
  });

  it('that nobody knows cannot be revoked', async () => {
    expect(await revoke('nobody', 5)).toBe(false);
  });

  it('remembers when it was last used', async () => {
    await insert(agent('ci'));
    await test.vault.run(() => markAgentUsed('ci', 7));
    expect((await find('ci'))?.lastUsedAt).toBe(7);
  });
});

describe('a key that is replaced', () => {
  beforeEach(async () => {
    await insert(agent('ci'));
    await replace('ci', 'mtb_second', 99);
  });

  it('still leads to its agent, as the previous one, with its end', async () => {
    expect(await findByKey(KEY)).toMatchObject({
      keyAge: 'previous',
      agent: { name: 'ci', keyPrefix: 'mtb_second' },
    });
    expect(await findByKey(new Secret('mtb_second'))).toMatchObject({ keyAge: 'current' });
    expect((await find('ci'))?.previousKey).toEqual({ prefix: 'mtb_plainl', endsAt: 99, lastUsedAt: null });
  });

  it('is forgotten with the next one', async () => {
    await mark(KEY, 3);
    await replace('ci', 'mtb_third', 199);
    expect(await findByKey(KEY)).toBeUndefined();
    expect(await findByKey(new Secret('mtb_second'))).toMatchObject({ keyAge: 'previous' });
    expect((await find('ci'))?.previousKey).toEqual({ prefix: 'mtb_second', endsAt: 199, lastUsedAt: null });
  });

  it('remembers when somebody last came with it, and the new one does not count', async () => {
    await mark(new Secret('mtb_second'), 3);
    expect((await find('ci'))?.previousKey?.lastUsedAt).toBeNull();
    await mark(KEY, 4);
    expect((await find('ci'))?.previousKey?.lastUsedAt).toBe(4);
  });
});

describe('all agents', () => {
  it('are listed by name, revoked ones included', async () => {
    await insert(agent('zeta'), new Secret('mtb_1'));
    await insert(agent('alpha'), new Secret('mtb_2'));
    await revoke('alpha', 5);
    expect((await test.vault.run(listAgents)).map(({ name }) => name)).toEqual(['alpha', 'zeta']);
  });
});
