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
    [TWO_WEEKS_MS + 1, 0, 'ok'],
    [TWO_WEEKS_MS, 1, 'in 14 days'],
    [5 * HOUR_MS, 1, 'in 5 hours'],
    [90 * 60_000, 1, 'in 90 min'],
    [1, 1, 'in 1 min'],
    [0, 1, 'has expired'],
  ])('warns of a client secret that ends in %i ms: %i', (ms, code, words) => {
    const found = find({}, NOW + ms);
    expect(found.code).toBe(code);
    expect(found.message).toContain(words);
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

  it('tells of a dead login first, of a client secret that ends soon only then', () => {
    const dead = { hasRefreshToken: false, accessExpiresAt: NOW - 1 };
    expect(find(dead, NOW + DAY_MS).code).toBe(2);
  });
});

describe('the worst of several findings', () => {
  it.each<[CheckCode[], CheckCode]>([
    [[], 0],
    [[0, 1, 0], 1],
    [[1, 75, 0], 75],
    [[75, 2, 1], 2],
  ])('of %j is %i', (codes, worst) => {
    expect(worstOf(codes)).toBe(worst);
  });
});
