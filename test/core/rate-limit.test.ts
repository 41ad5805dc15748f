import { describe, expect, it } from 'vitest';
import { type Bucket, formatRate, parseRate, takeRequest } from '../../src/core/rate-limit.ts';
import { NOW } from '../support/connection.ts';

/** Whether each of these requests passes; each is an instant after NOW, in ms. */
function passes(rate: string, instants: number[]): boolean[] {
  const limit = parseRate(rate);
  let bucket: Bucket | undefined;
  return instants.map((at) => {
    const taken = takeRequest(bucket, limit, NOW + at);
    bucket = taken.bucket;
    return taken.waitMs === 0;
  });
}

/** How many of `count` requests pass, each `everyMs` after the one before. */
const passing = (rate: string, count: number, everyMs: number) =>
  passes(
    rate,
    Array.from({ length: count }, (_, index) => index * everyMs),
  ).filter(Boolean).length;

describe('a rate', () => {
  it.each([
    ['600/m', { requests: 600, per: 'm' }],
    ['1/s', { requests: 1, per: 's' }],
    ['1000000/h', { requests: 1_000_000, per: 'h' }],
  ] as const)('%s is read, and written the same', (text, rate) => {
    expect(parseRate(text)).toEqual(rate);
    expect(formatRate(parseRate(text))).toBe(text);
  });

  it('of 0 is refused, and revoke named in its place', () => {
    expect(() => parseRate('0/m')).toThrow(
      expect.objectContaining({
        code: 'usage',
        message: 'a rate of 0 would refuse every request',
        hint: expect.stringContaining('broker agent revoke'),
      }),
    );
  });

  it.each([
    '',
    '600',
    '/m',
    '600/d',
    '600/min',
    '-1/m',
    '1.5/s',
    '1e3/m',
    ' 6/m',
    '6/m ',
    '1000001/s',
    '9'.repeat(30),
  ])('%j is none', (text) => {
    expect(() => parseRate(text)).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});

describe('a limit', () => {
  it.each(['1/s', '3/s', '7/m', '600/m', '1000/h', '1000000/h'])(
    '%s lets exactly so many pass at once, and no more',
    (rate) => {
      const { requests } = parseRate(rate);
      expect(passing(rate, requests + 1, 0)).toBe(requests);
    },
  );

  it('fills up evenly: after a burst of 3/s there is room again every third of a second', () => {
    expect(passes('3/s', [0, 0, 0, 333, 334, 666, 667, 668, 999, 1001])).toEqual([
      ...[true, true, true],
      ...[false, true, false, true, false, false, true],
    ]);
  });

  it('holds over a day of steady asking', () => {
    // One each second, 600 in the first burst besides.
    expect(passing('1000/h', 86_400, 1000)).toBe(1000 + Math.floor((86_399 * 1000) / 3600));
  });

  it('never holds more than one burst, however long nobody asks', () => {
    expect(passes('2/m', [0, 10 ** 12, 10 ** 12, 10 ** 12])).toEqual([true, true, true, false]);
  });

  it.each([
    ['1/s', 1000],
    ['3/s', 334],
    ['600/m', 100],
    ['7/h', 514_286],
  ])('%s tells after how many milliseconds there is room again, and then there is', (rate, waitMs) => {
    const limit = parseRate(rate);
    let bucket: Bucket | undefined;
    for (let each = 0; each < limit.requests; each += 1) bucket = takeRequest(bucket, limit, NOW).bucket;
    const refused = takeRequest(bucket, limit, NOW);
    expect(refused.waitMs).toBe(waitMs);
    expect(takeRequest(refused.bucket, limit, NOW + waitMs - 1).waitMs).toBe(1);
    expect(takeRequest(refused.bucket, limit, NOW + waitMs).waitMs).toBe(0);
  });

  it('takes nothing for what it refuses: asking on does not put off the next one', () => {
    const impatient = Array.from({ length: 100 }, (_, index) => index * 10);
    expect(passes('1/s', [...impatient, 1000])).toEqual([true, ...impatient.slice(1).map(() => false), true]);
  });

  it('gives nothing and takes nothing when the clock is set back', () => {
    expect(passes('2/s', [0, -3_600_000, -3_600_000, -3_599_500])).toEqual([true, true, false, true]);
  });

  it('starts full when it is another one', () => {
    const { bucket } = takeRequest(undefined, parseRate('1/h'), NOW);
    expect(takeRequest(bucket, parseRate('1/h'), NOW).waitMs).toBeGreaterThan(0);
    expect(takeRequest(bucket, parseRate('1/m'), NOW).waitMs).toBe(0);
  });
});
