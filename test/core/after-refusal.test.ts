import { describe, expect, it } from 'vitest';
import {
  ASKED_AGAIN_MS,
  CONFIRM_AFTER_MS,
  type PresentationHistory,
  type Refusal,
  stateAfterRefusal,
} from '../../src/core/after-refusal.ts';
import type { ConnectionState } from '../../src/core/connection.ts';
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import { fakeConnection, NOW } from '../support/connection.ts';

const FRESH: PresentationHistory = { unanswered: 0, firstInvalidGrantAt: null };
const NO_JITTER = 0;

const notProcessed: Refusal = { verdict: 'not_processed', code: 'http_503', retryAfterSeconds: undefined };
const unknown: Refusal = { verdict: 'unknown', code: 'timeout', retryAfterSeconds: undefined };
const final: Refusal = { verdict: 'final', code: 'invalid_grant' };

function refuse(
  verdict: Refusal,
  history = FRESH,
  connection = fakeConnection(),
  recovery: RecoveryPolicy = 'retry',
) {
  return stateAfterRefusal(connection, verdict, { history, recovery, now: NOW, jitter: NO_JITTER });
}

describe('a connection whose refresh failed', () => {
  it.each<[ConnectionState, Refusal]>([
    ['degraded', notProcessed],
    ['uncertain', unknown],
    ['client_invalid', { verdict: 'client_invalid', code: 'invalid_client' }],
    ['config_error', { verdict: 'config_error', code: 'invalid_scope' }],
  ])('becomes %s after %j', (state, verdict) => {
    expect(refuse(verdict)).toMatchObject({ state, code: verdict.code, failures: 1, since: NOW });
    expect(refuse(verdict).cause).toContain(verdict.code);
  });

  it.each([notProcessed, unknown])('always has a next attempt, later with each failure: %j', (verdict) => {
    const waits = [0, 1, 5, 1000].map((failures) => {
      const { nextAttemptAt } = refuse(verdict, FRESH, fakeConnection({ failures }));
      return (nextAttemptAt ?? 0) - NOW;
    });
    expect(waits).toEqual([5_000, 10_000, 160_000, 14_400_000]);
  });

  it.each([notProcessed, unknown])('waits as long as the server asked: %j', (verdict) => {
    const { nextAttemptAt } = refuse({ ...verdict, retryAfterSeconds: 600 } as Refusal);
    expect(nextAttemptAt).toBe(NOW + 600_000);
  });

  it('lets whoever needs a token try a minute later, where nothing was used up', () => {
    const connection = fakeConnection({ failures: 9 });
    const askAgainAt = (refusal: Refusal) => refuse(refusal, FRESH, connection).askAgainAt;
    expect(askAgainAt(notProcessed as Refusal)).toBe(NOW + ASKED_AGAIN_MS);
    expect(askAgainAt({ ...notProcessed, retryAfterSeconds: 600 } as Refusal)).toBe(NOW + 600_000);
    expect(askAgainAt(unknown as Refusal)).toBeUndefined();
    // Never later than planned.
    expect(refuse(notProcessed).askAgainAt).toBe(NOW + 5_000);
  });

  it('keeps the time since when it has been in the same state', () => {
    const since = NOW - 1000;
    expect(refuse(notProcessed, FRESH, fakeConnection({ state: 'degraded', since })).since).toBe(since);
    expect(refuse(notProcessed, FRESH, fakeConnection({ state: 'uncertain', since })).since).toBe(NOW);
  });

  it('plans no attempt when our client is refused: only a login can register anew', () => {
    expect(refuse({ verdict: 'client_invalid', code: 'invalid_client' }).nextAttemptAt).toBeNull();
  });
});

describe('a connection whose refresh token was called invalid', () => {
  it('is not given up the first time: it is asked again a minute later', () => {
    expect(refuse(final)).toMatchObject({
      state: 'degraded',
      code: 'invalid_grant',
      nextAttemptAt: NOW + CONFIRM_AFTER_MS,
    });
  });

  it('must be signed in again once it is confirmed at least a minute later', () => {
    const history = { unanswered: 0, firstInvalidGrantAt: NOW - CONFIRM_AFTER_MS };
    expect(refuse(final, history)).toMatchObject({ state: 'login_required', nextAttemptAt: null });
  });

  it('is not confirmed by asking again too early, and the minute does not begin anew', () => {
    const first = NOW - CONFIRM_AFTER_MS + 1;
    expect(refuse(final, { unanswered: 0, firstInvalidGrantAt: first })).toMatchObject({
      state: 'degraded',
      nextAttemptAt: first + CONFIRM_AFTER_MS,
    });
  });

  it('must be signed in again at once when an earlier answer was lost: that one had rotated it', () => {
    expect(refuse(final, { unanswered: 1, firstInvalidGrantAt: null })).toMatchObject({
      state: 'login_required',
      nextAttemptAt: null,
    });
  });
});

describe('a connection that came from a backup', () => {
  const restored = { ...FRESH, isRestored: true };

  it('must be signed in again as soon as its refresh token is called invalid, and says why', () => {
    expect(refuse(final, restored)).toMatchObject({
      ...{ state: 'login_required', code: 'invalid_grant', nextAttemptAt: null },
      cause: expect.stringMatching(/came from a restored backup/),
    });
  });

  it('is asked again like any other when its server cannot be asked', () => {
    expect(refuse(unknown, restored)).toMatchObject({ state: 'uncertain' });
  });
});

describe('a connection whose answer was lost', () => {
  it('is asked again soon at a server that may have replaced the token', () => {
    expect(refuse(unknown)).toMatchObject({ state: 'uncertain', nextAttemptAt: NOW + 5_000 });
  });

  it('is only degraded at a server that never replaces tokens', () => {
    const state = refuse(unknown, FRESH, fakeConnection(), 'reuse-safe');
    expect(state).toMatchObject({ state: 'degraded', nextAttemptAt: NOW + 5_000 });
  });

  it('must be signed in again at a server that takes a second presentation for theft', () => {
    const state = refuse(unknown, FRESH, fakeConnection(), 'needs-login');
    expect(state).toMatchObject({ state: 'login_required', code: 'timeout', nextAttemptAt: null });
  });

  it.each(['reuse-safe', 'needs-login'] as const)(
    'by %s: what provably was not sent is asked again',
    (recovery) => {
      const state = refuse(notProcessed, FRESH, fakeConnection(), recovery);
      expect(state).toMatchObject({ state: 'degraded', nextAttemptAt: NOW + 5_000 });
    },
  );
});
