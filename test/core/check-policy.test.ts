import { describe, expect, it } from 'vitest';
import { type CheckCode, findingFor, worstOf } from '../../src/core/check-policy.ts';
import type { Connection } from '../../src/core/connection.ts';
import { fakeConnection, HOUR_MS, NOW } from '../support/connection.ts';

const DAY_MS = 24 * HOUR_MS;
const TWO_WEEKS_MS = 14 * DAY_MS;

function find(changes: Partial<Connection>, clientSecretExpiresAt: number | null = null) {
  return findingFor(fakeConnection(changes), clientSecretExpiresAt, NOW, TWO_WEEKS_MS);
}

describe('a check', () => {
  it('finds nothing wrong with a connection that can be refreshed, even when its token has ended', () => {
    expect(find({})).toEqual({ code: 0, message: 'ok', nextStep: null });
    expect(find({ accessExpiresAt: NOW - 1 }).code).toBe(0);
  });

  it.each(['login_required', 'client_invalid', 'config_error', 'disabled'] as const)(
    'wants somebody to act when the state is %s',
    (state) => {
      const found = find({ state, cause: 'the server ended the login' });
      expect(found).toMatchObject({ code: 2, nextStep: 'broker login coda' });
      expect(found.message).toContain('the server ended the login');
    },
  );

  it.each(['degraded', 'uncertain'] as const)(
    'tells whether the token still works when the state is %s',
    (state) => {
      expect(find({ state })).toMatchObject({ code: 1, nextStep: 'broker refresh coda' });
      expect(find({ state, accessExpiresAt: NOW })).toMatchObject({ code: 75 });
      expect(find({ state, accessExpiresAt: null })).toMatchObject({ code: 1 });
    },
  );

  it.each([
    [30 * DAY_MS + 1, 0, 'ok'],
    [30 * DAY_MS, 1, 'ends in 30 days; signing in again gets a new one'],
    [TWO_WEEKS_MS + 1, 1, 'ends in 14 days; signing in again gets'],
    [TWO_WEEKS_MS, 1, 'ends in 14 days; sign in again soon'],
    [3 * DAY_MS + 1, 1, 'ends in 3 days; sign in again soon'],
    [3 * DAY_MS, 1, 'ends in 3 days; sign in again now'],
    [5 * HOUR_MS, 1, 'ends in 5 hours; sign in again now'],
    [1, 1, 'ends in 1 min; sign in again now'],
    [0, 2, 'has ended: every refresh is refused'],
  ])('warns of a client secret that ends in %i ms with %i and %j', (ms, code, words) => {
    const found = find({}, NOW + ms);
    expect(found.code).toBe(code);
    expect(found.message).toContain(words);
    expect(found.nextStep).toBe(code === 0 ? null : 'broker login coda');
  });

  it.each([
    [DAY_MS, 30 * DAY_MS, 1],
    [DAY_MS, 30 * DAY_MS + 1, 0],
    [60 * DAY_MS, 60 * DAY_MS, 1],
    [60 * DAY_MS, 60 * DAY_MS + 1, 0],
  ])('told to warn within %i ms, has %i ms of a client secret as %i', (warnWithinMs, ms, code) => {
    expect(findingFor(fakeConnection({}), NOW + ms, NOW, warnWithinMs).code).toBe(code);
  });

  it.each([
    [TWO_WEEKS_MS + 1, 0],
    [DAY_MS, 1],
    [0, 2],
    [null, 1],
  ])('counts the days of a login without a refresh token that ends in %s ms: %i', (ms, code) => {
    const accessExpiresAt = ms === null ? null : NOW + ms;
    expect(find({ hasRefreshToken: false, accessExpiresAt }).code).toBe(code);
  });

  it('says nothing of a client secret to a login that is never refreshed', () => {
    const expiresAt = NOW + 40 * DAY_MS;
    expect(find({ hasRefreshToken: false, accessExpiresAt: expiresAt }, NOW - 1).code).toBe(0);
    const dead = { hasRefreshToken: false, accessExpiresAt: NOW - 1 };
    expect(find(dead, NOW + DAY_MS).message).toBe('the token has expired and cannot be refreshed');
  });

  it.each(['degraded', 'uncertain'] as const)(
    'wants somebody to act when the client secret has ended while the state is %s',
    (state) => {
      expect(find({ state }, NOW)).toMatchObject({ code: 2, nextStep: 'broker login coda' });
      expect(find({ state }, NOW + 1)).toMatchObject({ code: 1, nextStep: 'broker refresh coda' });
    },
  );
});

describe('a check of the refresh token', () => {
  const LIFE_MS = 30 * DAY_MS;
  const about = (changes: Partial<Connection>, idleLimitMs: number | null = null) =>
    findingFor(
      fakeConnection({ accessExpiresAt: NOW + HOUR_MS, ...changes }),
      null,
      NOW,
      TWO_WEEKS_MS,
      idleLimitMs,
    );

  it.each([
    [TWO_WEEKS_MS + 1, 0, 'ok'],
    [TWO_WEEKS_MS, 1, 'the refresh token ends in 14 days: sign in again before'],
    [0, 1, 'the refresh token has ended: the login ends with its access token'],
  ])('warns of an end in %i ms that no refresh puts off', (ms, code, message) => {
    const nextStep = code === 0 ? null : 'broker login coda';
    const ends = code === 0 ? {} : { endsAt: NOW + ms };
    expect(about({ refreshExpiresAt: NOW + ms })).toEqual({ code, message, nextStep, ...ends });
  });

  it('wants somebody to sign in once both tokens have ended', () => {
    expect(about({ refreshExpiresAt: NOW, accessExpiresAt: NOW })).toMatchObject({ code: 2 });
  });

  it.each([
    [LIFE_MS * 0.75 - 1, 0],
    [LIFE_MS * 0.75, 1],
  ])('is calm about an end that each refresh puts off, unless %i ms went by without one', (ms, code) => {
    const receivedAt = NOW - ms;
    const found = about({ receivedAt, refreshExpiresAt: receivedAt + LIFE_MS, isRefreshProlonged: true });
    expect(found.code).toBe(code);
    expect(found.nextStep).toBe(code === 0 ? null : 'broker refresh coda');
  });

  it.each([
    [LIFE_MS * 0.75 - 1, 0, 'ok'],
    [LIFE_MS * 0.75, 1, 'is not being used: its server forgets it in 7 days'],
    [LIFE_MS, 1, 'was unused for longer than its server keeps one'],
  ])('unused for %i ms of an idle limit of 30 days is %i', (ms, code, words) => {
    const found = about({ receivedAt: NOW - ms }, LIFE_MS);
    expect(found.code).toBe(code);
    expect(found.message).toContain(words);
    expect(found.nextStep).toBe(code === 0 ? null : 'broker refresh coda');
    expect(about({ receivedAt: NOW - ms }).code).toBe(0);
  });

  it('says nothing where there is none', () => {
    expect(about({ hasRefreshToken: false, isMinted: true, receivedAt: 0 }, LIFE_MS).code).toBe(0);
  });
});

describe('the worst of several findings', () => {
  it.each<[CheckCode[], CheckCode]>([
    [[], 0],
    [[0, 1, 0], 1],
    [[1, 75, 0], 75],
    [[75, 2, 1], 2],
    [[2, 3, 75], 3],
  ])('of %j is %i', (codes, worst) => {
    expect(worstOf(codes)).toBe(worst);
  });
});
