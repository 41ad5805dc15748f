import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { decodeProtectedHeader } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { query } from '../../src/vault/database.ts';
import type { MasterKey } from '../../src/vault/keyring.ts';
import { createKeys, hasKeys } from '../../src/vault/keys.ts';
import { migrate } from '../../src/vault/migrate.ts';
import { openSealer, type Place, type Sealer } from '../../src/vault/seal.ts';
import { openTestDatabase, type TestDatabase } from '../support/sqlite.ts';

const PLACE: Place = { table: 'connections', row: 'row-1', column: 'secrets', generation: 3 };

let test: TestDatabase;
let sealer: Sealer;

const masterKey = (id: string): MasterKey => ({ id, bytes: randomBytes(32), source: `the ${id} key` });
const master = masterKey('right');

beforeEach(async () => {
  test = await openTestDatabase();
  migrate(test.database, 0);
  await createKeys(test.database, master, 0);
  sealer = await openSealer(test.database, master);
});

afterEach(() => test.close());

const damaged = expect.objectContaining({ code: 'vault_unavailable' });

describe('a sealed value (RFC 7516)', () => {
  it('opens in its place, whatever it holds', async () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(text, text, fc.nat(), async (plaintext, row, generation) => {
        const place = { ...PLACE, row, generation };
        expect(await sealer.open(await sealer.seal(plaintext, place), place)).toBe(plaintext);
      }),
      { numRuns: 50 },
    );
  });

  it('does not show what it holds, and differs each time', async () => {
    const [one, other] = [await sealer.seal('fake-token', PLACE), await sealer.seal('fake-token', PLACE)];
    expect(one).not.toBe(other);
    expect(Buffer.from(one.replaceAll('.', ''), 'base64url').toString('latin1')).not.toContain('fake-token');
  });

  it('names its algorithm, its key and its place in the protected header', async () => {
    const header = decodeProtectedHeader(await sealer.seal('fake-token', PLACE));
    expect(header).toMatchObject({ alg: 'dir', enc: 'A256GCM', kid: expect.any(String), ...PLACE });
  });

  it.each<[string, Partial<Place>]>([
    ['to another row', { row: 'row-2' }],
    ['to another column', { column: 'spare' }],
    ['to another table', { table: 'clients' }],
    ['back into a newer generation', { generation: 4 }],
    ['into an older generation', { generation: 2 }],
  ])('does not open after being moved %s', async (_, change) => {
    const sealed = await sealer.seal('fake-token', PLACE);
    await expect(sealer.open(sealed, { ...PLACE, ...change })).rejects.toEqual(damaged);
  });

  it('does not open when any part of it was changed', async () => {
    const parts = (await sealer.seal('fake-token', PLACE)).split('.');
    for (const index of [0, 2, 3, 4]) {
      const part = parts[index] as string;
      const flipped = `${part.startsWith('A') ? 'B' : 'A'}${part.slice(1)}`;
      const changed = parts.with(index, flipped).join('.');
      await expect(sealer.open(changed, PLACE)).rejects.toEqual(damaged);
    }
  });

  it('does not open when its header was rewritten to fit another place', async () => {
    const [header = '', ...rest] = (await sealer.seal('fake-token', PLACE)).split('.');
    const rewritten = { ...JSON.parse(Buffer.from(header, 'base64url').toString()), row: 'row-2' };
    const forged = [Buffer.from(JSON.stringify(rewritten)).toString('base64url'), ...rest].join('.');
    await expect(sealer.open(forged, { ...PLACE, row: 'row-2' })).rejects.toEqual(damaged);
  });

  it.each(['', 'rubbish', 'a.b.c.d.e', '{"access_token":"fake"}'])('is not %j', async (text) => {
    await expect(sealer.open(text, PLACE)).rejects.toEqual(damaged);
  });

  it('is not opened by another vault', async () => {
    const other = await openTestDatabase();
    migrate(other.database, 0);
    await createKeys(other.database, master, 0);
    const stranger = await openSealer(other.database, master);
    await expect(stranger.open(await sealer.seal('fake-token', PLACE), PLACE)).rejects.toEqual(damaged);
    await other.close();
  });
});

describe('the keys of a vault', () => {
  it('are made once: a second call changes nothing', async () => {
    const sealed = await sealer.seal('fake-token', PLACE);
    await createKeys(test.database, master, 1);
    expect(await (await openSealer(test.database, master)).open(sealed, PLACE)).toBe('fake-token');
    expect(await test.database.run(() => query('SELECT id FROM keys'))).toHaveLength(2);
  });

  it('are absent from a vault that is just being made', async () => {
    const fresh = await openTestDatabase();
    migrate(fresh.database, 0);
    expect(await hasKeys(fresh.database)).toBe(false);
    await createKeys(fresh.database, master, 0);
    expect(await hasKeys(fresh.database)).toBe(true);
    await fresh.close();
  });

  it('are not opened by another master key, whose source is named', async () => {
    await expect(openSealer(test.database, masterKey('other'))).rejects.toMatchObject({
      code: 'key_wrong',
      message: expect.stringContaining('the other key'),
      hint: expect.stringContaining('nothing was changed'),
    });
  });

  it('are not opened by other bytes under the same id', async () => {
    await expect(openSealer(test.database, masterKey('right'))).rejects.toEqual(damaged);
  });

  it('do not open when two wrapped keys were swapped', async () => {
    await test.database.transaction(function* () {
      const [one, two] = yield* query<{ id: string; wrapped: string }>('SELECT id, wrapped FROM keys');
      yield* query('UPDATE keys SET wrapped = ? WHERE id = ?', two?.wrapped ?? '', one?.id ?? '');
      yield* query('UPDATE keys SET wrapped = ? WHERE id = ?', one?.wrapped ?? '', two?.id ?? '');
    });
    await expect(openSealer(test.database, master)).rejects.toMatchObject({ code: 'key_wrong' });
  });

  it('are looked up again when a value was sealed under one we do not know yet', async () => {
    // A data key made by another process after we opened: hidden while this sealer loads its keys.
    await test.database.run(() => query('CREATE TABLE aside AS SELECT * FROM keys'));
    await test.database.run(() => query('DELETE FROM keys'));
    await createKeys(test.database, master, 1);
    const running = await openSealer(test.database, master);
    await test.database.run(() => query('INSERT INTO keys SELECT * FROM aside'));
    expect(await running.open(await sealer.seal('fake-token', PLACE), PLACE)).toBe('fake-token');
  });

  it('give the same MAC for the same text, and another for another', () => {
    expect(sealer.mac('a')).toBe(sealer.mac('a'));
    expect(sealer.mac('a')).not.toBe(sealer.mac('b'));
  });
});
