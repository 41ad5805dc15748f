import { describe, expect, it } from 'vitest';
import { type BackedUp, mayBeUsedUp, stateAfterRestore } from '../../src/core/restored.ts';

const NOW = 1_000_000_000;
const AN_HOUR_MS = 3_600_000;
const A_DAY_MS = 24 * AN_HOUR_MS;

const LIFE = { receivedAt: NOW - AN_HOUR_MS / 2, accessExpiresAt: NOW + AN_HOUR_MS / 2 };
const backedUp = (changes: Partial<BackedUp> = {}): BackedUp => ({
  ...{ ...LIFE, state: 'ok', hasRefreshToken: true, isMinted: false, rotates: true, recovery: 'retry' },
  ...changes,
});

describe('the refresh token of a restored connection', () => {
  it.each<[string, boolean, Partial<BackedUp>]>([
    ['may be used up where the server replaces them', true, {}],
    ['may be used up where nobody knows', true, { rotates: null }],
    ['may be used up while a refresh fails', true, { state: 'degraded' }],
    ['is good where the server was seen to keep it', false, { rotates: false }],
    ['is good where an operator knows that the server keeps it', false, { recovery: 'reuse-safe' }],
    ['is no question where there is none', false, { hasRefreshToken: false }],
    ['is no question of a machine that asks anew', false, { hasRefreshToken: false, isMinted: true }],
    ['is no question of a login that has ended', false, { state: 'login_required' }],
  ])('%s', (_, expected, changes) => {
    expect(mayBeUsedUp(backedUp(changes))).toBe(expected);
  });
});

describe('the state of such a connection', () => {
  const attempt = (accessExpiresAt: number | null, receivedAt = LIFE.receivedAt) =>
    stateAfterRestore({ receivedAt, accessExpiresAt }, NOW).nextAttemptAt;

  it('plans the refresh for when it is due, at most for tomorrow, and never for the past', () => {
    expect(attempt(LIFE.accessExpiresAt)).toBe(LIFE.accessExpiresAt - AN_HOUR_MS / 5);
    expect(attempt(NOW + 90 * A_DAY_MS)).toBe(NOW + A_DAY_MS);
    expect(attempt(NOW - 1)).toBe(NOW);
    expect(attempt(null)).toBe(NOW);
  });

  it('says what is the matter', () => {
    expect(stateAfterRestore(LIFE, NOW)).toMatchObject({ state: 'uncertain', code: 'restored', failures: 0 });
  });
});
