import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { backUp, restoreHere } from '../support/restored.ts';
import { signIn } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;
let file: string;

/** Everything beside the vault, by name and content. */
const beside = () => readdirSync(dirname(world.vaultPath)).sort();
const agents = (path = world.vaultPath) =>
  rowsOf<{ name: string }>(path, 'SELECT name FROM agents ORDER BY name');
const addAgent = (name: string) =>
  broker.agents.add({ name, allow: ['demo'], modes: ['token'], admin: false, expiresAt: null });
const refused = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) });

/** A vault with the agent `before` and a backup of it; the agent `after` came later. */
beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url);
  await addAgent('before');
  file = join(world.home.path, 'x.backup');
  await backUp(broker, file);
  await addAgent('after');
});

afterEach(() => world.close());

describe('a restore', () => {
  it('puts the backup in the place of the vault, which is kept beside it', async () => {
    await broker.close();
    const view = await restoreHere(world, file);
    expect(beside()).toEqual(['broker.db', 'broker.db.before-restore-20260101T000000Z']);
    expect(view).toMatchObject({ connections: 1, agents: 1, made_at: '2026-01-01T00:00:00Z' });
    expect(view.replaced).toBe(`${world.vaultPath}.before-restore-20260101T000000Z`);
    expect(agents()).toEqual([{ name: 'before' }]);
    expect(agents(view.replaced)).toEqual([{ name: 'after' }, { name: 'before' }]);
    expect(statSync(world.vaultPath).mode & 0o777).toBe(0o600);
    expect(statSync(view.replaced ?? '').mode & 0o777).toBe(0o600);

    const again = await restoreHere(world, file);
    expect(again.replaced).toBe(`${view.replaced}-2`);
    expect(agents(again.replaced)).toEqual([{ name: 'before' }]);
  });

  it('is refused over a vault with data, unless forced, and makes one where there is none', async () => {
    await broker.close();
    const before = readFileSync(world.vaultPath);
    await expect(restoreHere(world, file, { force: false })).rejects.toMatchObject(
      refused('usage', /^there is a vault at /),
    );
    expect(readFileSync(world.vaultPath).equals(before)).toBe(true);
    const database = join(world.home.path, 'new', 'broker.db');
    expect(await restoreHere(world, file, { force: false, database })).not.toHaveProperty('replaced');
    expect(agents(database)).toEqual([{ name: 'before' }]);
    expect(statSync(dirname(database)).mode & 0o777).toBe(0o700);

    // An empty file, as one that died while it made a vault leaves it.
    const empty = join(world.home.path, 'new', 'empty.db');
    writeFileSync(empty, '');
    expect(await restoreHere(world, file, { force: false, database: empty })).not.toHaveProperty('replaced');
  });

  it('takes what a process that died had written and nobody had moved into the file yet', async () => {
    // A copy of all three files is what a killed process leaves.
    const database = join(world.home.path, 'killed.db');
    for (const suffix of ['', '-wal']) copyFileSync(world.vaultPath + suffix, database + suffix);
    const { replaced } = await restoreHere(world, file, { database });
    expect(existsSync(`${database}-wal`)).toBe(false);
    expect(agents(replaced)).toEqual([{ name: 'after' }, { name: 'before' }]);
    expect(agents(database)).toEqual([{ name: 'before' }]);
  });

  it('is refused while a daemon or a command has the vault open', async () => {
    await expect(restoreHere(world, file)).rejects.toMatchObject(
      refused('vault_locked', /^another process has the vault .* open$/),
    );
    await broker.close();
    const daemon = await world.openBroker({ isResident: true });
    await expect(restoreHere(world, file)).rejects.toMatchObject(
      refused('vault_locked', new RegExp(`^the broker process ${process.pid} has the vault`)),
    );
    expect(agents()).toHaveLength(2);
    expect(await daemon.list(OPERATOR)).toHaveLength(1);
    await daemon.close();
    // One that was killed without giving its leases back holds nothing.
    const database = new DatabaseSync(world.vaultPath);
    const [machine] =
      rowsOf<{ owner: string }>(world.vaultPath, 'SELECT owner FROM leases')[0]?.owner.split('/') ?? [];
    database
      .prepare("INSERT INTO leases VALUES ('process:x:y', ?, 1, ?)")
      .run(`${machine}/4194305/1/gone`, world.clock.now() + 40_000);
    database.close();
    await restoreHere(world, file);
    expect(agents()).toHaveLength(1);
  });

  it('replaces a vault that SQLite cannot read any more, and keeps what is left of it', async () => {
    await broker.close();
    writeFileSync(world.vaultPath, 'no database at all, but what was left of one');
    const { replaced = '' } = await restoreHere(world, file);
    expect(readFileSync(replaced, 'utf8')).toMatch(/^no database/);
    expect(agents()).toEqual([{ name: 'before' }]);
  });

  it('changes nothing when the backup does not open', async () => {
    await broker.close();
    const before = readFileSync(world.vaultPath);
    const whole = readFileSync(file);
    for (const bad of [whole.subarray(0, whole.length - 5), Buffer.from('nothing\n'), Buffer.alloc(0)]) {
      writeFileSync(file, bad);
      await expect(restoreHere(world, file)).rejects.toMatchObject({ code: 'backup_invalid' });
    }
    writeFileSync(world.settings.masterKey.defaultFile, `${Buffer.alloc(32, 7).toString('base64url')}\n`);
    writeFileSync(file, whole);
    await expect(restoreHere(world, file)).rejects.toMatchObject({ code: 'key_wrong' });
    expect(readFileSync(world.vaultPath).equals(before)).toBe(true);
    expect(beside()).toEqual(['broker.db']);
  });

  it('is written into the audit trail, which goes on from where the backup was made', async () => {
    await broker.close();
    await restoreHere(world, file);
    const rows = rowsOf<{ action: string }>(world.vaultPath, 'SELECT action FROM audit ORDER BY sequence');
    expect(rows.slice(-2).map(({ action }) => action)).toEqual(['agent.add', 'restore']);
    const next = await world.openBroker();
    expect(await next.audit.verify()).toMatchObject({ intact: true, rows: rows.length });
    expect((await next.token(OPERATOR, 'demo')).generation).toBe(1);
  });

  it('of a schema this broker does not know is refused', async () => {
    const newer = new DatabaseSync(world.vaultPath);
    newer.exec("INSERT INTO migrations VALUES (9999, '9999_future.sql', 'x', 0)");
    newer.close();
    await backUp(broker, `${file}.2`);
    await broker.close();
    await expect(restoreHere(world, `${file}.2`)).rejects.toMatchObject({ code: 'vault_newer' });
    expect(connectionRow(world.vaultPath).state).toBe('ok');
  });
});
