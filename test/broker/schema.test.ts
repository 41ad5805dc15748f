import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { migrateVault, schemaOf } from '../../src/broker/schema.ts';
import { readSettings, type Settings } from '../../src/config.ts';
import { createHome, type Home } from '../support/home.ts';

let home: Home;
let settings: Settings;

const change = (sql: string) => {
  mkdirSync(dirname(settings.database), { recursive: true });
  const database = new DatabaseSync(settings.database);
  database.exec(sql);
  database.close();
};

beforeEach(async () => {
  home = await createHome();
  settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
});

afterEach(() => home.remove());

describe('the schema of a vault', () => {
  it('is looked at without changing anything, and brought up to date without a key', async () => {
    change('PRAGMA user_version = 0');
    const { newest, missing } = schemaOf(settings);
    expect(missing).toContain('0001_initial.sql');
    expect(schemaOf(settings)).toEqual({ schema: 0, newest, missing });
    expect(await migrateVault(settings)).toEqual({ schema: newest, newest, from: 0, applied: missing });
    expect(schemaOf(settings)).toEqual({ schema: newest, newest, missing: [] });
    expect(await migrateVault(settings)).toEqual({ schema: newest, newest, from: newest, applied: [] });
    expect(existsSync(settings.masterKey.defaultFile)).toBe(false);
  });

  it('of a newer program is refused by both', async () => {
    change('PRAGMA user_version = 0');
    await migrateVault(settings);
    change("INSERT INTO migrations VALUES (9999, '9999_future.sql', 'x', 0)");
    expect(() => schemaOf(settings)).toThrow(expect.objectContaining({ code: 'vault_newer' }));
    await expect(migrateVault(settings)).rejects.toMatchObject({ code: 'vault_newer' });
  });

  it('cannot be told where there is no vault, and none is made', async () => {
    expect(() => schemaOf(settings)).toThrow(expect.objectContaining({ code: 'vault_missing' }));
    await expect(migrateVault(settings)).rejects.toMatchObject({ code: 'vault_missing' });
    expect(existsSync(settings.database)).toBe(false);
    mkdirSync(dirname(settings.database));
    writeFileSync(settings.database, 'no database, but long enough to look like something else');
    expect(() => schemaOf(settings)).toThrow(expect.objectContaining({ code: 'vault_unavailable' }));
    expect(readFileSync(settings.database, 'utf8')).toMatch(/^no database/);
  });
});
