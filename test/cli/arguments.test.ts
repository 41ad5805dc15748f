import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  collect,
  collectScopes,
  durationMs,
  fileMode,
  port,
  readSecretFile,
  wholeNumber,
} from '../../src/cli/arguments.ts';
import { createHome, type Home } from '../support/home.ts';

const refused = expect.objectContaining({ code: 'commander.invalidArgument' });

describe('a repeatable option', () => {
  it('keeps each use in order', () => {
    expect(collect('b', collect('a', undefined))).toEqual(['a', 'b']);
  });

  it('takes scopes repeated, or separated by spaces', () => {
    expect(collectScopes('c', collectScopes(' a  b ', undefined))).toEqual(['a', 'b', 'c']);
    expect(collectScopes('', undefined)).toEqual([]);
  });
});

describe('a duration', () => {
  it.each([
    ['90', 90_000],
    ['90s', 90_000],
    ['15m', 900_000],
    ['12h', 43_200_000],
    ['14d', 1_209_600_000],
    ['0', 0],
  ])('%s is %i ms', (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  it.each(['', 'soon', '1w', '-1m', '1.5h', '1 m', 'm', '1m30s'])('%j is none', (text) => {
    expect(() => durationMs(text)).toThrow(refused);
  });
});

describe('a number', () => {
  it('is a port from 1 to 65535', () => {
    expect([port('1'), port('65535')]).toEqual([1, 65_535]);
    for (const text of ['0', '65536', '-1', '80.0', '0x50', '', 'http'])
      expect(() => port(text)).toThrow(refused);
  });

  it('is whole', () => {
    expect([wholeNumber('0'), wholeNumber('300')]).toEqual([0, 300]);
    for (const text of ['-1', '1.5', '1e3', '', 'ten']) expect(() => wholeNumber(text)).toThrow(refused);
  });

  it('is a file mode in octal digits', () => {
    expect([fileMode('0660'), fileMode('600')]).toEqual([0o660, 0o600]);
    for (const text of ['66', '0888', '1777', 'rw', '']) expect(() => fileMode(text)).toThrow(refused);
  });
});

describe('a secret file', () => {
  let home: Home;
  const write = (text: string) => {
    const path = join(home.path, 'secret.txt');
    writeFileSync(path, text);
    return path;
  };

  beforeEach(async () => {
    home = await createHome();
  });

  afterEach(() => home.remove());

  it('gives its secret without the line end', () => {
    expect(readSecretFile(write('fake secret\n'), '--client-secret-file').reveal()).toBe('fake secret');
  });

  it('is refused when it is empty or missing, naming the option', () => {
    for (const path of [write(' \n'), join(home.path, 'nowhere')]) {
      expect(() => readSecretFile(path, '--client-secret-file')).toThrow(
        expect.objectContaining({ code: 'usage', hint: expect.stringContaining('--client-secret-file') }),
      );
    }
  });
});
