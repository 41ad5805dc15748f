import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inheritTokenSet, isBearer, readTokenSet, type TokenSet } from '../../src/core/token-set.ts';
import { Secret } from '../../src/secret.ts';
import { NOW } from '../support/connection.ts';

function jwt(claims: unknown): string {
  const encoded = [{ alg: 'none' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return `${encoded.join('.')}.fake`;
}

function read(body: Record<string, unknown>): TokenSet {
  const tokens = readTokenSet({ access_token: 'fake-access', ...body }, NOW);
  if (!tokens) throw new Error('no token set');
  return tokens;
}

describe('a token response (RFC 6749 §5.1)', () => {
  it('is read whole', () => {
    const tokens = readTokenSet(
      {
        access_token: 'fake-access',
        refresh_token: 'fake-refresh',
        token_type: 'Bearer',
        expires_in: 3600,
        scope: 'a b',
      },
      NOW,
    );
    expect(tokens?.accessToken.reveal()).toBe('fake-access');
    expect(tokens?.refreshToken?.reveal()).toBe('fake-refresh');
    expect(tokens).toMatchObject({
      tokenType: 'Bearer',
      scope: 'a b',
      receivedAt: NOW,
      accessExpiresAt: NOW + 3_600_000,
    });
  });

  it.each([
    [{}],
    [{ access_token: '' }],
    [{ access_token: null }],
    [{ access_token: 7 }],
    [{ access_token: ['x'] }],
  ])('without an access token is none: %j', (body) => {
    expect(readTokenSet({ refresh_token: 'fake-refresh', ...body }, NOW)).toBeUndefined();
  });

  it('takes null fields as absent', () => {
    const nulls = { refresh_token: null, token_type: null, expires_in: null, scope: null, id_token: null };
    const absent = {
      refreshToken: undefined,
      tokenType: undefined,
      accessExpiresAt: undefined,
      scope: undefined,
    };
    expect(read(nulls)).toMatchObject({ ...absent, accountIdentity: undefined });
  });

  it('takes an empty refresh token as none', () => {
    expect(read({ refresh_token: '' }).refreshToken).toBeUndefined();
  });

  it('takes a list of scopes as the words it holds', () => {
    expect(read({ scope: ['a', 'b', 7, null] }).scope).toBe('a b');
    expect(read({ scope: [] }).scope).toBeUndefined();
    expect(read({ scope: '' }).scope).toBeUndefined();
  });
});

describe('the expiry of an access token', () => {
  it.each([
    [3600, 3_600_000],
    ['3600', 3_600_000],
    [' 60 ', 60_000],
    [0.5, 500],
  ])('comes from expires_in %j', (expires_in, ms) => {
    expect(read({ expires_in }).accessExpiresAt).toBe(NOW + ms);
  });

  it.each([
    [undefined],
    [0],
    [-1],
    ['0'],
    ['-5'],
    ['soon'],
    [''],
    ['1e9'],
    [true],
    [{}],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
  ])('is unknown for expires_in %j', (expires_in) => {
    expect(read({ expires_in }).accessExpiresAt).toBeUndefined();
  });

  it('is taken from the exp of a JWT when nothing else tells', () => {
    const access_token = jwt({ exp: NOW / 1000 + 120 });
    expect(read({ access_token }).accessExpiresAt).toBe(NOW + 120_000);
    expect(read({ access_token, expires_in: 60 }).accessExpiresAt).toBe(NOW + 60_000);
  });

  it.each([
    ['an exp in the past', jwt({ exp: 1 })],
    ['an exp that is no number', jwt({ exp: 'never' })],
    ['no exp', jwt({})],
    ['claims that are no object', jwt('x')],
    ['three parts that are no JWT', 'a.b.c'],
    ['two parts', 'a.b'],
  ])('is unknown for a token with %s', (_, access_token) => {
    expect(read({ access_token }).accessExpiresAt).toBeUndefined();
  });

  it('is a date that can be stored and shown, whatever the server says', () => {
    const number = fc.oneof(
      fc.double(),
      fc.integer(),
      fc.constantFrom(1e13, 1e15, 2 ** 63 - 1, 1.0001, 1e300),
    );
    fc.assert(
      fc.property(number, fc.boolean(), (value, isJwt) => {
        const { accessExpiresAt } = read(
          isJwt ? { access_token: jwt({ exp: value }) } : { expires_in: value },
        );
        if (accessExpiresAt === undefined) return;
        expect(Number.isSafeInteger(accessExpiresAt)).toBe(true);
        expect(new Date(accessExpiresAt).getTime()).toBe(accessExpiresAt);
      }),
    );
  });
});

describe('whom a token belongs to', () => {
  it.each([
    [
      'the email of the ID token',
      { id_token: jwt({ email: 'alice@example.com', sub: '1' }) },
      'alice@example.com',
    ],
    ['the subject of the ID token before the body', { id_token: jwt({ sub: '1' }), name: 'Alice' }, '1'],
    ['the workspace a body names', { workspace_name: 'Example Inc' }, 'Example Inc'],
    ['nobody, if the ID token is rubbish', { id_token: 'rubbish' }, undefined],
    ['nobody, if a name is no text', { name: { first: 'Alice' } }, undefined],
  ])('is %s', (_, body, identity) => {
    expect(read(body).accountIdentity).toBe(identity);
  });
});

describe('a refresh answer (RFC 6749 §6)', () => {
  const previous = read({ refresh_token: 'fake-old', scope: 'a', name: 'Alice', expires_in: 60 });

  it('keeps what it leaves out: refresh token, scope, account', () => {
    const kept = inheritTokenSet(read({ access_token: 'fake-new' }), previous);
    expect(kept.accessToken.reveal()).toBe('fake-new');
    expect(kept.refreshToken?.reveal()).toBe('fake-old');
    expect(kept).toMatchObject({ scope: 'a', accountIdentity: 'Alice' });
  });

  it('replaces what it gives', () => {
    const kept = inheritTokenSet(read({ refresh_token: 'fake-next', scope: 'b' }), previous);
    expect(kept.refreshToken?.reveal()).toBe('fake-next');
    expect(kept).toMatchObject({ scope: 'b' });
  });

  it('never inherits the expiry of an older access token', () => {
    expect(inheritTokenSet(read({}), previous).accessExpiresAt).toBeUndefined();
  });
});

describe('a token type', () => {
  it.each([
    [undefined, true],
    ['Bearer', true],
    ['bearer', true],
    ['DPoP', false],
    ['mac', false],
  ])('%s is usable as Bearer: %s', (type, isUsable) => {
    expect(isBearer(type)).toBe(isUsable);
  });
});

describe('a token set', () => {
  it('shows no token when it is printed', () => {
    const tokens = read({ refresh_token: 'fake-refresh' });
    expect(JSON.stringify(tokens)).not.toMatch(/fake-/);
    expect(tokens.accessToken).toBeInstanceOf(Secret);
  });
});

describe('what a server says of scope and account', () => {
  it('is kept without control characters, and bounded', () => {
    const tokens = read({ scope: 'mcp:all\u001b[2J read', email: `\u202ealice\n${'x'.repeat(500)}` });
    expect(tokens.scope).not.toMatch(/\p{Cc}/u);
    expect(tokens.accountIdentity).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(tokens.accountIdentity?.length).toBeLessThanOrEqual(201);
  });
});
