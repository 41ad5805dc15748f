import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AmbiguousJson, parseStrict } from '../../src/core/strict-json.ts';

describe('strict JSON', () => {
  it('reads what JSON.parse reads, to the letter', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(parseStrict(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each([
    ['a plain one', '{"a":1,"a":2}'],
    ['one far from the first', '{"a":{"x":1},"b":[1,2,{"c":3}],"a":2}'],
    ['one deep inside', '[{"p":{"q":[{"name":"x","name":"y"}]}}]'],
    ['one with an escape', '{"name":1,"n\\u0061me":2}'],
    ['one with an escaped escape', '{"a\\\\":1,"a\\u005c":2}'],
    ['one with an escaped quote', '{"a\\"b":1,"a\\u0022b":2}'],
    ['the empty name', '{"":1,"":2}'],
    ['__proto__', '{"__proto__":1,"__proto__":2}'],
    ['one behind a string that looks like the end', '{"a":"}","a":1}'],
    ['one behind white space', '{ "a" : 1 ,\n\t"a" : 2 }'],
  ])('refuses a name given twice: %s', (_what, text) => {
    expect(() => parseStrict(text)).toThrow(new AmbiguousJson('names a member of an object twice'));
  });

  it.each([
    ['the same name in different objects', '{"a":{"a":1},"b":{"a":1}}'],
    ['the same text as name and value', '{"a":"a","b":"a"}'],
    ['the same value twice in a list', '["a","a",{"a":["a","a"]}]'],
    ['names that differ in case', '{"a":1,"A":2}'],
    ['an object behind an inner list', '{"a":[1,2],"b":[3]}'],
  ])('takes %s', (_what, text) => {
    expect(parseStrict(text)).toEqual(JSON.parse(text));
  });

  it.each(['', '{', '{"a":1,}', "{'a':1}", '\uFEFF{}', '{}{}', 'NaN', '{"a":1}//', '\u0000'])(
    'refuses %j, which is no JSON',
    (text) => {
      expect(() => parseStrict(text)).toThrow(new AmbiguousJson('is not JSON'));
    },
  );

  it('refuses what is nested without end, and takes 256 levels', () => {
    expect(parseStrict('['.repeat(256) + ']'.repeat(256))).toBeInstanceOf(Array);
    expect(() => parseStrict('['.repeat(257) + ']'.repeat(257))).toThrow(/nested deeper than 256 levels/);
  });
});
