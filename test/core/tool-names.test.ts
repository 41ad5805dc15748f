import { describe, expect, it } from 'vitest';
import { nearestTo, unknownNames } from '../../src/core/tool-names.ts';

const NAMES = ['read_page', 'write_page', 'delete_page'];

const patternsIn = (rules: { allow?: string[]; deny?: string[] }, hasOthers = false) =>
  unknownNames(
    { agent: 'bot', rules: { allow: [], deny: [], ...rules }, hasOthers },
    'coda@alice',
    NAMES,
  ).map(({ list, pattern }) => `${list} ${pattern}`);

describe('a rule that names what is not there', () => {
  it.each([
    [{ allow: ['read_page', 'raed_page'] }, ['allow raed_page']],
    [{ allow: ['read_*', 'raed_*'] }, ['allow raed_*']],
    // What is not there yet may be denied ahead.
    [{ deny: ['drop_*', 'drop_page', 'delete_*'] }, ['deny drop_page']],
    [{ deny: ['Delete_page'] }, ['deny Delete_page']],
    [{}, []],
  ])('%j: %j', (rules, found) => {
    expect(patternsIn(rules)).toEqual(found);
  });

  it('is one only where it is meant: at its connection, or at all accounts of its server', () => {
    expect(patternsIn({ deny: ['coda@alice:a', 'coda:b', 'coda@*:c'] })).toEqual([
      'deny coda@alice:a',
      'deny coda:b',
      'deny coda@*:c',
    ]);
    expect(patternsIn({ deny: ['notion:a', 'coda@bob:b'] })).toEqual([]);
  });

  it('may be meant for another server, if the agent can use one', () => {
    expect(patternsIn({ allow: ['create_row', 'coda:creat_page'] }, true)).toEqual(['allow coda:creat_page']);
  });
});

describe('names that may have been meant', () => {
  it.each([
    ['raed_page', ['read_page']],
    ['DELETE_PAGE', ['delete_page']],
    ['delete', ['delete_page']],
    ['delete*', ['delete_page']],
    ['rite_page', ['write_page', 'read_page']],
    ['nothing_like_it', []],
    ['', []],
  ])('%s: %j', (wanted, names) => {
    expect(nearestTo(wanted, NAMES)).toEqual(names);
  });

  it('are three at most, and found fast however long names are', () => {
    const long = Array.from({ length: 1000 }, (_, index) => `read_page${'x'.repeat(10_000)}${index}`);
    expect(nearestTo('read_page', long)).toHaveLength(3);
  });
});
