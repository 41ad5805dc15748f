import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MasterKeySources } from '../../src/config.ts';
import { Secret } from '../../src/secret.ts';
import { findMasterKey, findOrCreateMasterKey } from '../../src/vault/keyring.ts';
import { createHome, type Home } from '../support/home.ts';

const isRoot = process.getuid?.() === 0;

let home: Home;
let defaultFile: string;

beforeEach(async () => {
  home = await createHome();
  defaultFile = join(home.path, 'config', 'broker', 'master.key');
});

afterEach(() => home.remove());

const newKey = () => randomBytes(32).toString('base64url');

/** A key file with `mode`; returns its path. */
function keyFile(name: string, key = newKey(), mode = 0o600): string {
  const path = join(home.path, name);
  writeFileSync(path, `${key}\n`);
  chmodSync(path, mode);
  return path;
}

/** The key found, as text. */
function find(sources: Partial<MasterKeySources>): string {
  return Buffer.from(findMasterKey({ defaultFile, ...sources }).bytes).toString('base64url');
}

const coded = (code: string) => expect.objectContaining({ code });

describe('the master key', () => {
  it('comes from the first source that is given, in the order of the design', () => {
    const keys = {
      file: newKey(),
      credential: newKey(),
      value: newKey(),
      command: newKey(),
      default: newKey(),
    };
    mkdirSync(dirname(defaultFile), { recursive: true });
    writeFileSync(defaultFile, keys.default, { mode: 0o600 });
    const sources: MasterKeySources = {
      file: keyFile('named', keys.file),
      credential: keyFile('broker-master-key', keys.credential),
      value: new Secret(keys.value),
      command: `printf %s ${keys.command}`,
      defaultFile,
    };
    const found: string[] = [];
    for (const source of ['file', 'credential', 'value', 'command'] as const) {
      found.push(find(sources));
      delete sources[source];
    }
    found.push(find(sources));
    expect(found).toEqual(Object.values(keys));
  });

  it('of one file always has the same id, of another a different one, and the id is not the key', () => {
    const [one, other] = [keyFile('one'), keyFile('other')];
    const { id, bytes } = findMasterKey({ file: one, defaultFile });
    expect(findMasterKey({ file: one, defaultFile }).id).toBe(id);
    expect(findMasterKey({ file: other, defaultFile }).id).not.toBe(id);
    expect(Buffer.from(bytes).toString('base64url')).not.toContain(id);
  });

  it('that is nowhere is missing, and every place looked at is named', () => {
    expect(() => find({ credential: join(home.path, 'absent') })).toThrow(
      expect.objectContaining({
        code: 'key_missing',
        message: expect.stringMatching(
          /--master-key-file.*CREDENTIALS_DIRECTORY.*BROKER_MASTER_KEY.*BROKER_MASTER_KEY_COMMAND.*master\.key/,
        ),
        hint: expect.stringContaining('nothing was changed'),
      }),
    );
  });

  it('is never looked for elsewhere when the named file is not there', () => {
    const file = join(home.path, 'absent');
    expect(() => find({ file, value: new Secret(newKey()) })).toThrow(coded('key_missing'));
    expect(() => findOrCreateMasterKey({ file, defaultFile })).toThrow(coded('key_missing'));
    expect(existsSync(file)).toBe(false);
  });

  it.each([
    ['is too short', randomBytes(31).toString('base64url')],
    ['is too long', randomBytes(33).toString('base64url')],
    ['is empty', ''],
    ['is in standard base64', `${'+/'.repeat(21)}A=`],
    ['is in hexadecimal', randomBytes(32).toString('hex')],
    ['has words around it', `key: ${newKey()}`],
  ])('is refused when it %s, and not shown', (_, key) => {
    for (const sources of [
      { file: keyFile('bad', key) },
      { value: new Secret(key) },
      { command: `printf %s '${key}'` },
    ]) {
      expect(() => find(sources)).toThrow(coded('key_wrong'));
      if (key)
        expect(() => find(sources)).toThrow(
          expect.not.objectContaining({ message: expect.stringContaining(key) }),
        );
    }
  });
});

describe('a key file', () => {
  it.each([0o600, 0o400, 0o640, 0o440])('with mode %o is accepted', (mode) => {
    expect(() => find({ file: keyFile('key', newKey(), mode) })).not.toThrow();
  });

  it.each([0o604, 0o602, 0o601, 0o620, 0o660, 0o666, 0o644])(
    'with mode %o is refused, with the fix',
    (mode) => {
      const file = keyFile('key', newKey(), mode);
      const refusal = expect.objectContaining({ code: 'key_unsafe', hint: `fix it with: chmod 600 ${file}` });
      expect(() => find({ file })).toThrow(refusal);
      chmodSync(file, 0o600);
      expect(() => find({ file })).not.toThrow();
    },
  );

  it.skipIf(!isRoot)('of another user is refused, with the fix (only root can make one)', () => {
    const file = keyFile('key');
    chownSync(file, 12345, 12345);
    expect(() => find({ file })).toThrow(
      expect.objectContaining({ code: 'key_unsafe', hint: expect.stringContaining(`chown 0 ${file}`) }),
    );
  });

  it('that is a directory cannot be read', () => {
    mkdirSync(join(home.path, 'folder'), { mode: 0o700 });
    expect(() => find({ file: join(home.path, 'folder') })).toThrow(coded('key_missing'));
  });

  it('is checked wherever it comes from', () => {
    expect(() => find({ credential: keyFile('broker-master-key', newKey(), 0o644) })).toThrow(
      coded('key_unsafe'),
    );
    mkdirSync(dirname(defaultFile), { recursive: true });
    writeFileSync(defaultFile, newKey());
    chmodSync(defaultFile, 0o644);
    expect(() => find({})).toThrow(coded('key_unsafe'));
    expect(() => findOrCreateMasterKey({ defaultFile })).toThrow(coded('key_unsafe'));
  });
});

describe('a key command', () => {
  it('that fails counts as no key, and the next source is not tried', () => {
    mkdirSync(dirname(defaultFile), { recursive: true });
    writeFileSync(defaultFile, newKey(), { mode: 0o600 });
    expect(() => find({ command: 'exit 3' })).toThrow(coded('key_missing'));
  });

  it('may be a pipeline of the shell', () => {
    const key = newKey();
    expect(find({ command: `echo "x ${key}" | cut -d ' ' -f 2` })).toBe(key);
  });
});

describe('the key of a new vault', () => {
  it('is made in the default file, for its owner only', () => {
    const made = findOrCreateMasterKey({ defaultFile });
    expect(statSync(defaultFile).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(defaultFile)).mode & 0o777).toBe(0o700);
    expect(readFileSync(defaultFile, 'utf8')).toMatch(/^[\w-]{43}\n$/);
    expect(findMasterKey({ defaultFile })).toEqual(made);
  });

  it('is the one that is there already, whoever made it', () => {
    const first = findOrCreateMasterKey({ defaultFile });
    expect(findOrCreateMasterKey({ defaultFile }).id).toBe(first.id);
  });

  it('is never written through a link that leads nowhere yet (O_EXCL)', () => {
    const target = join(home.path, 'elsewhere');
    mkdirSync(dirname(defaultFile), { recursive: true });
    symlinkSync(target, defaultFile);
    expect(() => findOrCreateMasterKey({ defaultFile })).toThrow();
    expect(existsSync(target)).toBe(false);
  });

  it('is not made when another source has one', () => {
    findOrCreateMasterKey({ value: new Secret(newKey()), defaultFile });
    expect(existsSync(defaultFile)).toBe(false);
  });

  it('cannot be made below a file, and nothing else is tried', () => {
    const below = join(keyFile('file'), 'master.key');
    expect(() => findOrCreateMasterKey({ defaultFile: below })).toThrow(coded('vault_unavailable'));
  });
});
