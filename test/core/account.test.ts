import { describe, expect, it } from 'vitest';
import {
  type AccountFacts,
  belongsTo,
  idTokenEndsAt,
  inheritAccount,
  isNamed,
  readAccountIdentity,
  subjectOf,
} from '../../src/core/account.ts';
import { faultOf } from '../../src/core/token-fault.ts';
import { readTokenSet, type TokenSet } from '../../src/core/token-set.ts';
import { Secret } from '../../src/secret.ts';
import { NOW } from '../support/connection.ts';

const jwt = (claims: object) =>
  `fake.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.fake-signature`;

/** What an answer with these claims in its ID token says. */
const told = (claims: object, accountIdentity?: string): AccountFacts => ({
  accountIdentity: accountIdentity ?? readAccountIdentity(claims as Record<string, unknown>),
  idToken: new Secret(jwt(claims)),
});
const nobody: AccountFacts = { accountIdentity: undefined };

describe('the name of an account', () => {
  it('is no address that the provider has not verified', () => {
    const claims = { email: 'boss@example.com', preferred_username: 'mallory', sub: '7' };
    expect(readAccountIdentity({ ...claims, email_verified: true })).toBe('boss@example.com');
    expect(readAccountIdentity(claims)).toBe('boss@example.com');
    expect(readAccountIdentity({ ...claims, email_verified: false })).toBe('mallory');
    expect(readAccountIdentity({ ...claims, email_verified: 'false' })).toBe('mallory');
  });

  it('is more than its sub', () => {
    expect(isNamed(told({ sub: '7' }))).toBe(false);
    expect(isNamed(told({ sub: '7', email: 'a@example.com' }))).toBe(true);
    expect(isNamed(nobody)).toBe(false);
    expect(isNamed({ accountIdentity: 'Alice' })).toBe(true);
  });

  it('and its sub both tell whose it is', () => {
    const facts = told({ sub: '7', email: 'a@example.com' });
    expect(['a@example.com', '7', 'b@example.com', ''].map((each) => belongsTo(facts, each))).toEqual([
      ...[true, true, false, false],
    ]);
    expect(belongsTo(nobody, '')).toBe(false);
  });
});

describe('an ID token', () => {
  it('is read for its sub and its end; one that cannot be read has neither', () => {
    const facts = { idToken: new Secret(jwt({ sub: '7', exp: 100 })) };
    expect([subjectOf(facts), idTokenEndsAt(facts)]).toEqual(['7', 100_000]);
    const odd = { idToken: new Secret('fake.rubbish.fake') };
    expect([subjectOf(odd), idTokenEndsAt(odd), subjectOf({})]).toEqual([undefined, undefined, undefined]);
  });
});

describe('the account after a refresh', () => {
  const named = told({ sub: '7', email: 'a@example.com' });
  const bare = told({ sub: '7' });

  it.each<[string, AccountFacts, AccountFacts, string | undefined]>([
    ['keeps the name where only the sub is told', bare, named, 'a@example.com'],
    [
      'keeps the name of the sign-in where it is another by now',
      told({ sub: '7', email: 'new@example.com' }),
      named,
      'a@example.com',
    ],
    [
      'keeps it too where nobody tells a sub',
      { accountIdentity: 'Renamed' },
      { accountIdentity: 'Acme' },
      'Acme',
    ],
    ['keeps it where nothing is told', nobody, named, 'a@example.com'],
    ['has a first name', named, bare, 'a@example.com'],
    ['is told where it was not', bare, nobody, '7'],
    [
      'is another where the sub is another',
      told({ sub: '8', email: 'b@example.com' }),
      named,
      'b@example.com',
    ],
    ['is another by its bare sub too', told({ sub: '8' }), named, '8'],
  ])('%s', (_, fresh, previous, expected) => {
    expect(inheritAccount(fresh, previous)).toBe(expected);
  });
});

describe('what is wrong with tokens', () => {
  const tokens = (body: object) => readTokenSet({ access_token: 'fake-access', ...body }, NOW) as TokenSet;
  const alice = tokens({ id_token: jwt({ sub: '7', email: 'alice@example.com' }) });

  it('is nothing where anybody will do, or the right one came', () => {
    expect(faultOf(alice, null, NOW)).toBeUndefined();
    expect(faultOf(alice, 'alice@example.com', NOW)).toBeUndefined();
    expect(faultOf(alice, '7', NOW)).toBeUndefined();
  });

  it.each([
    ['another one came', alice, 'the server signed in "alice@example.com", not "bob@example.com"'],
    [
      'it is not told who came',
      tokens({}),
      'the server does not tell whose login this is, so nobody knows whether it is "bob@example.com"',
    ],
  ])('is that %s', (_, came, cause) => {
    expect(faultOf(came, 'bob@example.com', NOW)).toEqual({
      ...{ state: 'login_required', code: 'account_mismatch', cause },
      ...{ since: NOW, nextAttemptAt: null, failures: 1 },
    });
  });

  it('is a type that agents cannot use', () => {
    expect(faultOf(tokens({ token_type: 'DPoP' }), null, NOW)).toMatchObject({ state: 'config_error' });
  });
});
