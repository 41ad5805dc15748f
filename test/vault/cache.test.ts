import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { query } from '../../src/vault/database.ts';
import { openTestVault, type TestVault } from '../support/vault.ts';

const HOUR_MS = 3_600_000;

let test: TestVault;

beforeEach(async () => {
  test = await openTestVault();
});

afterEach(async () => {
  vi.useRealTimers();
  await test.close();
});

describe('the cache', () => {
  it('gives back a JSON value as it was', async () => {
    const cache = test.vault.cache('metadata');
    const value = { issuer: 'https://as.example.com', methods: ['S256'], none: null, ':odd': ':text' };
    await cache.set('https://as.example.com', value, HOUR_MS);
    expect(await cache.get('https://as.example.com')).toEqual(value);
  });

  it('has nothing for a key nobody set, or somebody deleted', async () => {
    const cache = test.vault.cache('metadata');
    expect(await cache.get('absent')).toBeUndefined();
    await cache.set('here', 1, HOUR_MS);
    await cache.delete('here');
    await cache.delete('absent');
    expect(await cache.get('here')).toBeUndefined();
  });

  it('takes the empty key for a key', async () => {
    const cache = test.vault.cache('metadata');
    await cache.set('', 'empty', HOUR_MS);
    expect(await cache.get('')).toBe('empty');
  });

  it('forgets a value when its time is over', async () => {
    const cache = test.vault.cache('metadata');
    await cache.set('short', 1, HOUR_MS);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + HOUR_MS - 1000 });
    expect(await cache.get('short')).toBe(1);
    vi.setSystemTime(Date.now() + 2000);
    expect(await cache.get('short')).toBeUndefined();
  });

  it.each([0, -5])('never takes a lifetime of %i for eternity', async (ttlMs) => {
    const cache = test.vault.cache('metadata');
    await cache.set('ended', 1, ttlMs);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 1000 });
    expect(await cache.get('ended')).toBeUndefined();
  });

  it('is still there after the vault was closed and opened', async () => {
    await test.vault.cache('metadata').set('key', { deep: [1, 2] }, HOUR_MS);
    await test.vault.close();
    const again = await test.openAgain();
    expect(await again.cache('metadata').get('key')).toEqual({ deep: [1, 2] });
  });

  it('keeps its namespaces apart, also when a key looks like one', async () => {
    const [one, other] = [test.vault.cache('one'), test.vault.cache('other')];
    await one.set('key', 'mine', HOUR_MS);
    await other.set('one:key', 'theirs', HOUR_MS);
    expect(await one.get('key')).toBe('mine');
    expect(await other.get('key')).toBeUndefined();
    await other.delete('key');
    expect(await one.get('key')).toBe('mine');
  });

  it('takes a value it cannot read for absent, because a cache may be lost', async () => {
    const cache = test.vault.cache('metadata');
    await cache.set('key', 1, HOUR_MS);
    await test.vault.run(() => query("UPDATE cache SET value = 'rubbish'"));
    expect(await cache.get('key')).toBeUndefined();
  });

  it('that is out of order loses values, not the process', async () => {
    const cache = test.vault.cache('metadata');
    await cache.set('key', 1, HOUR_MS);
    await test.vault.run(() => query('DROP TABLE cache'));
    expect(await cache.get('key')).toBeUndefined();
    await expect(cache.set('key', 2, HOUR_MS)).resolves.toBeUndefined();
  });
});
