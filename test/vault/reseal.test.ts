import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findConnection, openTokenSet, replaceTokenSet, sealTokenSet } from '../../src/vault/connections.ts';
import { query } from '../../src/vault/database.ts';
import { insertWrapped, loadKeys, newestDataKey, nextDataKey } from '../../src/vault/keys.ts';
import { countByKey, nextToReseal, resealed } from '../../src/vault/reseal.ts';
import { openSpare, saveSpare, sealSpare } from '../../src/vault/spare.ts';
import { fakeTokens, openTestVault, storeConnection, type TestVault } from '../support/vault.ts';

let test: TestVault;

beforeEach(async () => {
  test = await openTestVault();
});

afterEach(() => test.close());

const counts = () => test.vault.run(() => countByKey());
const left = () => test.vault.run(() => nextToReseal(newest));

let newest = '';

async function addDataKey(): Promise<string> {
  const { vault } = test;
  const key = nextDataKey(await loadKeys(vault, vault.masterKey), 0);
  await vault.transaction(await insertWrapped([key], [vault.masterKey]));
  newest = (await vault.run(() => newestDataKey(vault.masterKey.id))) as string;
  expect(newest).toBe(key.id);
  return newest;
}

/** One step; how many values it took. */
async function step(): Promise<number> {
  const values = await left();
  await test.vault.transaction(await resealed(test.vault.sealer, values));
  return values.length;
}

const find = async (name: string) => {
  const stored = await test.vault.run(() => findConnection(name));
  if (!stored) throw new Error(`${name} is gone`);
  return stored;
};

describe('sealing again', () => {
  it('takes some values at a time, until none is left', async () => {
    for (let number = 0; number < 60; number += 1) await storeConnection(test, `server-${number}`);
    const key = await addDataKey();
    expect([...(await counts()).values()]).toEqual([120]);
    const taken = [await step(), await step(), await step(), await step()];
    expect(taken).toEqual([50, 50, 20, 0]);
    expect(await counts()).toEqual(new Map([[key, 120]]));
    const tokens = await openTokenSet(test.vault.sealer, await find('server-59'));
    expect(tokens.refreshToken?.reveal()).toBe('refresh-server-59');
  });

  it('takes the spare as well', async () => {
    const { id } = await storeConnection(test, 'coda');
    const spare = await sealSpare(test.vault.sealer, id, 7, {
      tokens: fakeTokens('late', 0),
      clientRowId: null,
    });
    await test.vault.transaction(() => saveSpare(id, spare, 7));
    const key = await addDataKey();
    expect(await step()).toBe(3);
    expect(await counts()).toEqual(new Map([[key, 3]]));
    const opened = await openSpare(test.vault.sealer, await find('coda'));
    expect(opened?.tokens.refreshToken?.reveal()).toBe('refresh-late');
  });

  it('does not put an old value back when a newer one came meanwhile', async () => {
    const { id } = await storeConnection(test, 'coda');
    await addDataKey();
    const replace = await resealed(test.vault.sealer, await left());
    const next = await sealTokenSet(test.vault.sealer, id, 2, fakeTokens('newer', 0));
    await test.vault.transaction(() => replaceTokenSet(id, 1, next));
    await test.vault.transaction(replace);
    const tokens = await openTokenSet(test.vault.sealer, await find('coda'));
    expect(tokens.refreshToken?.reveal()).toBe('refresh-newer');
    expect(await left()).toEqual([]);
  });

  it('stops at a value that was tampered with, and changes nothing', async () => {
    const { id } = await storeConnection(test, 'coda');
    await addDataKey();
    await test.vault.run(() => query("UPDATE connections SET secrets = secrets || 'x' WHERE id = ?", id));
    const values = await left();
    await expect(resealed(test.vault.sealer, values)).rejects.toMatchObject({ code: 'vault_unavailable' });
    expect(await left()).toEqual(values);
  });
});
