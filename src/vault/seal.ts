/**
 * Sealing: every secret is stored as a JWE (RFC 7516), `dir` with A256GCM under a data key.
 *
 *     header { alg: dir, enc: A256GCM, kid, table, row, column, generation }   protected, so authenticated
 *     payload = the secret
 *
 * After opening, the header is compared with the place the value was read from. A value moved to another row
 * or column, or an old one put back under a newer generation, therefore does not open.
 *
 * Data keys lie in `keys`, each wrapped (the same way) under the master key. Replacing the master key rewraps
 * those few rows and touches no secret.
 */
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { CompactEncrypt, compactDecrypt } from 'jose';
import { BrokerError } from '../errors.ts';
import { type Database, first, query, type Steps } from './database.ts';
import type { MasterKey } from './keyring.ts';

/** Where a sealed value belongs. */
export interface Place {
  table: string;
  row: string;
  column: string;
  generation: number;
}

/** One row of `keys`, unwrapped. */
interface VaultKey {
  id: string;
  bytes: Uint8Array;
}

interface KeyRow {
  id: string;
  purpose: 'data' | 'audit';
  wrapped: string;
}

export interface Sealer {
  /** Names this vault, the same for as long as it lives. */
  readonly vaultId: string;
  /** Seals for this place under the current data key. */
  seal(plaintext: string, place: Place): Promise<string>;
  /** Opens a value read from this place. Throws `vault_unavailable` when it was moved, put back or damaged. */
  open(sealed: string, place: Place): Promise<string>;
  /** MAC of an audit record, base64url HMAC-SHA-256 under the audit key. */
  mac(text: string): string;
}

/** Whether the vault has its keys yet: false only for one that is just being made. */
export async function hasKeys(database: Database): Promise<boolean> {
  return (await database.run(() => first('SELECT id FROM keys LIMIT 1'))) !== undefined;
}

/** Makes the data key and the audit key of a new vault. Does nothing when another process just did. */
export async function createKeys(database: Database, masterKey: MasterKey, now: number): Promise<void> {
  const rows = await Promise.all(
    (['data', 'audit'] as const).map(async (purpose) => {
      const id = randomUUID();
      return { id, purpose, wrapped: await wrap(randomBytes(32), id, masterKey) };
    }),
  );
  await database.transaction(function* (): Steps<void> {
    if (yield* first('SELECT id FROM keys LIMIT 1')) return;
    for (const { id, purpose, wrapped } of rows) {
      yield* query(
        'INSERT INTO keys (id, purpose, master_key_id, wrapped, created_at) VALUES (?, ?, ?, ?, ?)',
        ...[id, purpose, masterKey.id, wrapped, now],
      );
    }
  });
}

/** Unwraps the vault's keys. Throws `key_wrong` when this master key wraps none of them. */
export async function openSealer(database: Database, masterKey: MasterKey): Promise<Sealer> {
  const keys = new Map<string, VaultKey>();
  let current: VaultKey;
  let audit: VaultKey;

  async function load(): Promise<void> {
    const rows = await database.run(() =>
      query<KeyRow>(
        'SELECT id, purpose, wrapped FROM keys WHERE master_key_id = ? ORDER BY created_at, id',
        masterKey.id,
      ),
    );
    for (const row of rows) {
      const key = { id: row.id, bytes: await unwrap(row.wrapped, row.id, masterKey) };
      if (row.purpose === 'audit') audit = key;
      else {
        keys.set(key.id, key);
        current = key;
      }
    }
    if (rows.length === 0) throw wrongKey(masterKey);
  }

  await load();
  return {
    get vaultId() {
      return audit.id;
    },
    seal: (plaintext, place) => encrypt(plaintext, current.id, current.bytes, { ...place }),
    async open(sealed, place) {
      const { plaintext, header } = await decrypt(sealed, async (kid) => {
        // Another process may have made a new data key since we looked.
        if (!keys.has(kid)) await load();
        return keys.get(kid)?.bytes;
      });
      const moved = (Object.keys(place) as (keyof Place)[]).some((field) => header[field] !== place[field]);
      if (moved) {
        throw new BrokerError(
          'vault_unavailable',
          `a sealed value in ${place.table} is not the one that belongs there`,
          {
            hint: 'the vault file was changed from outside; restore it from a backup',
          },
        );
      }
      return plaintext;
    },
    mac: (text) => createHmac('sha256', audit.bytes).update(text).digest('base64url'),
  };
}

function wrap(key: Uint8Array, id: string, masterKey: MasterKey): Promise<string> {
  return encrypt(Buffer.from(key).toString('base64url'), masterKey.id, masterKey.bytes, { wraps: id });
}

async function unwrap(wrapped: string, id: string, masterKey: MasterKey): Promise<Uint8Array> {
  const { plaintext, header } = await decrypt(wrapped, async () => masterKey.bytes);
  if (header.wraps !== id) throw wrongKey(masterKey);
  return Buffer.from(plaintext, 'base64url');
}

function encrypt(
  plaintext: string,
  kid: string,
  key: Uint8Array,
  header: Record<string, unknown>,
): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(plaintext))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid, ...header })
    .encrypt(key);
}

async function decrypt(
  sealed: string,
  keyFor: (kid: string) => Promise<Uint8Array | undefined>,
): Promise<{ plaintext: string; header: Record<string, unknown> }> {
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(
      sealed,
      async ({ kid }) => {
        const key = await keyFor(String(kid));
        if (!key) throw new Error(`no key ${kid}`);
        return key;
      },
      { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] },
    );
    return { plaintext: new TextDecoder().decode(plaintext), header: protectedHeader };
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError('vault_unavailable', 'a sealed value in the vault cannot be opened', {
      hint: 'the vault file is damaged or was changed from outside; restore it from a backup',
      cause: error,
    });
  }
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
