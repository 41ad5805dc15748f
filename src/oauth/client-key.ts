/** The private key of a client that authenticates by signing (RFC 7523). */
import { createPrivateKey, createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import { BrokerError } from '../errors.ts';
import type { Secret } from '../secret.ts';

/** The public half as a JWK, to be published: in a client metadata document, or entered at the vendor. */
export function publicJwk({ key, kid }: ClientKey): Record<string, unknown> {
  const jwk = createPublicKey(key as never).export({ format: 'jwk' }) as Record<string, unknown>;
  return { ...jwk, use: 'sig', ...(kid === undefined ? {} : { kid }) };
}

export interface ClientKey {
  key: KeyObject;
  /** `kid` of the JWK. Undefined for PEM. */
  kid: string | undefined;
}

type Algorithm = Parameters<KeyObject['toCryptoKey']>[0];

/** Curves and the algorithm each signs with (RFC 7518 §3.1, RFC 8037). */
const CURVES: Record<string, string> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };

const SMALLEST_RSA_BITS = 2048;

/** Reads PEM (PKCS #8, SEC 1, PKCS #1) or a JWK. Throws `config_error` for anything else. */
export function readClientKey(secret: Secret): ClientKey {
  const text = secret.reveal().trim();
  try {
    if (!text.startsWith('{')) return checked({ key: createPrivateKey(text), kid: undefined });
    const jwk = JSON.parse(text) as Record<string, unknown>;
    const kid = typeof jwk.kid === 'string' ? jwk.kid : undefined;
    return checked({ key: createPrivateKey({ key: jwk, format: 'jwk' } as never), kid });
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    // The cause stays out: messages of parsers can quote what they read.
    throw unusable('it is neither an unencrypted PEM private key nor a private JWK');
  }
}

/**
 * The key as the library signs with it.
 *
 * @param offered `token_endpoint_auth_signing_alg_values_supported`; undefined: not told
 */
export function signingKey({ key, kid }: ClientKey, offered: string[] | undefined): SigningKey {
  const cryptoKey = key.toCryptoKey(algorithmOf(key, offered), false, ['sign']);
  return kid === undefined ? { key: cryptoKey } : { key: cryptoKey, kid };
}

type SigningKey = { key: webcrypto.CryptoKey; kid?: string };

function checked(clientKey: ClientKey): ClientKey {
  const { key } = clientKey;
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (key.asymmetricKeyType === 'rsa' && (bits ?? 0) < SMALLEST_RSA_BITS) {
    throw unusable(`an RSA key must have ${SMALLEST_RSA_BITS} bits or more, this one has ${bits}`);
  }
  algorithmOf(key, undefined);
  return clientKey;
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
      const namedCurve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''];
      if (namedCurve !== undefined) return { name: 'ECDSA', namedCurve };
    }
  }
  throw unusable('only RSA, EC (P-256, P-384, P-521) and Ed25519 keys can sign');
}

function unusable(reason: string): BrokerError {
  return new BrokerError('config_error', `the private key of the client cannot be used: ${reason}`, {
    hint: 'make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out client-key.pem',
  });
}
