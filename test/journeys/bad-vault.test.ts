import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createHome, type Home } from '../support/home.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { rowsOf } from '../support/vault-file.ts';

let journey: Journey;
let working: string;

beforeAll(async () => {
  journey = await startJourney();
  const { code, stderr } = await journey.login();
  expect(code, stderr).toBe(0);
  working = await journey.servedToken();
});

afterAll(() => journey.close());

/** Undoes what a test did to the vault. */
const mendings: (() => void)[] = [];

afterEach(async () => {
  for (const mend of mendings.splice(0)) mend();
  expect(await journey.servedToken()).toBe(working);
});

const keyFile = () => join(journey.home.env.XDG_CONFIG_HOME as string, 'mcp-token-broker', 'master.key');
const sql = (statement: string) => {
  const database = new DatabaseSync(journey.vaultPath);
  database.exec(statement);
  database.close();
};

describe('the master key', () => {
  it('exits 3 when it is another one, and changes nothing', async () => {
    const env = { BROKER_MASTER_KEY: randomBytes(32).toString('base64url') };
    const result = await journey.run(['token', 'demo'], { env });
    expectFailure(result, 3, /^error: the master key from BROKER_MASTER_KEY is not the key of this vault$/);
    expect(result.stderr).not.toContain(env.BROKER_MASTER_KEY);
  });

  it('exits 3 when it is no key at all', async () => {
    const env = { BROKER_MASTER_KEY: 'fake-master-password' };
    const result = await journey.run(['token', 'demo'], { env });
    expectFailure(result, 3, /is not 32 bytes in base64url$/);
    expect(result.stderr).not.toContain('fake-master-password');
    // A fresh key would open nothing here.
    expect(result.stderr).toMatch(/for a new vault .*openssl rand/);
  });

  it('exits 3 when it is lost, names every place it looked at, and makes no new one', async () => {
    renameSync(keyFile(), `${keyFile()}.away`);
    mendings.push(() => renameSync(`${keyFile()}.away`, keyFile()));
    for (const args of [
      ['token', 'demo'],
      ['login', journey.mcp.url],
      ['serve', '--listen', '127.0.0.1:0'],
    ]) {
      const result = await journey.run(args);
      expectFailure(result, 3, /^error: the vault exists, but its master key was not found/);
      for (const place of ['--master-key-file', 'CREDENTIALS_DIRECTORY', 'BROKER_MASTER_KEY', keyFile()])
        expect(result.stderr).toContain(place);
    }
    expect(existsSync(keyFile())).toBe(false);
  });

  it('exits 3 when others can read it, with the command that mends it', async () => {
    chmodSync(keyFile(), 0o644);
    mendings.push(() => chmodSync(keyFile(), 0o600));
    const result = await journey.run(['token', 'demo']);
    expectFailure(result, 3, /^error: the master key file .* \(mode 0644\)$/);
    const [, command = ''] = /fix it with: (.+)/.exec(result.stderr) ?? [];
    expect(command).toBe(`chmod 600 ${keyFile()}`);
  });
});

describe('a vault', () => {
  it('from a newer version exits 3, and is not touched', async () => {
    sql("INSERT INTO migrations VALUES (9999, '9999_future.sql', 'checksum', 0)");
    mendings.push(() => sql('DELETE FROM migrations WHERE number = 9999'));
    expectFailure(await journey.run(['list']), 3, /^error: this vault was written by a newer broker/);
  });

  it('that is not one exits 3', async () => {
    const file = join(journey.home.path, 'notes.txt');
    writeFileSync(file, 'these are my notes, and no database at all. '.repeat(50));
    expectFailure(await journey.run(['--database', file, 'list']), 3, /^error: the vault .*notes\.txt/);
    const directory = join(journey.home.path, 'config');
    expectFailure(await journey.run(['--database', directory, 'list']), 3, /^error: the vault/);
  });

  it('whose login was damaged exits 3 and does not hand out anything', async () => {
    const [before] = rowsOf<{ secrets: string }>(journey.vaultPath, 'SELECT secrets FROM connections');
    sql("UPDATE connections SET secrets = substr(secrets, 1, length(secrets) - 4) || 'AAAA'");
    mendings.push(() => sql(`UPDATE connections SET secrets = '${before?.secrets}'`));
    expectFailure(await journey.run(['token', 'demo']), 3, /cannot be opened$/);
  });
});

describe('a home', () => {
  let home: Home;
  const run = (args: string[]) => journey.run(args, { env: home.env });

  beforeAll(async () => {
    home = await createHome();
  });

  afterAll(() => home.remove());

  it.each([
    [['token', 'demo']],
    [['list']],
    [['show', 'demo']],
    [['check']],
    [['refresh', 'demo']],
    [['logout', 'demo']],
    [['agent', 'list']],
    [['agent', 'revoke', 'demo']],
  ])('without a vault exits 3, creates no file, and mentions the daemon: broker %j', async (args) => {
    const result = await run(args);
    expectFailure(result, 3, /^error: there is no vault at /);
    expect(result.stderr).toContain('BROKER_AGENT_KEY');
    const entries = readdirSync(home.path, { recursive: true, encoding: 'utf8' }).sort();
    expect(entries).toEqual(['config', 'data', 'home', 'run']);
  });

  it('that cannot be written exits 3', async () => {
    // A file where a directory should be stops root as well.
    const file = join(home.path, 'file');
    writeFileSync(file, '');
    for (const args of [
      ['login', journey.mcp.url, '--name', 'demo'],
      ['agent', 'add', 'docs-bot', '--allow', 'demo', '--allow-unknown'],
      ['serve', '--listen', '127.0.0.1:0'],
    ]) {
      const result = await run(['--home', join(file, 'home'), ...args]);
      expectFailure(result, 3, /^error: the vault .* cannot be opened/);
      expect(result.stderr).toContain('--home');
    }
  });
});

it('a second daemon on the same address exits 3, and the first goes on', async () => {
  const first = await journey.serve();
  const address = new URL(first.url).host;
  expectFailure(
    await journey.run(['serve', '--listen', address]),
    3,
    new RegExp(`^error: ${address} is in use$`),
  );
  expect((await fetch(`${first.url}/healthz`)).status).toBe(200);
  expect(await first.process.stop()).toBe(0);
});
