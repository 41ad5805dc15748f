import { randomBytes } from 'node:crypto';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import { createLog } from '../../src/log.ts';
import { keyIdOf } from '../../src/vault/jwe.ts';
import { signIn } from '../support/sign-in.ts';
import { auditTrail, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

const DATA_KEY = /^[0-9a-f-]{36}$/;

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url);
});

afterEach(() => world.close());

const newFile = () => join(world.home.path, 'new.key');
const rotate = (options: { data?: boolean; newMasterKeyFile?: string } = {}) =>
  broker.keys.rotate({ data: options.newMasterKeyFile === undefined, ...options });

/** Another broker on this vault, with the master key in this file. Not closed by the world. */
const openWith = (file: string | undefined): Promise<Broker> =>
  openBroker({
    settings: { ...world.settings, masterKey: { ...world.settings.masterKey, file } },
    clock: world.clock,
    log: createLog('silent'),
    create: false,
    isResident: true,
  });

/** Ids of the data keys in use, over every sealed value there is. */
function keysInUse(): Set<string> {
  const columns = ['secrets FROM connections', 'spare FROM connections', 'secrets FROM clients'];
  const values = columns.flatMap((each) =>
    rowsOf<Record<string, string | null>>(world.vaultPath, `SELECT ${each}`),
  );
  return new Set(
    values.flatMap((row) => Object.values(row).flatMap((text) => (text === null ? [] : keyIdOf(text)))),
  );
}

async function dataKeys(of = broker): Promise<{ id: string; seals_now: boolean; values: number }[]> {
  return (await of.keys.status()).data_keys;
}

async function expectWorks(of = broker): Promise<void> {
  const { generation } = await of.show(OPERATOR, 'demo');
  expect(await of.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: generation + 1 });
}

describe('a new data key', () => {
  it('seals everything that was sealed under the old one, and changes nothing else', async () => {
    const { accessToken, generation } = await broker.token(OPERATOR, 'demo');
    const [old] = await dataKeys();
    const rotated = await rotate();
    expect(rotated).toEqual({ data_key: expect.stringMatching(DATA_KEY), resealed: 2 });
    expect(keysInUse()).toEqual(new Set([rotated.data_key]));
    expect(await dataKeys()).toMatchObject([
      { id: old?.id, seals_now: false, values: 0 },
      { id: rotated.data_key, seals_now: true, values: 2 },
    ]);
    const after = await broker.token(OPERATOR, 'demo');
    expect(after.accessToken.reveal()).toBe(accessToken.reveal());
    expect(after.generation).toBe(generation);
    await expectWorks();
  });

  it('is the newest even when the clock went back', async () => {
    world.clock.jump(-365 * 86_400_000);
    const { data_key } = await rotate();
    expect((await dataKeys()).find(({ seals_now }) => seals_now)?.id).toBe(data_key);
    expect(keysInUse()).toEqual(new Set([data_key]));
  });

  it('is used at once by a broker that was there before, for what it seals and for what it opens', async () => {
    const other = await world.openBroker();
    const { data_key } = await rotate();
    await expectWorks(other);
    expect(keysInUse()).toEqual(new Set([data_key]));
    await expectWorks();
  });

  it('may be interrupted: nothing is lost, and given again the rotation is finished', async () => {
    const disk = new DatabaseSync(world.vaultPath);
    disk.exec(
      "CREATE TRIGGER broken BEFORE UPDATE ON clients BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END",
    );
    await expect(rotate()).rejects.toMatchObject({ code: 'vault_unavailable' });
    await expectWorks();
    disk.exec('DROP TRIGGER broken');
    disk.close();
    const [, made] = await dataKeys();
    expect(made).toMatchObject({ seals_now: true, values: 1 });
    expect(await rotate()).toEqual({ finished_data_key: made?.id, resealed: 1 });
    expect(keysInUse()).toEqual(new Set([made?.id]));
    expect((await rotate()).data_key).not.toBe(made?.id);
    await expectWorks();
  });

  it('is written down', async () => {
    await rotate();
    expect(auditTrail(world.vaultPath).at(-1)).toEqual({
      actor: 'operator',
      action: 'key.rotate',
      outcome: 'ok',
    });
  });
});

describe('a new master key', () => {
  it('is made where there is none, for its owner alone', async () => {
    const { new_master_key, old_master_key } = await rotate({ newMasterKeyFile: newFile() });
    expect(statSync(newFile()).mode & 0o777).toBe(0o600);
    expect(new_master_key).not.toBe(old_master_key);
  });

  it('opens the vault beside the old one, also what is sealed later', async () => {
    await rotate({ newMasterKeyFile: newFile() });
    const other = await openWith(newFile());
    await expectWorks(other);
    await expectWorks();
    await expectWorks(other);
    await other.close();
  });

  it('opens a new data key made with it, as the old one does', async () => {
    const rotated = await rotate({ data: true, newMasterKeyFile: newFile() });
    expect(rotated).toMatchObject({ data_key: expect.stringMatching(DATA_KEY), resealed: 2 });
    const other = await openWith(newFile());
    await expectWorks(other);
    await expectWorks();
    await other.close();
  });

  it('may be given again', async () => {
    const first = await rotate({ newMasterKeyFile: newFile() });
    expect(await rotate({ newMasterKeyFile: newFile() })).toEqual(first);
  });

  it('is refused when it is the present one', async () => {
    const present = world.settings.masterKey.defaultFile;
    await expect(rotate({ newMasterKeyFile: present })).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('is the master key already'),
    });
  });

  it('is refused when others may read it, and nothing was changed', async () => {
    writeFileSync(newFile(), randomBytes(32).toString('base64url'), { mode: 0o644 });
    await expect(rotate({ newMasterKeyFile: newFile() })).rejects.toMatchObject({ code: 'key_unsafe' });
    expect((await broker.keys.status()).master_keys).toHaveLength(1);
  });

  it('comes before another change: until the old one is retired, no key is made that it could not open', async () => {
    await rotate({ newMasterKeyFile: newFile() });
    const third = join(world.home.path, 'third.key');
    for (const options of [{}, { newMasterKeyFile: third }]) {
      await expect(rotate(options)).rejects.toMatchObject({
        code: 'usage',
        hint: expect.stringContaining('retire'),
      });
    }
    expect(await dataKeys()).toHaveLength(1);
    expect(existsSync(third)).toBe(true);
  });
});

describe('a key that is retired', () => {
  it('opens nothing any more when it was a master key', async () => {
    const { old_master_key } = await rotate({ newMasterKeyFile: newFile() });
    await broker.close();
    const other = await openWith(newFile());
    await other.keys.retire(old_master_key as string);
    await expectWorks(other);
    expect((await other.keys.status()).master_keys).toMatchObject([{ opened_this: true }]);
    await other.close();
    await expect(openWith(undefined)).rejects.toMatchObject({ code: 'key_wrong' });
  });

  it('is not the master key of this process, nor of another one that has the vault open', async () => {
    const { old_master_key, new_master_key } = await rotate({ newMasterKeyFile: newFile() });
    await expect(broker.keys.retire(old_master_key as string)).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('this very command'),
    });
    await world.openBroker({ isResident: true });
    const other = await openWith(newFile());
    await expect(other.keys.retire(old_master_key as string)).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining(`process ${process.pid} uses it`),
    });
    await expect(broker.keys.retire(new_master_key as string)).rejects.toMatchObject({ code: 'usage' });
    await other.close();
  });

  it('is gone from the status when it was a data key', async () => {
    const [old] = await dataKeys();
    await rotate();
    await broker.keys.retire(old?.id as string);
    expect((await dataKeys()).map(({ id }) => id)).not.toContain(old?.id);
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ action: 'key.retire', outcome: 'ok' });
    await expectWorks();
  });

  it('is not the data key that seals, nor one that values are sealed under, nor one another process knows', async () => {
    const [old] = await dataKeys();
    const refused = (why: string) =>
      expect.objectContaining({ code: 'usage', message: expect.stringContaining(why) });
    const retire = () => broker.keys.retire(old?.id as string);
    await expect(retire()).rejects.toEqual(refused('it seals what is stored'));
    const other = await world.openBroker({ isResident: true });
    await rotate();
    await expect(retire()).rejects.toEqual(refused('may be using it'));
    await other.close();
    await retire();
  });

  it('is not the key of the audit trail', async () => {
    const { audit_key } = await broker.keys.status();
    await expect(broker.keys.retire(audit_key)).rejects.toMatchObject({ code: 'usage' });
  });

  it('must exist', async () => {
    await expect(broker.keys.retire('no-such-key')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('the status', () => {
  it('tells which processes have the vault open, until they close it', async () => {
    const other = await world.openBroker({ isResident: true });
    const processes = async () => (await broker.keys.status()).master_keys[0]?.processes;
    expect(await processes()).toEqual([process.pid]);
    await other.close();
    expect(await processes()).toEqual([]);
  });

  it('goes on telling so while they live', async () => {
    await world.openBroker({ isResident: true });
    for (let minutes = 0; minutes < 5; minutes += 1) await world.clock.advance(60_000);
    expect((await broker.keys.status()).master_keys[0]?.processes).toEqual([process.pid]);
  });
});
