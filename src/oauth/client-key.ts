/** The private key of a client that authenticates by signing (RFC 7523). */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  type webcrypto,
} from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import { BrokerError, quote } from '../errors.ts';
import { Secret } from '../secret.ts';

export interface ClientKey {
  key: KeyObject;
  /** `kid` of the JWK. Undefined for PEM. */
  kid: string | undefined;
  /** `alg` of the JWK: the one it is for. Undefined: not told. */
  alg?: string | undefined;
}

type Algorithm = Parameters<KeyObject['toCryptoKey']>[0];

/** Curves as Node names them, their own names, and the algorithm each signs with (RFC 7518 §3.1). */
const CURVES: Record<string, { namedCurve: string; alg: string }> = {
  prime256v1: { namedCurve: 'P-256', alg: 'ES256' },
  secp384r1: { namedCurve: 'P-384', alg: 'ES384' },
  secp521r1: { namedCurve: 'P-521', alg: 'ES512' },
};

const SMALLEST_RSA_BITS = 2048;

/** The public half as a JWK, to be published: in a client metadata document, or entered at the vendor. */
export function publicJwk({ key, kid }: ClientKey): Record<string, unknown> {
  const jwk = createPublicKey(key as never).export({ format: 'jwk' }) as Record<string, unknown>;
  return { ...jwk, use: 'sig', ...(kid === undefined ? {} : { kid }) };
}

/** The public half as a JWK Set (RFC 7517 §5), as `jwks` of a client registration wants it (RFC 7591 §2). */
export function publicJwks(secret: Secret): { keys: Record<string, unknown>[] } {
  return { keys: [publicJwk(readClientKey(secret))] };
}

/** Reads PEM (PKCS #8, SEC 1, PKCS #1) or a JWK. Throws `config_error` for anything else, with the reason. */
export function readClientKey(secret: Secret): ClientKey {
  const text = secret.reveal().trim();
  try {
    if (!text.startsWith('{')) return checked({ key: createPrivateKey(text), kid: undefined });
    const jwk = JSON.parse(text) as Record<string, unknown>;
    const kid = typeof jwk.kid === 'string' ? jwk.kid : undefined;
    const key = createPrivateKey({ key: jwk, format: 'jwk' } as never);
    requireForSigning(jwk);
    return checked({ key, kid, alg: jwk.alg as string | undefined });
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    // The cause stays out: messages of parsers can quote what they read.
    throw unusable(reasonFor(text));
  }
}

/** What stands in place of a private key. */
function reasonFor(text: string): string {
  const isJwk = text.startsWith('{');
  try {
    createPublicKey(isJwk ? ({ key: JSON.parse(text), format: 'jwk' } as never) : text);
    return 'it is a public key; the private one is wanted, which stays here';
  } catch {
    return 'it is neither an unencrypted PEM private key nor a private JWK';
  }
}

/** A JWK may say what it is for (RFC 7517 §4.2, §4.3). */
function requireForSigning({ use, key_ops: operations }: Record<string, unknown>): void {
  const isForSigning = use === undefined || use === 'sig';
  const maySign = !Array.isArray(operations) || operations.includes('sign');
  if (!isForSigning || !maySign) throw unusable('its JWK says that it is not for signing');
}

/**
 * Makes a key pair for a client, with a `kid` of its own (RFC 7638), and gives back the private JWK. ES256, or else the
 * first algorithm that the server takes.
 *
 * Throws `config_error` for a server that takes none we can make.
 *
 * @param offered `token_endpoint_auth_signing_alg_values_supported`; undefined: not told
 */
export async function generateClientKey(offered: string[] | undefined): Promise<Secret> {
  const takes = (names: readonly string[]) =>
    offered === undefined || names.some((each) => offered.includes(each));
  const maker = MAKERS.find(({ algs }) => takes(algs));
  if (!maker) throw notTaken('ES256, ES384, EdDSA, RS256 or PS256', offered);
  const { privateKey } = await maker.make();
  const jwk = privateKey.export({ format: 'jwk' }) as Record<string, string>;
  return new Secret(JSON.stringify({ ...jwk, kid: await calculateJwkThumbprint(jwk) }));
}

const generate = promisify(generateKeyPair) as unknown as (
  type: string,
  options: object,
) => Promise<{ privateKey: KeyObject }>;

/** What can be made, the most common first. */
const MAKERS = [
  { algs: ['ES256'], make: () => generate('ec', { namedCurve: 'prime256v1' }) },
  { algs: ['ES384'], make: () => generate('ec', { namedCurve: 'secp384r1' }) },
  { algs: ['EdDSA', 'Ed25519'], make: () => generate('ed25519', {}) },
  { algs: ['RS256', 'PS256'], make: () => generate('rsa', { modulusLength: 3072 }) },
];

/**
 * Refuses a key with which this server would refuse us. Throws `config_error`.
 *
 * @param offered as for `generateClientKey`
 */
export function requireTaken(clientKey: ClientKey, offered: string[] | undefined): void {
  const algs = clientKey.alg === undefined ? algorithmsOf(clientKey.key) : [clientKey.alg];
  if (offered === undefined || algs.some((each) => offered.includes(each))) return;
  throw notTaken(algs.join(' or '), offered);
}

function notTaken(ours: string, offered: string[] | undefined): BrokerError {
  return unusable(`it signs with ${ours}, and the server takes ${quote(offered?.join(', ') ?? '')}`);
}

/**
 * The key as the library signs with it.
 *
 * @param offered as for `generateClientKey`
 */
export function signingKey({ key, kid, alg }: ClientKey, offered: string[] | undefined): SigningKey {
  const algorithm = algorithmOf(key, alg === undefined ? offered : [alg]);
  const cryptoKey = key.toCryptoKey(algorithm, false, ['sign']);
  return kid === undefined ? { key: cryptoKey } : { key: cryptoKey, kid };
}

type SigningKey = { key: webcrypto.CryptoKey; kid?: string };

function checked(clientKey: ClientKey): ClientKey {
  const { key, alg } = clientKey;
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (key.asymmetricKeyType === 'rsa' && (bits ?? 0) < SMALLEST_RSA_BITS) {
    throw unusable(`an RSA key must have ${SMALLEST_RSA_BITS} bits or more, this one has ${bits}`);
  }
  const algs = algorithmsOf(key);
  if (alg === undefined || algs.includes(alg)) return clientKey;
  throw unusable(`its JWK is for ${quote(String(alg))}, and such a key signs with ${algs.join(' or ')} here`);
}

/** The names of what a key can sign with here (RFC 7518 §3.1, RFC 8037, RFC 9864). */
function algorithmsOf(key: KeyObject): string[] {
  const algorithm = algorithmOf(key, undefined) as { name: string; namedCurve?: string };
  if (algorithm.name === 'Ed25519') return ['EdDSA', 'Ed25519'];
  const curve = Object.values(CURVES).find(({ namedCurve }) => namedCurve === algorithm.namedCurve);
  return curve ? [curve.alg] : ['RS256', 'PS256'];
}

function algorithmOf(key: KeyObject, offered: string[] | undefined): Algorithm {
  switch (key.asymmetricKeyType) {
    case 'rsa': {
      const isPss = offered !== undefined && !offered.includes('RS256') && offered.includes('PS256');
      return { name: isPss ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    }
    case 'ed25519':
      return { name: 'Ed25519' };
    case 'ec': {
      const curve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''];
      if (curve !== undefined) return { name: 'ECDSA', namedCurve: curve.namedCurve };
    }
  }
  throw unusable('only RSA, EC (P-256, P-384, P-521) and Ed25519 keys can sign');
}

function unusable(reason: string): BrokerError {
  return new BrokerError('config_error', `the private key of the client cannot be used: ${reason}`, {
    hint: 'make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out client-key.pem',
  });
}
