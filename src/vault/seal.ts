/**
 * Sealing: every secret is stored as a JWE (RFC 7516), `dir` with A256GCM under a data key.
 *
 *     header { alg: dir, enc: A256GCM, kid, table, row, column, generation }   protected, so authenticated
 *     payload = the secret
 *
 * After opening, the header is compared with the place the value was read from. A value moved to another row
 * or column, or an old one put back under a newer generation, therefore does not open.
 */
import { BrokerError } from '../errors.ts';
import type { Database } from './database.ts';
import { decrypt, encrypt } from './jwe.ts';
import type { MasterKey } from './keyring.ts';
import { loadKeys, macUnder, newestDataKey, type VaultKey } from './keys.ts';

/** Where a sealed value belongs. */
export interface Place {
  table: string;
  row: string;
  column: string;
  generation: number;
}

export interface Sealer {
  /** Names this vault, the same for as long as it lives. */
  readonly vaultId: string;
  /** Seals for this place under the newest data key. */
  seal(plaintext: string, place: Place): Promise<string>;
  /** Opens a value read from this place. Throws `vault_unavailable` when it was moved, put back or damaged. */
  open(sealed: string, place: Place): Promise<string>;
  /** MAC of the audit trail, base64url HMAC-SHA-256 under the audit key. */
  mac(text: string): string;
}

/** Unwraps the vault's keys. Throws `key_wrong` when this master key wraps none of them. */
export async function openSealer(database: Pick<Database, 'run'>, masterKey: MasterKey): Promise<Sealer> {
  const known = new Map<string, VaultKey>();
  let current: VaultKey;
  let audit: VaultKey;

  async function load(): Promise<void> {
    for (const key of await loadKeys(database, masterKey)) {
      known.set(key.id, key);
      if (key.purpose === 'audit') audit = key;
      else current = key;
    }
  }

  /** Another process may have made a newer key. A vault that cannot be read must not keep a new token from being sealed. */
  async function newest(): Promise<VaultKey> {
    try {
      const id = await database.run(() => newestDataKey(masterKey.id));
      if (id !== current.id) await load();
    } catch {
      // The key we know still opens.
    }
    return current;
  }

  await load();
  return {
    get vaultId() {
      return audit.id;
    },
    async seal(plaintext, place) {
      const { id, bytes } = await newest();
      return encrypt(plaintext, id, bytes, { ...place });
    },
    async open(sealed, place) {
      const { plaintext, header } = await decrypt(sealed, async (kid) => {
        if (!known.has(kid)) await load();
        return known.get(kid)?.bytes;
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
    mac: (text) => macUnder(audit)(text),
  };
}
