/** Encryption as a standard JWE (RFC 7516): `dir` with A256GCM, and a protected header that says what it is for. */
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { BrokerError } from '../errors.ts';

/** Encrypts under the key named `kid`. `header` is authenticated with the text, and readable. */
export function encrypt(
  plaintext: string,
  kid: string,
  key: Uint8Array,
  header: Record<string, unknown>,
): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(plaintext))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid, ...header })
    .encrypt(key);
}

/** Decrypts with the key that `keyFor` finds. Throws `vault_unavailable` when it does not open. */
export async function decrypt(
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

/** The name of the key a text is encrypted under; not proven before it is opened. Empty: it names none. */
export function keyIdOf(sealed: string): string {
  try {
    return decodeProtectedHeader(sealed).kid ?? '';
  } catch {
    return '';
  }
}
