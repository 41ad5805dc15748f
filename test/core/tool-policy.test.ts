import { describe, expect, it } from 'vitest';
import { connectionOfToolPattern, isToolPattern, mayCallTool } from '../../src/core/tool-policy.ts';

const may = (allow: string[], deny: string[], connection: string, tool: string) =>
  mayCallTool({ allow, deny }, connection, tool);

describe('a tool', () => {
  it('may be called when nothing is said of any', () => {
    expect(may([], [], 'coda', 'delete_doc')).toBe(true);
  });

  it.each([
    ['read_doc', 'read_doc', true],
    ['read_doc', 'read_docs', false],
    ['read_doc', 'Read_doc', false],
    ['read_*', 'read_doc', true],
    ['read_*', 'read_', true],
    ['read_*', 'unread_doc', false],
    ['*_doc', 'read_doc', true],
    ['*_doc', 'read_doc2', false],
    ['*', 'anything at/all:é', true],
    ['*', '', true],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'acb', false],
    ['a*bc*c', 'abc', false],
    ['ab*ba', 'aba', false],
    ['a*b*b*c', 'abc', false],
    ['a*bb*bb*c', 'abbbc', false],
    ['a*bb*bb*c', 'abbbbc', true],
    ['a**b', 'ab', true],
    ['*x*', 'x', true],
    ['*x*', '', false],
    ['read.doc', 'readXdoc', false],
    ['read_[ab]', 'read_a', false],
    ['read_?', 'read_a', false],
    ['read_*', 'read_a\nb', true],
    ['ns*tool', 'ns:tool', true],
  ])('by the pattern %j: %j %s', (pattern, tool, isMatch) => {
    expect(may([pattern], [], 'coda', tool)).toBe(isMatch);
    expect(may([], [pattern], 'coda', tool)).toBe(!isMatch);
  });

  it('that is allowed alone shuts out all others, on every connection', () => {
    expect(may(['coda:read_*'], [], 'coda', 'write_doc')).toBe(false);
    expect(may(['coda:read_*'], [], 'notion', 'read_page')).toBe(false);
    expect(may(['coda:read_*', 'notion:*'], [], 'notion', 'read_page')).toBe(true);
  });
});

describe('deny', () => {
  it.each([
    [['*'], ['delete_doc']],
    [['delete_doc'], ['*']],
    [['delete_doc'], ['delete_doc']],
    [['coda:delete_doc'], ['delete_*']],
    [['delete_doc', 'coda:*'], ['coda:*_doc']],
  ])('wins over allow, however exactly that is said: allow %j, deny %j', (allow, deny) => {
    expect(may(allow, deny, 'coda', 'delete_doc')).toBe(false);
  });

  it('leaves what it does not name as it was', () => {
    expect(may([], ['delete_*'], 'coda', 'read_doc')).toBe(true);
    expect(may(['read_*'], ['delete_*'], 'coda', 'write_doc')).toBe(false);
  });
});

describe('a pattern with a connection', () => {
  it.each([
    ['coda:read', 'coda', true],
    ['coda:read', 'coda@alice', false],
    ['coda:read', 'notion', false],
    ['coda@alice:read', 'coda@alice', true],
    ['coda@alice:read', 'coda@Alice', false],
    ['coda@alice:read', 'coda', false],
    ['coda@*:read', 'coda@alice', true],
    ['coda@*:read', 'coda', false],
    ['co*:read', 'coda', true],
    ['*:read', 'coda@alice', false],
    ['read', 'coda@alice', true],
  ])('allows to the letter: %j on %s: %s', (pattern, connection, isAllowed) => {
    expect(may([pattern], [], connection, 'read')).toBe(isAllowed);
  });

  it.each([
    ['coda:read', 'coda', true],
    ['coda:read', 'coda@alice', true],
    ['*:read', 'coda@alice', true],
    ['coda:read', 'notion@alice', false],
    ['coda@alice:read', 'coda@alice', true],
    ['coda@alice:read', 'coda@bob', false],
    ['coda@alice:read', 'coda', false],
    ['coda@*:read', 'coda', false],
  ])('denies a server with its accounts: %j on %s: %s', (pattern, connection, isDenied) => {
    expect(may([], [pattern], connection, 'read')).toBe(!isDenied);
  });

  it('tells which connection it is for', () => {
    expect(connectionOfToolPattern('coda@*:read')).toBe('coda@*');
    expect(connectionOfToolPattern('read')).toBeUndefined();
  });
});

describe('what may be written as a pattern', () => {
  it.each([
    'read',
    'read_*',
    '*',
    'Docs/read.page-2',
    'löschen',
    'coda:read',
    'coda@*:*',
    '*:read',
    'a'.repeat(128),
  ])('%j', (text) => {
    expect(isToolPattern(text)).toBe(true);
  });

  it.each([
    ...[
      '',
      ' ',
      'a b',
      ' read',
      'read\n',
      '\u200b',
      ':read',
      'coda:',
      'coda: read',
      'Coda:read',
      'coda@:read',
    ],
    ...['coda:ns:read', 'co da:read', 'coda@*@*:read', 'a'.repeat(301)],
  ])('not %j', (text) => {
    expect(isToolPattern(text)).toBe(false);
  });
});

it('a long name costs no more than a look, whatever the pattern', () => {
  const begin = performance.now();
  expect(may([`${'*a'.repeat(60)}*b`], [], 'coda', 'a'.repeat(200_000))).toBe(false);
  // By a regular expression this would take longer than anybody waits.
  expect(performance.now() - begin).toBeLessThan(1000);
});
