/**
 * Where the master key comes from.
 *
 * The master key wraps the vault's data keys and is kept apart from the data: whoever copies only the database
 * has nothing. There is no way to run without one. A key file is made only for a new vault; beside existing
 * data a fresh key would look like success and open nothing.
 */
import { execFileSync } from 'node:child_process';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { MasterKeySources } from '../config.ts';
import { BrokerError, systemCode } from '../errors.ts';

export interface MasterKey {
  /** Derived from the key, so it doubles as the key check value: another key has another id. */
  id: string;
  bytes: Uint8Array;
  /** Where it came from, for messages. */
  source: string;
}

const KEY_BYTES = 32;
const ENCODED_KEY = /^[A-Za-z0-9_-]{43}$/;
const COMMAND_TIMEOUT_MS = 30_000;

/**
 * Finds the master key of what exists already. Throws `key_missing` naming the sources tried, `key_unsafe` for a key
 * file others can read or replace, `key_wrong` for one that is not 32 bytes in base64url.
 *
 * @param what whose key it is, in words
 */
export function findMasterKey(
  sources: MasterKeySources,
  what = 'the vault exists, but its master key',
): MasterKey {
  const key = lookUp(sources);
  if (key) return key;
  throw new BrokerError('key_missing', `${what} was not found (${tried(sources)})`, {
    hint:
      'put the key back, or name its place with --master-key-file, BROKER_MASTER_KEY_FILE, BROKER_MASTER_KEY or ' +
      'BROKER_MASTER_KEY_COMMAND\nwithout it the stored logins cannot be opened by anyone; nothing was changed',
  });
}

/** Finds the master key for a new vault, making the default key file (0600) when no source has one. */
export function findOrCreateMasterKey(sources: MasterKeySources): MasterKey {
  return lookUp(sources) ?? createKeyFile(sources.defaultFile);
}

/** The key in this file, made (0600) when there is no such file. Throws like `findMasterKey`. */
export function readOrCreateMasterKeyFile(path: string): MasterKey {
  return existsSync(path) ? readKeyFile(path) : createKeyFile(path);
}

function lookUp(sources: MasterKeySources): MasterKey | undefined {
  if (sources.file !== undefined) return readKeyFile(sources.file);
  if (sources.credential !== undefined && existsSync(sources.credential))
    return readKeyFile(sources.credential);
  if (sources.value !== undefined) return decode(sources.value.reveal(), 'BROKER_MASTER_KEY');
  if (sources.command !== undefined) return runKeyCommand(sources.command);
  if (existsSync(sources.defaultFile)) return readKeyFile(sources.defaultFile);
  return undefined;
}

function tried(sources: MasterKeySources): string {
  return `looked at --master-key-file, $CREDENTIALS_DIRECTORY/broker-master-key, BROKER_MASTER_KEY, BROKER_MASTER_KEY_COMMAND and ${sources.defaultFile}`;
}

function readKeyFile(path: string): MasterKey {
  try {
    refuseUnsafe(path);
    return decode(readFileSync(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError(
      'key_missing',
      `the master key file ${path} cannot be read (${systemCode(error)})`,
      {
        hint: 'check the path and that this user may read it',
        cause: error,
      },
    );
  }
}

/** The owner must be us or root, others may do nothing, and the group may read at most. */
function refuseUnsafe(path: string): void {
  const { uid, mode } = statSync(path);
  const us = process.getuid?.();
  if (us === undefined) return;
  if (uid !== us && uid !== 0) {
    throw new BrokerError('key_unsafe', `the master key file ${path} belongs to another user (uid ${uid})`, {
      hint: `fix it with: chown ${us} ${path}`,
    });
  }
  if ((mode & 0o027) !== 0) {
    const permissions = (mode & 0o777).toString(8).padStart(4, '0');
    throw new BrokerError(
      'key_unsafe',
      `the master key file ${path} can be read or replaced by others (mode ${permissions})`,
      {
        hint: `fix it with: chmod 600 ${path}`,
      },
    );
  }
}

function runKeyCommand(command: string): MasterKey {
  try {
    const output = execFileSync('/bin/sh', ['-c', command], {
      encoding: 'utf8',
      timeout: COMMAND_TIMEOUT_MS,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return decode(output, 'BROKER_MASTER_KEY_COMMAND');
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError('key_missing', 'BROKER_MASTER_KEY_COMMAND failed', {
      hint: 'run it by hand: it must print the key, 32 bytes in base64url, and exit with 0',
      cause: error,
    });
  }
}

function decode(text: string, source: string): MasterKey {
  const encoded = text.trim();
  if (!ENCODED_KEY.test(encoded)) {
    throw new BrokerError('key_wrong', `the master key from ${source} is not 32 bytes in base64url`, {
      hint: 'it is 43 characters long; for a new vault a fresh one can be made with: openssl rand -base64 32 | tr "+/" "-_" | tr -d "="',
    });
  }
  return masterKey(Buffer.from(encoded, 'base64url'), source);
}

function createKeyFile(path: string): MasterKey {
  const bytes = randomBytes(KEY_BYTES);
  const draft = `${path}.${randomUUID()}`;
  try {
    const directory = dirname(path);
    if (!existsSync(directory)) mkdirSync(directory, { recursive: true, mode: 0o700 });
    // Written aside and linked into place, so that nobody ever sees a key file that is not whole.
    writeFileSync(draft, `${bytes.toString('base64url')}\n`, { flag: 'wx', mode: 0o600, flush: true });
    try {
      linkSync(draft, path);
    } finally {
      rmSync(draft);
    }
  } catch (error) {
    // Another process starting on the same new vault was quicker: its key is the one.
    if (systemCode(error) === 'EEXIST') return readKeyFile(path);
    throw new BrokerError(
      'vault_unavailable',
      `the master key file ${path} cannot be made (${systemCode(error)})`,
      {
        hint: 'make its directory writable, or bring a key of your own with --master-key-file',
        cause: error,
      },
    );
  }
  return masterKey(bytes, path);
}

function masterKey(bytes: Uint8Array, source: string): MasterKey {
  const id = createHmac('sha256', bytes).update('mcp-token-broker master key id').digest('hex').slice(0, 16);
  return { id, bytes, source };
}
