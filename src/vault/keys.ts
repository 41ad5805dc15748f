/**
 * The vault's own keys: data keys, which seal, and the audit key, which signs. They lie in `keys`, each wrapped
 * under a master key.
 *
 * While the master key is being replaced, every key has a second row, wrapped under the new one, so that processes
 * with the old and with the new one both open the vault. The newest data key seals; older ones still open.
 */
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { BrokerError } from '../errors.ts';
import { insertHead, type Mac } from './audit-chain.ts';
import { type Database, first, query, type Steps } from './database.ts';
import { decrypt, encrypt } from './jwe.ts';
import type { MasterKey } from './keyring.ts';

export type KeyPurpose = 'data' | 'audit';

/** A key, unwrapped. */
export interface VaultKey {
  id: string;
  purpose: KeyPurpose;
  bytes: Uint8Array;
  createdAt: number;
}

/** A row of `keys`: one key under one master key. */
export interface WrappedKey {
  id: string;
  purpose: KeyPurpose;
  masterKeyId: string;
  createdAt: number;
}

interface KeyRow {
  id: string;
  purpose: KeyPurpose;
  master_key_id: string;
  wrapped: string;
  created_at: number;
}

/** Whether the vault has its keys yet: false only for one that is just being made. */
export async function hasKeys(database: Pick<Database, 'run'>): Promise<boolean> {
  return (await database.run(() => first('SELECT id FROM keys LIMIT 1'))) !== undefined;
}

/** Makes the data key and the audit key of a new vault, and its empty audit trail. Does nothing when another process just did. */
export async function createKeys(database: Database, masterKey: MasterKey, now: number): Promise<void> {
  const audit = newKey('audit', now);
  const insert = await insertWrapped([newKey('data', now), audit], [masterKey]);
  await database.transaction(function* (): Steps<void> {
    if (yield* first('SELECT id FROM keys LIMIT 1')) return;
    yield* insert();
    yield* insertHead(macUnder(audit));
  });
}

/** MACs under the audit key: HMAC-SHA-256, base64url. */
export function macUnder({ bytes }: VaultKey): Mac {
  return (text) => createHmac('sha256', bytes).update(text).digest('base64url');
}

/** All keys this master key opens, oldest first. Throws `key_wrong` when it opens none. */
export async function loadKeys(database: Pick<Database, 'run'>, masterKey: MasterKey): Promise<VaultKey[]> {
  const rows = await database.run(() =>
    query<KeyRow>('SELECT * FROM keys WHERE master_key_id = ? ORDER BY created_at, id', masterKey.id),
  );
  if (rows.length === 0) throw wrongKey(masterKey);
  return Promise.all(
    rows.map(async ({ id, purpose, wrapped, created_at }) => ({
      id,
      purpose,
      bytes: await unwrap(wrapped, id, masterKey),
      createdAt: created_at,
    })),
  );
}

/** All rows, oldest first. */
export function* listKeys(): Steps<WrappedKey[]> {
  const rows = yield* query<KeyRow>('SELECT * FROM keys ORDER BY created_at, id, master_key_id');
  return rows.map(({ id, purpose, master_key_id, created_at }) => ({
    id,
    purpose,
    masterKeyId: master_key_id,
    createdAt: created_at,
  }));
}

/** The data key that seals from now on. */
export function* newestDataKey(masterKeyId: string): Steps<string | undefined> {
  const row = yield* first<{ id: string }>(
    "SELECT id FROM keys WHERE purpose = 'data' AND master_key_id = ? ORDER BY created_at DESC, id DESC LIMIT 1",
    masterKeyId,
  );
  return row?.id;
}

/** A data key that is newer than `others`, whatever the clock says. */
export function nextDataKey(others: VaultKey[], now: number): VaultKey {
  return newKey('data', Math.max(now, ...others.map(({ createdAt }) => createdAt + 1)));
}

/** Wraps the keys under each master key and gives back the statements that store them. */
export async function insertWrapped(keys: VaultKey[], masterKeys: MasterKey[]): Promise<() => Steps<void>> {
  const rows = await Promise.all(
    masterKeys.flatMap((masterKey) =>
      keys.map(async (key) => ({ ...key, masterKeyId: masterKey.id, wrapped: await wrap(key, masterKey) })),
    ),
  );
  return function* () {
    for (const { id, purpose, masterKeyId, wrapped, createdAt } of rows) {
      yield* query(
        `INSERT INTO keys (id, purpose, master_key_id, wrapped, created_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id, master_key_id) DO NOTHING`,
        ...[id, purpose, masterKeyId, wrapped, createdAt],
      );
    }
  };
}

/** Forgets a data key, or what a master key opens. */
export function* deleteKeys(column: 'id' | 'master_key_id', id: string): Steps<void> {
  yield* query(`DELETE FROM keys WHERE ${column} = ?`, id);
}

function newKey(purpose: KeyPurpose, createdAt: number): VaultKey {
  return { id: randomUUID(), purpose, bytes: randomBytes(32), createdAt };
}

function wrap({ id, bytes }: VaultKey, masterKey: MasterKey): Promise<string> {
  return encrypt(Buffer.from(bytes).toString('base64url'), masterKey.id, masterKey.bytes, { wraps: id });
}

async function unwrap(wrapped: string, id: string, masterKey: MasterKey): Promise<Uint8Array> {
  const { plaintext, header } = await decrypt(wrapped, async () => masterKey.bytes);
  if (header.wraps !== id) throw wrongKey(masterKey);
  return Buffer.from(plaintext, 'base64url');
}

function wrongKey(masterKey: MasterKey): BrokerError {
  return new BrokerError(
    'key_wrong',
    `the master key from ${masterKey.source} is not the key of this vault`,
    {
      hint: 'name the right one with --master-key-file or BROKER_MASTER_KEY_FILE; nothing was changed',
    },
  );
}
