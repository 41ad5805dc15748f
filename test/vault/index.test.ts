import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { query } from '../../src/vault/database.ts';
import { openVault, type VaultOptions } from '../../src/vault/index.ts';
import { openSqlite } from '../../src/vault/sqlite.ts';
import { runBroker } from '../support/broker-process.ts';
import { openTestVault, storeConnection, type TestVault } from '../support/vault.ts';

const OPEN_SCRIPT = fileURLToPath(new URL('../support/open-vault-process.ts', import.meta.url));

let test: TestVault;

beforeEach(async () => {
  test = await openTestVault();
});

afterEach(() => test.close());

/** Opens the test's vault, changed as wanted; it must be refused. */
async function refusal(changes: Partial<VaultOptions>): Promise<unknown> {
  const { path, masterKey, clock } = test;
  return openVault({ path, masterKey, clock, create: false, ...changes }).then(
    async (vault) => {
      await vault.close();
      throw new Error('the vault was opened');
    },
    (error: unknown) => error,
  );
}

const elsewhere = (name: string) => join(test.home.path, 'elsewhere', name);
const newKey = () => new Secret(randomBytes(32).toString('base64url'));

describe('opening a vault', () => {
  it('makes file and key together, apart from each other and for the owner only', () => {
    expect(dirname(test.path)).not.toBe(dirname(test.masterKey.defaultFile));
    for (const file of [test.path, test.masterKey.defaultFile]) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);
    }
  });

  it('gives each opening an owner of its own', async () => {
    expect((await test.openAgain()).owner).not.toBe(test.vault.owner);
  });

  it('that does not exist and may not be created says so and makes nothing', async () => {
    const defaultFile = elsewhere('master.key');
    const error = await refusal({ path: elsewhere('broker.db'), masterKey: { defaultFile } });
    expect(error).toMatchObject({ code: 'vault_missing', hint: expect.stringContaining('broker login') });
    expect(existsSync(dirname(defaultFile))).toBe(false);
  });

  it('that is an empty file counts as missing, and no key is made for it', async () => {
    const path = join(test.home.path, 'empty.db');
    const defaultFile = elsewhere('master.key');
    writeFileSync(path, '');
    expect(await refusal({ path, masterKey: { defaultFile } })).toMatchObject({ code: 'vault_missing' });
    expect(existsSync(defaultFile)).toBe(false);
  });

  it('whose key is gone names every place looked at, and never makes a fresh key beside the data', async () => {
    rmSync(test.masterKey.defaultFile);
    for (const create of [true, false]) {
      expect(await refusal({ create })).toMatchObject({
        code: 'key_missing',
        message: expect.stringContaining(test.masterKey.defaultFile),
        hint: expect.stringContaining('nothing was changed'),
      });
    }
    expect(existsSync(test.masterKey.defaultFile)).toBe(false);
  });

  it('with another key is refused, naming where that key came from', async () => {
    const before = readFileSync(test.path);
    const error = await refusal({ masterKey: { ...test.masterKey, value: newKey() }, create: true });
    expect(error).toMatchObject({ code: 'key_wrong', message: expect.stringContaining('BROKER_MASTER_KEY') });
    expect(readFileSync(test.path)).toEqual(before);
  });

  it('of a newer program is refused', async () => {
    await test.vault.run(() =>
      query(
        "INSERT INTO migrations (number, name, checksum, applied_at) VALUES (9999, '9999_x.sql', 'x', 0)",
      ),
    );
    expect(await refusal({})).toMatchObject({ code: 'vault_newer' });
  });

  it('below a path that is a file cannot work, and leaves no key behind', async () => {
    const defaultFile = elsewhere('master.key');
    const path = join(test.path, 'broker.db');
    expect(await refusal({ path, masterKey: { defaultFile }, create: true })).toMatchObject({
      code: 'vault_unavailable',
    });
    expect(existsSync(defaultFile)).toBe(false);
  });

  it('that holds the tables of somebody else is refused and left as it was', async () => {
    const path = join(test.home.path, 'foreign.db');
    const foreign = openSqlite(path, test.clock, true);
    foreign.connection.exec('CREATE TABLE servers (mine TEXT)');
    expect(await refusal({ path, create: true })).toMatchObject({ code: 'vault_unavailable' });
    const tables = await foreign.run(() => query<{ name: string }>('SELECT name FROM sqlite_schema'));
    expect(tables).toEqual([{ name: 'servers' }]);
    await foreign.close();
  });

  it('with the address of a server instead of a file is refused for now', async () => {
    expect(await refusal({ path: 'postgres://db.example.com/broker', create: true })).toMatchObject({
      code: 'usage',
    });
  });

  it('works while another process is writing', async () => {
    const other = openSqlite(test.path, test.clock, false);
    other.connection.exec('BEGIN IMMEDIATE');
    const opening = test.openAgain();
    opening.catch(() => undefined);
    await Promise.race([opening, test.clock.untilWaiting()]);
    other.connection.exec('COMMIT');
    await test.clock.advance(1000);
    await expect(opening).resolves.toBeDefined();
    await other.close();
  });
});

describe('a new vault that six processes make at the same moment', () => {
  it('has one key and opens for all of them', async () => {
    const [path, defaultFile] = [elsewhere('broker.db'), elsewhere('config/master.key')];
    const starts = Array.from({ length: 6 }, () =>
      runBroker([path, defaultFile], { env: {}, script: OPEN_SCRIPT }),
    );
    expect(await Promise.all(starts)).toEqual(Array(6).fill(expect.objectContaining({ code: 0 })));
    const vault = await openVault({ path, masterKey: { defaultFile }, clock: test.clock, create: false });
    expect(await vault.run(() => query('SELECT id FROM keys'))).toHaveLength(2);
    expect(await vault.run(() => query('SELECT writer FROM audit'))).toHaveLength(6);
    await vault.close();
  });
});

describe('a vault that is open', () => {
  it('shows another opening what it has committed', async () => {
    const other = await test.openAgain();
    const { id } = await storeConnection(test);
    const rows = await other.run(() => query<{ id: string }>('SELECT id FROM connections'));
    expect(rows).toEqual([{ id }]);
  });

  it('may be closed twice', async () => {
    await test.vault.close();
    await test.vault.close();
  });
});
