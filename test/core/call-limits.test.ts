import { describe, expect, it } from 'vitest';
import {
  type CallLimits,
  DEFAULT_LIMITS,
  formatDuration,
  formatSize,
  limitsOf,
  parseSize,
  requireSensible,
} from '../../src/core/call-limits.ts';

const usage = expect.objectContaining({ code: 'usage', hint: expect.any(String) });

it.each([
  ['4MB', 4_194_304, '4MB'],
  ['4m', 4_194_304, '4MB'],
  ['512 kb', 524_288, '512KB'],
  ['1024KB', 1_048_576, '1MB'],
  ['1000', 1000, '1000B'],
  ['1500B', 1500, '1500B'],
])('%s is %d bytes, told as %s', (text, bytes, told) => {
  expect(parseSize(text)).toBe(bytes);
  expect(formatSize(bytes)).toBe(told);
  expect(parseSize(told)).toBe(bytes);
});

it.each(['', 'MB', '-1MB', '1.5MB', '4GB', '4MBs', '4 M B', '1e6', '0x10'])('%j is no size', (text) => {
  expect(() => parseSize(text)).toThrow(usage);
});

it.each([
  [90_000, '90s'],
  [300_000, '5m'],
  [3_600_000, '1h'],
  [172_800_000, '2d'],
  [5_400_000, '90m'],
])('%d ms are told as %s', (ms, told) => {
  expect(formatDuration(ms)).toBe(told);
});

describe('limits', () => {
  it('that are not set are the default', () => {
    expect(limitsOf(undefined)).toEqual(DEFAULT_LIMITS);
    expect(limitsOf({ concurrency: 2 })).toEqual({ ...DEFAULT_LIMITS, concurrency: 2 });
  });

  it.each<[Partial<CallLimits>, boolean]>([
    [{}, true],
    [DEFAULT_LIMITS, true],
    [{ concurrency: 1 }, true],
    [{ concurrency: 10_000 }, true],
    [{ concurrency: 0 }, false],
    [{ concurrency: -1 }, false],
    [{ concurrency: 1.5 }, false],
    [{ concurrency: 10_001 }, false],
    [{ bodyBytes: 1024 }, true],
    [{ bodyBytes: 0 }, false],
    [{ bodyBytes: 1023 }, false],
    [{ bodyBytes: 64 * 1024 * 1024 + 1 }, false],
    [{ idleMs: 1000 }, true],
    [{ idleMs: 0 }, false],
    [{ idleMs: 86_400_001 }, false],
    [{ totalMs: 7 * 86_400_000 }, true],
    [{ totalMs: 0 }, false],
    [{ totalMs: Number.POSITIVE_INFINITY }, false],
  ])('%j can be: %s', (limits, can) => {
    if (can) requireSensible(limits);
    else expect(() => requireSensible(limits)).toThrow(usage);
  });
});
