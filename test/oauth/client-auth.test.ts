import { describe, expect, it } from 'vitest';
import {
  type BasicEncoding,
  chooseAuthMethod,
  clientAuth,
  otherAuthMethod,
  proofOf,
} from '../../src/oauth/client-auth.ts';
import { Secret } from '../../src/secret.ts';
import { fakeMetadata } from '../support/provider.ts';

const offering = (...methods: string[]) =>
  fakeMetadata('https://as.example.com', { token_endpoint_auth_methods_supported: methods });

/** A server that says nothing about methods. */
function silent() {
  const { token_endpoint_auth_methods_supported: _, ...metadata } = offering();
  return metadata;
}

describe('the authentication to register for (RFC 8414 §2)', () => {
  it.each([
    [['none', 'client_secret_basic', 'client_secret_post'], 'none'],
    [['client_secret_post'], 'client_secret_post'],
    [['client_secret_basic', 'client_secret_post'], 'client_secret_post'],
    [['client_secret_basic'], 'client_secret_basic'],
    [['private_key_jwt', 'client_secret_basic'], 'client_secret_basic'],
    [['private_key_jwt', 'tls_client_auth'], 'none'],
  ])('of %j is %s', (offered, method) => {
    expect(chooseAuthMethod(offering(...offered))).toBe(method);
  });

  it('is client_secret_basic where the server is silent', () => {
    expect(chooseAuthMethod(silent())).toBe('client_secret_basic');
  });

  it('follows what the operator configured', () => {
    const all = offering('none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt');
    expect(chooseAuthMethod(all, 'secret')).toBe('client_secret_post');
    expect(chooseAuthMethod(all, 'none')).toBe('none');
    expect(chooseAuthMethod(all, 'key')).toBe('private_key_jwt');
    expect(chooseAuthMethod(silent(), 'secret')).toBe('client_secret_basic');
    expect(chooseAuthMethod(offering('client_secret_basic'), 'none')).toBe('none');
    expect(chooseAuthMethod(offering('client_secret_basic'), 'key')).toBe('private_key_jwt');
  });
});

/** What the library puts into headers and body for this client. */
function sent(authMethod: string, clientSecret?: string, encoding?: BasicEncoding, clientId = 'fake-client') {
  const headers = new Headers();
  const body = new URLSearchParams();
  const secret = clientSecret === undefined ? undefined : new Secret(clientSecret);
  const authenticate = clientAuth({ clientId, authMethod, clientSecret: secret }, encoding);
  void authenticate({ issuer: 'https://as.example.com' }, { client_id: clientId }, body, headers);
  return { authorization: headers.get('authorization'), body: Object.fromEntries(body) };
}

describe('the authentication of a client (RFC 6749 §2.3.1)', () => {
  it('without a secret is its name in the body', () => {
    expect(sent('none')).toEqual({ authorization: null, body: { client_id: 'fake-client' } });
  });

  it('with client_secret_post is in the body only', () => {
    expect(sent('client_secret_post', 'fake-secret')).toEqual({
      authorization: null,
      body: { client_id: 'fake-client', client_secret: 'fake-secret' },
    });
  });

  it('with client_secret_basic is in the header only', () => {
    const { authorization, body } = sent('client_secret_basic', 'fake-secret');
    expect(atob((authorization ?? '').replace('Basic ', '')).replaceAll('%2D', '-')).toBe(
      'fake-client:fake-secret',
    );
    expect(body).toEqual({});
  });

  it('is refused when its secret is missing', () => {
    for (const method of ['client_secret_post', 'client_secret_basic']) {
      expect(() => sent(method)).toThrow(
        expect.objectContaining({
          code: 'config_error',
          hint: expect.stringContaining('--client-secret-file'),
        }),
      );
    }
  });

  it('with client_secret_basic is encoded first, or not at all where the server does not decode', () => {
    const [id, secret] = ['https://id.example.com/a', 'fake:secret+%/ü'];
    const basic = (encoding?: BasicEncoding) => {
      const { authorization } = sent('client_secret_basic', secret, encoding, id);
      return Buffer.from((authorization ?? '').replace('Basic ', ''), 'base64').toString();
    };
    const decoded = (text: string) => decodeURIComponent(text.replaceAll('+', ' '));
    expect(basic('raw')).toBe(`${id}:${secret}`);
    expect(basic().split(':').map(decoded)).toEqual([id, secret]);
    expect(sent('client_secret_basic', secret, 'raw', id).body).toEqual({});
  });

  it('is refused when its key is missing', () => {
    expect(() => sent('private_key_jwt')).toThrow(
      expect.objectContaining({
        code: 'config_error',
        message: 'the client fake-client has no key, but must use private_key_jwt',
        hint: expect.stringContaining('--client-key-file'),
      }),
    );
  });

  it('is refused for a method we do not speak, and the secret is not shown', () => {
    expect(() => sent('client_secret_jwt', 'fake-secret')).toThrow(
      expect.objectContaining({
        code: 'config_error',
        message: expect.stringContaining('client_secret_jwt'),
        hint: 'this broker speaks none, private_key_jwt, client_secret_post, client_secret_basic',
      }),
    );
    expect(() => sent('client_secret_jwt', 'fake-secret')).not.toThrow('fake-secret');
  });
});

describe('another authentication, when the server refused the first', () => {
  const client = (authMethod: string, secret?: string) => ({
    clientId: 'fake-client',
    authMethod,
    clientSecret: secret === undefined ? undefined : new Secret(secret),
  });
  const all = ['none', 'client_secret_basic', 'client_secret_post'];

  it.each([
    ['none', all, 'client_secret_post'],
    ['none', ['none', 'client_secret_basic'], 'client_secret_basic'],
    ['none', ['none'], 'client_secret_post'],
    ['none', undefined, 'client_secret_post'],
    ['client_secret_post', all, 'client_secret_basic'],
    ['client_secret_basic', all, 'client_secret_post'],
    ['client_secret_post', ['client_secret_post'], undefined],
    ['client_secret_basic', ['none'], undefined],
    ['client_secret_basic', undefined, undefined],
  ])('than %s at a server that offers %j is %s', (method, offered, other) => {
    const metadata = offered ? offering(...offered) : silent();
    expect(otherAuthMethod(client(method, 'fake-secret'), metadata)).toBe(other);
  });

  it('does not exist without a secret', () => {
    for (const method of ['none', 'private_key_jwt']) {
      expect(otherAuthMethod(client(method), offering(...all))).toBeUndefined();
    }
  });
});

describe('what a client has to show', () => {
  it('is its key, else its secret, else nothing', () => {
    const [clientKey, clientSecret] = [new Secret('fake-key'), new Secret('fake-secret')];
    expect(proofOf({ clientKey, clientSecret })).toBe('key');
    expect(proofOf({ clientKey: undefined, clientSecret })).toBe('secret');
    expect(proofOf({ clientSecret: undefined })).toBe('none');
  });
});
