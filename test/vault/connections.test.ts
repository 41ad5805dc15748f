import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/core/connection.ts';
import {
  deleteConnection,
  findConnection,
  findConnectionById,
  listConnections,
  markUsed,
  openTokenSet,
  recordState,
  replaceTokenSet,
  type StoredConnection,
  sealTokenSet,
} from '../../src/vault/connections.ts';
import { query } from '../../src/vault/database.ts';
import { saveSpare, sealSpare } from '../../src/vault/spare.ts';
import { fakeTokens, openTestVault, storeConnection, type TestVault } from '../support/vault.ts';

let test: TestVault;
let stored: StoredConnection;

beforeEach(async () => {
  test = await openTestVault();
  stored = await storeConnection(test, 'coda');
});

afterEach(() => test.close());

/** What a login or refresh would put in place of generation `from`. */
function next(label: string, from = 1) {
  return sealTokenSet(test.vault.sealer, stored.id, from + 1, fakeTokens(label, test.clock.now()));
}

async function current(): Promise<StoredConnection> {
  const found = await test.vault.run(() => findConnectionById(stored.id));
  if (!found) throw new Error('the connection is gone');
  return found;
}

const troubled = (changes: Partial<Connection> = {}) => ({
  state: 'uncertain' as Connection['state'],
  code: 'timeout',
  cause: 'the answer was lost',
  since: 5,
  nextAttemptAt: 99,
  failures: 2,
  ...changes,
});

describe('a stored connection', () => {
  it('has its tokens back after the vault was closed and opened', async () => {
    const again = await test.openAgain();
    const tokens = await openTokenSet(again.sealer, stored);
    const fake = fakeTokens('coda', test.clock.now());
    expect(tokens).toEqual(fake);
    expect(tokens.refreshToken?.reveal()).toBe('refresh-coda');
  });

  it('holds no token in clear anywhere in its file', () => {
    const files = [test.path, `${test.path}-wal`].map((file) => readFileSync(file, 'latin1')).join();
    expect(files).toContain('https://mcp.example.com/coda');
    expect(files).not.toMatch(/access-coda|refresh-coda/);
  });

  it('shows no secret when it is printed', () => {
    expect(JSON.stringify({ ...stored, sealed: '' })).not.toMatch(/access-coda|refresh-coda/);
  });

  it('is found by name and by id, and is absent otherwise', async () => {
    const { vault } = test;
    expect((await vault.run(() => findConnection('coda')))?.id).toBe(stored.id);
    expect(await vault.run(() => findConnection('Coda'))).toBeUndefined();
    expect(await vault.run(() => findConnectionById('nobody'))).toBeUndefined();
  });

  it('is listed by name', async () => {
    await storeConnection(test, 'atlas@bob');
    const names = (await test.vault.run(listConnections)).map(({ name, account }) => [name, account]);
    expect(names).toEqual([
      ['atlas@bob', 'bob'],
      ['coda', null],
    ]);
  });

  it('does not open when its secrets were copied from another row', async () => {
    const other = await storeConnection(test, 'notion');
    await test.vault.run(() =>
      query('UPDATE connections SET secrets = ? WHERE id = ?', other.sealed, stored.id),
    );
    await expect(openTokenSet(test.vault.sealer, await current())).rejects.toMatchObject({
      code: 'vault_unavailable',
    });
  });

  it('does not open when older secrets were put back', async () => {
    const newer = await next('new');
    await test.vault.transaction(() => replaceTokenSet(stored.id, 1, newer));
    await test.vault.run(() =>
      query('UPDATE connections SET secrets = ? WHERE id = ?', stored.sealed, stored.id),
    );
    await expect(openTokenSet(test.vault.sealer, await current())).rejects.toMatchObject({
      code: 'vault_unavailable',
    });
  });

  it('without refresh token, expiry, scope and account is the same after opening', async () => {
    const bare = {
      refreshToken: undefined,
      accessExpiresAt: undefined,
      scope: undefined,
      accountIdentity: undefined,
    };
    const tokens = fakeTokens('bare', test.clock.now(), { ...bare, tokenType: undefined });
    const sealed = await sealTokenSet(test.vault.sealer, stored.id, 2, tokens);
    await test.vault.transaction(() => replaceTokenSet(stored.id, 1, sealed));
    expect(await current()).toMatchObject({ hasRefreshToken: false, accessExpiresAt: null, scope: null });
    expect(await openTokenSet(test.vault.sealer, await current())).toEqual(tokens);
  });
});

describe('replacing a token set', () => {
  it('raises the generation and makes the state ok', async () => {
    await test.vault.transaction(() => recordState(stored.id, 1, troubled(), 7));
    await test.clock.advance(1000);
    const newer = await next('new');
    expect(await test.vault.transaction(() => replaceTokenSet(stored.id, 1, newer))).toBe(true);
    const now = test.clock.now();
    const fine = { state: 'ok', code: null, cause: null, failures: 0, nextAttemptAt: null, since: now };
    expect(await current()).toMatchObject({ ...fine, generation: 2, receivedAt: now });
    expect((await openTokenSet(test.vault.sealer, await current())).accessToken.reveal()).toBe('access-new');
  });

  it('keeps the time since when all has been well', async () => {
    await test.clock.advance(1000);
    const newer = await next('new');
    await test.vault.transaction(() => replaceTokenSet(stored.id, 1, newer));
    expect((await current()).since).toBe(stored.since);
  });

  it('is won by exactly one of two writers that saw the same generation', async () => {
    const other = await test.openAgain();
    const [mine, theirs] = [await next('mine'), await next('theirs')];
    const won = await Promise.all([
      test.vault.transaction(() => replaceTokenSet(stored.id, 1, mine)),
      other.transaction(() => replaceTokenSet(stored.id, 1, theirs)),
    ]);
    expect(won.toSorted()).toEqual([false, true]);
    const winner = won[0] ? 'access-mine' : 'access-theirs';
    expect((await openTokenSet(other.sealer, await current())).accessToken.reveal()).toBe(winner);
    expect((await current()).generation).toBe(2);
  });

  it('writes nothing when the generation has moved', async () => {
    const [first, late] = [await next('first'), await next('late')];
    await test.vault.transaction(() => replaceTokenSet(stored.id, 1, first));
    const before = await current();
    expect(await test.vault.transaction(() => replaceTokenSet(stored.id, 1, late))).toBe(false);
    expect(await current()).toEqual(before);
  });

  it('keeps the client unless a login brings another', async () => {
    const other = await storeConnection(test, 'notion');
    const byRefresh = await next('two');
    await test.vault.transaction(() => replaceTokenSet(stored.id, 1, byRefresh));
    expect((await current()).clientRowId).toBe(stored.clientRowId);
    const byLogin = await next('three', 2);
    await test.vault.transaction(() =>
      replaceTokenSet(stored.id, 2, byLogin, other.clientRowId ?? undefined),
    );
    expect((await current()).clientRowId).toBe(other.clientRowId);
  });
});

describe('recording a state', () => {
  it('keeps it with its reason and leaves the secrets alone', async () => {
    expect(await test.vault.transaction(() => recordState(stored.id, 1, troubled(), 7))).toBe(true);
    expect(await current()).toMatchObject({ ...troubled(), generation: 1, sealed: stored.sealed });
  });

  it('writes nothing for a generation that has moved', async () => {
    const newer = await next('new');
    await test.vault.transaction(() => replaceTokenSet(stored.id, 1, newer));
    const before = await current();
    const late = troubled({ state: 'login_required' });
    expect(await test.vault.transaction(() => recordState(stored.id, 1, late, 7))).toBe(false);
    expect(await current()).toEqual(before);
  });
});

describe('a pair that came too late', () => {
  it('is kept beside the newer one, sealed', async () => {
    expect(stored.spare).toBeNull();
    const spare = await sealSpare(test.vault.sealer, stored.id, 1, {
      tokens: fakeTokens('late', 0),
      clientRowId: null,
    });
    await test.vault.transaction(() => saveSpare(stored.id, spare, 1));
    expect((await current()).spare).not.toBeNull();
    expect(readFileSync(`${test.path}-wal`, 'latin1')).not.toContain('refresh-late');
    expect((await openTokenSet(test.vault.sealer, await current())).accessToken.reveal()).toBe('access-coda');
  });
});

describe('a connection in use', () => {
  it('remembers when it was last used', async () => {
    await test.vault.run(() => markUsed(stored.id, 77));
    expect((await current()).lastUsedAt).toBe(77);
  });

  it('is forgotten by a logout, and its name is free again', async () => {
    await test.vault.transaction(() => deleteConnection(stored.id));
    expect(await test.vault.run(() => findConnection('coda'))).toBeUndefined();
    await storeConnection(test, 'coda', 'again');
  });

  it('never shares its name', async () => {
    await expect(storeConnection(test, 'coda')).rejects.toMatchObject({ code: 'vault_unavailable' });
  });
});
