import { describe, expect, it } from 'vitest';
import { chooseAuthMethod, clientAuth } from '../../src/oauth/client-auth.ts';
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
  ])('of %j is %s', (offered, method) => {
    expect(chooseAuthMethod(offering(...offered))).toBe(method);
  });

  it('is client_secret_basic where the server is silent', () => {
    expect(chooseAuthMethod(silent())).toBe('client_secret_basic');
  });

  it('follows what the operator configured', () => {
    const all = offering('none', 'client_secret_basic', 'client_secret_post');
    expect(chooseAuthMethod(all, true)).toBe('client_secret_post');
    expect(chooseAuthMethod(all, false)).toBe('none');
    expect(chooseAuthMethod(silent(), true)).toBe('client_secret_basic');
    expect(chooseAuthMethod(offering('client_secret_basic'), false)).toBe('none');
  });
});

/** What the library puts into headers and body for this client. */
function sent(authMethod: string, clientSecret?: string) {
  const headers = new Headers();
  const body = new URLSearchParams();
  const secret = clientSecret === undefined ? undefined : new Secret(clientSecret);
  const authenticate = clientAuth({ clientId: 'fake-client', authMethod, clientSecret: secret });
  void authenticate({ issuer: 'https://as.example.com' }, { client_id: 'fake-client' }, body, headers);
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

  it('is refused for a method we do not speak, and the secret is not shown', () => {
    expect(() => sent('private_key_jwt', 'fake-secret')).toThrow(
      expect.objectContaining({ code: 'config_error', message: expect.stringContaining('private_key_jwt') }),
    );
    expect(() => sent('private_key_jwt', 'fake-secret')).not.toThrow('fake-secret');
  });
});
