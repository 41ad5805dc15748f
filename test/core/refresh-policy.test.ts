import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  backoffMs,
  isAlive,
  isServable,
  isUsable,
  minRefreshIntervalMs,
  refreshAfter,
} from '../../src/core/refresh-policy.ts';
import { HOUR_MS, NOW } from '../support/connection.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * HOUR_MS;

/** A token of this lifetime, received at NOW. */
const lasting = (ms: number) => ({ receivedAt: NOW, accessExpiresAt: NOW + ms });
const unknown = { receivedAt: NOW, accessExpiresAt: null };

describe('an access token', () => {
  it('of an hour is usable until 10 s before its end', () => {
    expect(isUsable(lasting(HOUR_MS), NOW + HOUR_MS - 10_001)).toBe(true);
    expect(isUsable(lasting(HOUR_MS), NOW + HOUR_MS - 10_000)).toBe(false);
  });

  it('of a minute loses only a tenth of its life to the margin', () => {
    expect(isUsable(lasting(MINUTE_MS), NOW + 53_999)).toBe(true);
    expect(isUsable(lasting(MINUTE_MS), NOW + 54_000)).toBe(false);
  });

  it('must live as long as the caller wants', () => {
    expect(isUsable(lasting(HOUR_MS), NOW + HOUR_MS - 300_001, 300)).toBe(true);
    expect(isUsable(lasting(HOUR_MS), NOW + HOUR_MS - 300_000, 300)).toBe(false);
  });

  it('is not thrown away by a caller who wants more than half its lifetime', () => {
    expect(isUsable(lasting(5 * MINUTE_MS), NOW, 3600)).toBe(true);
    expect(isUsable(lasting(5 * MINUTE_MS), NOW + 150_000, 3600)).toBe(false);
  });

  it('keeps its margin when the caller wants less, or something below nothing', () => {
    expect(isUsable(lasting(HOUR_MS), NOW + HOUR_MS - 10_000, 1)).toBe(false);
    expect(isUsable(lasting(HOUR_MS), NOW + HOUR_MS - 10_000, -600)).toBe(false);
  });

  it('with an unknown end is usable until somebody reports otherwise', () => {
    expect(isUsable(unknown, NOW + 400 * DAY_MS, 3600)).toBe(true);
    expect(isAlive(unknown, NOW + 400 * DAY_MS)).toBe(true);
    expect(refreshAfter(unknown)).toBeNull();
  });

  it('is alive to its last millisecond', () => {
    expect(isAlive(lasting(HOUR_MS), NOW + HOUR_MS - 1)).toBe(true);
    expect(isAlive(lasting(HOUR_MS), NOW + HOUR_MS)).toBe(false);
  });

  it('is due for refreshing in the last fifth of its life', () => {
    expect(refreshAfter(lasting(HOUR_MS))).toBe(NOW + 48 * MINUTE_MS);
    expect(refreshAfter(lasting(MINUTE_MS))).toBe(NOW + 48_000);
  });

  it('of seconds is due before its margin begins', () => {
    expect(refreshAfter(lasting(5_000))).toBe(NOW + 3_500);
    expect(refreshAfter(lasting(1_000))).toBe(NOW);
  });

  it('of seconds keeps the one by which its server may round, but at least half its life', () => {
    expect(isUsable(lasting(5_000), NOW + 3_999)).toBe(true);
    expect(isUsable(lasting(5_000), NOW + 4_000)).toBe(false);
    expect(isUsable(lasting(1_000), NOW + 499)).toBe(true);
    expect(isUsable(lasting(1_000), NOW + 500)).toBe(false);
  });

  it('may be handed out for want of a better one until that second', () => {
    expect(isServable(lasting(HOUR_MS), NOW + HOUR_MS - 1_000)).toBe(true);
    expect(isServable(lasting(HOUR_MS), NOW + HOUR_MS - 999)).toBe(false);
    expect(isServable(lasting(1_000), NOW + 500)).toBe(true);
    expect(isServable(lasting(1_000), NOW + 501)).toBe(false);
    expect(isServable(lasting(0), NOW)).toBe(false);
    expect(isServable(unknown, NOW + 400 * DAY_MS)).toBe(true);
  });

  it.each([
    ['of an hour', lasting(HOUR_MS), 30_000],
    ['of a minute', lasting(MINUTE_MS), 30_000],
    ['of five seconds', lasting(5_000), 2_500],
    ['that had ended when it came', lasting(-1_000), 0],
    ['with an unknown end', unknown, 30_000],
  ])('%s that is rejected is replaced after this long', (_, life, ms) => {
    expect(minRefreshIntervalMs(life)).toBe(ms);
  });

  it('that was just received is usable, whatever its lifetime and the wish', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 10 * DAY_MS }),
        fc.integer({ min: 0, max: 1e6 }),
        (ms, minTtl) => isUsable(lasting(ms), NOW, minTtl),
      ),
    );
  });
});

describe('the wait after failures', () => {
  it.each([
    [1, 5_000],
    [2, 10_000],
    [3, 20_000],
    [10, 2_560_000],
    [12, 10_240_000],
    [13, 4 * HOUR_MS],
    [1_000_000, 4 * HOUR_MS],
  ])('after %i of them is %i ms', (failures, ms) => {
    expect(backoffMs(failures, 0)).toBe(ms);
  });

  it('grows by up to a quarter of jitter', () => {
    expect(backoffMs(1, 1)).toBe(6_250);
    expect(backoffMs(99, 1)).toBe(5 * HOUR_MS);
  });

  it('honours Retry-After when it is longer, up to a day', () => {
    expect(backoffMs(1, 0, 120)).toBe(120_000);
    expect(backoffMs(5, 0, 1)).toBe(80_000);
    expect(backoffMs(1, 0, 1e12)).toBe(DAY_MS);
    expect(backoffMs(1, 0, Number.POSITIVE_INFINITY)).toBe(DAY_MS);
  });

  it('always ends, and is never below 5 s', () => {
    const failures = fc.integer({ min: 1, max: 2 ** 31 });
    const jitter = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(failures, jitter, fc.option(fc.nat(), { nil: undefined }), (count, share, asked) => {
        const ms = backoffMs(count, share, asked);
        return Number.isInteger(ms) && ms >= 5_000 && ms <= DAY_MS;
      }),
    );
  });
});
