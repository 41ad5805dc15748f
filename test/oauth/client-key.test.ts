import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, decodeProtectedHeader, type JWTVerifyResult, jwtVerify } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { clientAuth, requireClientAuth } from '../../src/oauth/client-auth.ts';
import { generateClientKey, publicJwks, readClientKey } from '../../src/oauth/client-key.ts';
import { presentRefreshToken } from '../../src/oauth/refresh.ts';
import type { ServerMetadata } from '../../src/oauth/server-discovery.ts';
import { Secret } from '../../src/secret.ts';
import { NOW } from '../support/connection.ts';
import { fakeMetadata, fetch } from '../support/provider.ts';
import { type RawServer, startRawServer } from '../support/raw-server.ts';

/** Keys no server accepts, made for these tests alone. */
const KEYS = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed25519: generateKeyPairSync('ed25519'),
};

const pem = (key: KeyObject, type: 'pkcs8' | 'pkcs1' | 'sec1' = 'pkcs8') =>
  String(key.export({ type, format: 'pem' } as never));
const jwk = (key: KeyObject, more: object = {}) =>
  JSON.stringify({ ...key.export({ format: 'jwk' }), ...more });

let raw: RawServer | undefined;

afterEach(() => raw?.close());

/** The forms of token requests by a client with this key. */
async function presentWith(key: string, changes: Partial<ServerMetadata> = {}, times = 1) {
  const server = await startRawServer(() => ({ status: 200, body: { access_token: 'fake-access' } }));
  raw = server;
  const client = { clientId: 'fake-client', clientSecret: undefined, clientKey: new Secret(key) };
  for (let time = 0; time < times; time += 1) {
    await presentRefreshToken({
      metadata: fakeMetadata(server.url, changes),
      clientId: 'fake-client',
      auth: clientAuth({ ...client, authMethod: 'private_key_jwt' }),
      refreshToken: new Secret('fake-refresh'),
      resource: undefined,
      fetch,
      now: () => NOW,
    });
  }
  return server.requests.map(({ body }) => new URLSearchParams(body));
}

/** The assertion of such a request, its signature checked with jose. */
async function assertionWith(
  key: string,
  publicKey: KeyObject,
  changes: Partial<ServerMetadata> = {},
): Promise<JWTVerifyResult> {
  const [form] = await presentWith(key, changes);
  return jwtVerify(form?.get('client_assertion') ?? '', publicKey);
}

describe('a client that signs (RFC 7523 §2.2, §3)', () => {
  it.each<[string, keyof typeof KEYS, string]>([
    ['RSA', 'rsa', 'RS256'],
    ['EC P-256', 'p256', 'ES256'],
    ['EC P-384', 'p384', 'ES384'],
    ['EC P-521', 'p521', 'ES512'],
    ['Ed25519', 'ed25519', 'EdDSA'],
  ])('with an %s key, as PEM or JWK, proves who it is', async (_, name, algorithm) => {
    const { privateKey, publicKey } = KEYS[name];
    const fromPem = await assertionWith(pem(privateKey), publicKey);
    expect(fromPem.protectedHeader).toEqual({ alg: algorithm });
    await raw?.close();
    const fromJwk = await assertionWith(jwk(privateKey, { kid: 'key-1' }), publicKey);
    expect(fromJwk.protectedHeader).toEqual({ alg: algorithm, kid: 'key-1' });
    expect(fromJwk.payload.iss).toBe('fake-client');
  });

  it('says who it is, to whom, and until when', async () => {
    const { payload } = await assertionWith(pem(KEYS.p256.privateKey), KEYS.p256.publicKey);
    const { iss, sub, aud, exp = 0, iat = 0, jti } = payload;
    expect({ iss, sub, aud }).toEqual({ iss: 'fake-client', sub: 'fake-client', aud: raw?.url });
    expect(jti).toMatch(/^[\w-]{20,}$/);
    expect(Math.abs(iat - Date.now() / 1000)).toBeLessThan(60);
    expect(exp).toBeGreaterThan(iat);
    expect(exp - iat).toBeLessThanOrEqual(300);
  });

  it('names the issuer as audience, whatever the token endpoint is', async () => {
    const changes = { issuer: 'https://as.example.com/tenant' };
    const { payload } = await assertionWith(pem(KEYS.p256.privateKey), KEYS.p256.publicKey, changes);
    expect(payload.aud).toBe('https://as.example.com/tenant');
  });

  it('shows another assertion each time, in the body only', async () => {
    const forms = await presentWith(pem(KEYS.p256.privateKey), {}, 2);
    const assertions = forms.map((form) => form.get('client_assertion'));
    expect(new Set(assertions).size).toBe(2);
    expect(Object.fromEntries(forms[0] ?? [])).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'fake-refresh',
      client_id: 'fake-client',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertions[0],
    });
    expect(raw?.requests[0]?.headers.authorization).toBeUndefined();
  });

  it.each([
    ['PS256 where that is all it offers for RSA', ['PS256', 'ES256'], 'PS256'],
    ['RS256 where both are offered', ['PS256', 'RS256'], 'RS256'],
    ['RS256 where neither is offered', ['ES256'], 'RS256'],
    ['RS256 where nothing is said', undefined, 'RS256'],
  ])('with RSA uses %s', async (_, offered, algorithm) => {
    const changes =
      offered === undefined ? {} : { token_endpoint_auth_signing_alg_values_supported: offered };
    const { protectedHeader } = await assertionWith(pem(KEYS.rsa.privateKey), KEYS.rsa.publicKey, changes);
    expect(protectedHeader.alg).toBe(algorithm);
  });
});

describe('the name of an Ed25519 signature (RFC 9864)', () => {
  it.each([
    [['EdDSA'], 'EdDSA'],
    [['EdDSA', 'Ed25519'], 'Ed25519'],
    [['ES256'], 'EdDSA'],
  ])('at a server that offers %j is %s', async (offered, algorithm) => {
    const { privateKey, publicKey } = KEYS.ed25519;
    const changes = { token_endpoint_auth_signing_alg_values_supported: offered };
    const { protectedHeader } = await assertionWith(pem(privateKey), publicKey, changes);
    expect(protectedHeader.alg).toBe(algorithm);
  });
});

describe('the private key of a client', () => {
  it.each([
    ['PKCS #8', pem(KEYS.p256.privateKey)],
    ['SEC 1', pem(KEYS.p256.privateKey, 'sec1')],
    ['PKCS #1', pem(KEYS.rsa.privateKey, 'pkcs1')],
    ['a JWK with white space around it', `\n  ${jwk(KEYS.ed25519.privateKey)}\n`],
  ])('may be %s', (_, text) => {
    expect(readClientKey(new Secret(text))).toMatchObject({ kid: undefined });
  });

  it('has no kid when the JWK has one that is no text', async () => {
    const [form] = await presentWith(jwk(KEYS.p256.privateKey, { kid: 7 }));
    expect(decodeProtectedHeader(form?.get('client_assertion') ?? '')).toEqual({ alg: 'ES256' });
  });

  const encrypted = () =>
    KEYS.p256.privateKey.export({
      ...{ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'fake-passphrase' },
    } as never) as unknown as string;
  const shortRsa = () => pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey);
  const neither = 'it is neither an unencrypted PEM private key nor a private JWK';
  const isPublic = 'it is a public key; the private one is wanted, which stays here';
  const notForSigning = 'its JWK says that it is not for signing';
  const cannotSign = 'only RSA, EC (P-256, P-384, P-521) and Ed25519 keys can sign';

  it.each<[string, () => string, string]>([
    ['words', () => 'fake words, no key', neither],
    ['nothing', () => '', neither],
    ['JSON that is none', () => '{"fake', neither],
    ['a JWK of a shared secret', () => '{"kty":"oct","k":"ZmFrZQ"}', neither],
    ['a public JWK', () => jwk(KEYS.p256.publicKey), isPublic],
    ['a public PEM', () => String(KEYS.p256.publicKey.export({ type: 'spki', format: 'pem' })), isPublic],
    ['a JWK for encryption', () => jwk(KEYS.rsa.privateKey, { use: 'enc' }), notForSigning],
    ['a JWK that only verifies', () => jwk(KEYS.p256.privateKey, { key_ops: ['verify'] }), notForSigning],
    [
      'a JWK of another algorithm',
      () => jwk(KEYS.rsa.privateKey, { alg: 'RSA-OAEP' }),
      'its JWK is for "RSA-OAEP", and such a key signs with RS256 or PS256 here',
    ],
    [
      'a JWK of another curve than its algorithm',
      () => jwk(KEYS.p384.privateKey, { alg: 'ES256' }),
      'its JWK is for "ES256", and such a key signs with ES384 here',
    ],
    ['encrypted', encrypted, neither],
    ['a PEM that was cut off', () => pem(KEYS.rsa.privateKey).slice(0, 300), neither],
    ['too short', shortRsa, 'an RSA key must have 2048 bits or more, this one has 1024'],
    [
      'on another curve',
      () => pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey),
      cannotSign,
    ],
    ['for encryption only', () => pem(generateKeyPairSync('x25519').privateKey), cannotSign],
  ])('is refused when it is %s, and never quoted', (_, make, reason) => {
    const text = make();
    let error: unknown;
    try {
      clientAuth({
        ...{ clientId: 'fake-client', authMethod: 'private_key_jwt', clientSecret: undefined },
        clientKey: new Secret(text),
      });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      code: 'config_error',
      message: `the private key of the client cannot be used: ${reason}`,
      hint: expect.stringContaining('openssl genpkey'),
    });
    expect((error as Error).cause).toBeUndefined();
    for (const line of text
      .split('\n')
      .filter((each) => each.trim().length > 5 && !each.startsWith('-----'))) {
      expect(`${(error as Error).stack} ${(error as { hint: string }).hint}`).not.toContain(line);
    }
  });
});

describe('a key for a server that says what it takes (RFC 8414 §2)', () => {
  const client = (key: string) => ({
    ...{ clientId: 'fake-client', authMethod: 'private_key_jwt', clientSecret: undefined },
    clientKey: new Secret(key),
  });
  const require = (key: string, offered: string[] | undefined) =>
    requireClientAuth(client(key), {
      ...fakeMetadata('https://as.example.com'),
      ...(offered ? { token_endpoint_auth_signing_alg_values_supported: offered } : {}),
    });

  it.each<[string, string, string[] | undefined]>([
    ['one of them', pem(KEYS.p256.privateKey), ['RS256', 'ES256']],
    ['PS256 for RSA', pem(KEYS.rsa.privateKey), ['PS256']],
    ['the older name of Ed25519', pem(KEYS.ed25519.privateKey), ['EdDSA']],
    ['the newer name of Ed25519', pem(KEYS.ed25519.privateKey), ['Ed25519']],
    ['whatever, where nothing is said', pem(KEYS.p521.privateKey), undefined],
  ])('is fine with %s', (_, key, offered) => {
    expect(() => require(key, offered)).not.toThrow();
  });

  it.each<[string, string, string[], string]>([
    [
      'of another type',
      pem(KEYS.p256.privateKey),
      ['RS256', 'PS256'],
      'ES256, and the server takes "RS256, PS256"',
    ],
    ['of another curve', pem(KEYS.p384.privateKey), ['ES256'], 'ES384, and the server takes "ES256"'],
    [
      'for another algorithm',
      jwk(KEYS.rsa.privateKey, { alg: 'PS256' }),
      ['RS256'],
      'PS256, and the server takes "RS256"',
    ],
  ])('is refused when it is %s', (_, key, offered, reason) => {
    expect(() => require(key, offered)).toThrow(
      `the private key of the client cannot be used: it signs with ${reason}`,
    );
  });

  it('signs with the algorithm that its JWK names', async () => {
    const { privateKey, publicKey } = KEYS.rsa;
    const { protectedHeader } = await assertionWith(jwk(privateKey, { alg: 'PS256' }), publicKey);
    expect(protectedHeader.alg).toBe('PS256');
  });
});

describe('a key that is made here', () => {
  it.each<[string, string[] | undefined, string]>([
    ['says nothing', undefined, 'ES256'],
    ['takes it', ['RS256', 'ES256'], 'ES256'],
    ['takes another curve', ['ES384', 'RS256'], 'ES384'],
    ['takes Ed25519', ['EdDSA'], 'EdDSA'],
    ['takes only RSA', ['RS256'], 'RS256'],
    ['takes only RSA with PSS', ['PS256'], 'PS256'],
  ])('where the server %s signs as it takes it, by a kid that is its thumbprint', async (_, offered, alg) => {
    const key = await generateClientKey(offered);
    const { keys } = publicJwks(key);
    const [published = {}] = keys;
    expect(Object.keys(published).filter((each) => ['d', 'p', 'q', 'k'].includes(each))).toEqual([]);
    const { d, ...publicPart } = JSON.parse(key.reveal()) as Record<string, string>;
    expect(d).toBeTruthy();
    const changes = offered ? { token_endpoint_auth_signing_alg_values_supported: offered } : {};
    const [form] = await presentWith(key.reveal(), changes);
    const assertion = form?.get('client_assertion') ?? '';
    const publicKey = createPublicKey({ key: published, format: 'jwk' } as never);
    const { protectedHeader } = await jwtVerify(assertion, publicKey);
    expect(protectedHeader).toEqual({ alg, kid: await calculateJwkThumbprint(publicPart as never) });
    expect(published).toMatchObject({ kid: protectedHeader.kid, use: 'sig' });
  });

  it('is another each time', async () => {
    const [one, other] = [await generateClientKey(undefined), await generateClientKey(undefined)];
    expect(one.reveal()).not.toBe(other.reveal());
  });

  it('is none where the server takes nothing that can be made', async () => {
    await expect(generateClientKey(['HS256'])).rejects.toMatchObject({
      ...{ code: 'config_error', message: expect.stringMatching(/and the server takes "HS256"$/) },
    });
  });
});
