import { describe, expect, it } from 'vitest';
import { dueAt, KEEP_ALIVE_MS } from '../../src/core/schedule.ts';
import { fakeConnection, NOW } from '../support/connection.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CALM = { isUnanswered: false, jitter: 0, idleLimitMs: null };

/** A connection whose token came now and lives an hour. */
const fresh = { receivedAt: NOW, accessExpiresAt: NOW + HOUR_MS, hasRefreshToken: true } as const;

describe('the next refresh nobody asked for', () => {
  it('is in the last fifth of the lifetime for a connection in use', () => {
    const connection = fakeConnection({ ...fresh, lastUsedAt: NOW });
    expect(dueAt(connection, CALM, NOW)).toBe(NOW + 0.8 * HOUR_MS);
  });

  it('is spread over a twentieth of the lifetime, and still ahead of the end', () => {
    const connection = fakeConnection({ ...fresh, lastUsedAt: NOW });
    expect(dueAt(connection, { ...CALM, jitter: 1 }, NOW)).toBe(NOW + 0.85 * HOUR_MS);
  });

  it('is the keep-alive for one nobody uses', () => {
    const idle = fakeConnection({ ...fresh, lastUsedAt: null });
    expect(dueAt(idle, CALM, NOW)).toBe(NOW + KEEP_ALIVE_MS);
    const once = fakeConnection({ ...fresh, lastUsedAt: NOW });
    expect(dueAt(once, CALM, NOW + 3 * HOUR_MS)).toBe(NOW + KEEP_ALIVE_MS);
  });

  it.each([
    [2 * DAY_MS, DAY_MS],
    [90 * DAY_MS, 45 * DAY_MS],
  ])('keeps alive after half of an idle limit of %d ms', (idleLimitMs, ms) => {
    const idle = fakeConnection({ ...fresh, lastUsedAt: null });
    expect(dueAt(idle, { ...CALM, idleLimitMs }, NOW)).toBe(NOW + ms);
  });

  it.each([
    [DAY_MS, 12 * HOUR_MS],
    [90 * DAY_MS, KEEP_ALIVE_MS],
    [90_000, 60_000],
    // It worked at its end: whatever the server told, it lives.
    [0, KEEP_ALIVE_MS],
  ])('keeps alive before a refresh token ends that lives for %d ms more', (life, ms) => {
    const idle = fakeConnection({ ...fresh, refreshExpiresAt: NOW + life });
    expect(dueAt(idle, CALM, NOW)).toBe(NOW + ms);
  });

  it('is the keep-alive when nobody knows when the token ends', () => {
    const unknown = fakeConnection({ ...fresh, accessExpiresAt: null, lastUsedAt: NOW });
    expect(dueAt(unknown, CALM, NOW)).toBe(NOW + KEEP_ALIVE_MS);
  });

  it.each([
    [5_000, 0.75],
    [60_000, 0.85],
    [90 * 24 * HOUR_MS, 0.85],
  ])('fits a lifetime of %d ms', (lifetime, share) => {
    const connection = fakeConnection({ ...fresh, accessExpiresAt: NOW + lifetime, lastUsedAt: NOW });
    const at = dueAt(connection, { ...CALM, jitter: 1 }, NOW) as number;
    expect(at).toBeLessThan(NOW + lifetime);
    expect(at).toBe(Math.min(NOW + KEEP_ALIVE_MS, NOW + share * lifetime));
  });

  it.each(['degraded', 'uncertain', 'config_error'] as const)('is the planned attempt when %s', (state) => {
    expect(dueAt(fakeConnection({ ...fresh, state, nextAttemptAt: NOW + 7 }), CALM, NOW)).toBe(NOW + 7);
  });

  it.each(['login_required', 'client_invalid', 'disabled'] as const)('never comes when %s', (state) => {
    expect(dueAt(fakeConnection({ ...fresh, state, nextAttemptAt: NOW }), CALM, NOW)).toBeNull();
  });

  it('never comes without a refresh token', () => {
    expect(dueAt(fakeConnection({ ...fresh, hasRefreshToken: false }), CALM, NOW)).toBeNull();
  });

  it('is now when a presented refresh token was never answered', () => {
    expect(dueAt(fakeConnection({ ...fresh }), { ...CALM, isUnanswered: true }, NOW)).toBe(NOW);
  });
});
