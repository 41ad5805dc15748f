import { WriteStream } from 'node:tty';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { paint, relative, table } from '../../src/cli/terminal.ts';
import { duration } from '../../src/core/duration.ts';

/** A stream that is a terminal, asking the environment about colours like a real one. */
function terminal(): NodeJS.WriteStream {
  return Object.assign(Object.create(WriteStream.prototype), { isTTY: true });
}

const file = () => Object.assign(terminal(), { isTTY: false });

const RED = '\u001b[31mbad\u001b[39m';

beforeEach(() => {
  for (const name of ['FORCE_COLOR', 'NO_COLOR', 'NODE_DISABLE_COLORS', 'CI', 'TEAMCITY_VERSION'])
    vi.stubEnv(name, undefined);
  vi.stubEnv('TERM', 'xterm-256color');
});

afterEach(() => vi.unstubAllEnvs());

describe('colour', () => {
  it('is shown on a terminal', () => {
    expect(paint('red', 'bad', terminal())).toBe(RED);
  });

  it('is not written into a file or pipe', () => {
    expect(paint('red', 'bad', file())).toBe('bad');
  });

  it('is off with NO_COLOR', () => {
    vi.stubEnv('NO_COLOR', '1');
    expect(paint('red', 'bad', terminal())).toBe('bad');
  });

  it('is off on a terminal that has none', () => {
    vi.stubEnv('TERM', 'dumb');
    expect(paint('red', 'bad', terminal())).toBe('bad');
  });
});

describe('a table', () => {
  it('has columns as wide as their widest cell, a dash for nothing, and no spaces at the end', () => {
    const text = table(
      ['NAME', 'STATE'],
      [
        ['coda@alice', 'ok'],
        ['x', ''],
      ],
    );
    expect(text).toBe('NAME        STATE\ncoda@alice  ok\nx           -');
  });

  it('does not count colours', () => {
    const lines = table(['A', 'B'], [[RED, 'x']]).split('\n');
    expect(lines).toEqual(['A    B', `${RED}  x`]);
  });

  it('may have a header alone', () => {
    expect(table(['NAME', 'STATE'], [])).toBe('NAME  STATE');
  });
});

describe('a duration in words', () => {
  it.each([
    [0, '0 s'],
    [119_000, '119 s'],
    [120_000, '2 min'],
    [119 * 60_000, '119 min'],
    [2 * 3_600_000, '2 h'],
    [47 * 3_600_000, '47 h'],
    [48 * 3_600_000, '2 days'],
    [14 * 86_400_000, '14 days'],
  ])('%i ms is %s', (ms, words) => {
    expect(duration(ms)).toBe(words);
  });

  it('says whether it is to come or over', () => {
    const now = Date.parse('2026-01-01T12:00:00Z');
    expect(relative('2026-01-01T15:00:00Z', now)).toBe('in 3 h');
    expect(relative('2025-12-30T12:00:00Z', now)).toBe('2 days ago');
    expect(relative('2026-01-01T12:00:00Z', now)).toBe('in 0 s');
  });
});
