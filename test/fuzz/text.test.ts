/** The two places all foreign text passes: what is shown to people, and what is taken from JSON. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printable, quote } from '../../src/errors.ts';
import { describeRefusal, parseObject, readRetryAfter } from '../../src/oauth/failure.ts';
import { NOW } from '../support/connection.ts';
import { HARMLESS } from './corpus.ts';

const HOSTILE = fc.constantFrom(
  ...['\u001b[2J', '\u009b31m', '\u0000', '\r\n', '\u2028', '\u2029', '\u0085', '\u202e', '\u2066', '\u200f'],
  ...['\u061c', '\ufeff', '\u00ad', '\u{e0041}', '"', '\\', '<', '</script>', ' '],
);
const TEXT = fc
  .array(fc.oneof(HOSTILE, fc.string({ unit: 'binary', maxLength: 30 })), { maxLength: 30 })
  .map((parts) => parts.join(''));

describe('foreign text', () => {
  it('shown to people has no control, bidi or line characters, and an end', () => {
    fc.assert(
      fc.property(TEXT, fc.integer({ min: 1, max: 500 }), (text, maxLength) => {
        expect(printable(text, maxLength)).toMatch(HARMLESS);
        expect(printable(text, maxLength).length).toBeLessThanOrEqual(maxLength + 1);
        expect(quote(text)).toMatch(HARMLESS);
        expect(JSON.parse(quote(text))).toBe(printable(text));
        expect(quote(text).length).toBeLessThanOrEqual(201 * 6 + 2);
      }),
      { numRuns: 1000 },
    );
  });

  it('that has nothing odd in it is shown as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (text) => {
        fc.pre(HARMLESS.test(text) && text.length <= 200);
        expect(printable(text)).toBe(text.trim());
      }),
    );
  });

  it('of a refusal is one short line, whether JSON, a page or neither', () => {
    const body = fc.oneof(
      TEXT,
      fc
        .record({ error: TEXT, error_description: TEXT, message: fc.jsonValue() })
        .map((each) => JSON.stringify(each)),
      TEXT.map((text) => `<html><h1>${text}</h1>${'<'.repeat(3000)}`),
    );
    fc.assert(
      fc.property(body, (text) => {
        const line = describeRefusal(400, text);
        expect(line).toMatch(HARMLESS);
        expect(line.length).toBeLessThan(2500);
      }),
      { numRuns: 500 },
    );
  });

  it('of Retry-After is a time to come, or none', () => {
    fc.assert(
      fc.property(
        fc.oneof(TEXT, fc.integer().map(String), fc.date({ noInvalidDate: true }).map(String)),
        (header) => {
          expect(readRetryAfter(header, NOW) ?? 0).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });
});

/** Names that every object has. */
const INHERITED = Object.getOwnPropertyNames(Object.prototype);

/** All objects inside, lists included. */
function objectsIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(objectsIn)];
}

const nested = (depth: number, open: string, close: string) =>
  `{"a":${open.repeat(depth - 1)}0${close.repeat(depth - 1)}}`;

describe('a JSON object of a stranger', () => {
  it('is the object it says, without fields that are null', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        fc.pre(!objectsIn(object).some((each) => Object.keys(each).some((name) => INHERITED.includes(name))));
        const text = JSON.stringify(object);
        const fields = Object.entries(JSON.parse(text) as object).filter(([, value]) => value !== null);
        expect(parseObject(text)).toEqual(Object.fromEntries(fields));
      }),
    );
  });

  it('has only plain objects inside, whatever its fields are called', () => {
    const names = fc.oneof(fc.constantFrom(...INHERITED), fc.string({ maxLength: 3 }));
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.constantFrom(0, 'x', null),
        fc.array(tie('value'), { maxLength: 3 }),
        // As text: a literal could not have a field called __proto__.
        fc.array(fc.tuple(names, tie('value')), { maxLength: 4 }).map((fields) => Object.fromEntries(fields)),
      ),
    }));
    fc.assert(
      fc.property(fc.array(fc.tuple(names, value), { maxLength: 4 }), (fields) => {
        const object = parseObject(JSON.stringify(Object.fromEntries(fields)));
        for (const each of objectsIn(object)) {
          expect([Object.prototype, Array.prototype]).toContain(Object.getPrototypeOf(each));
          expect(Object.keys(each).filter((name) => INHERITED.includes(name))).toEqual([]);
          expect(() => String(each)).not.toThrow();
        }
      }),
      { numRuns: 500 },
    );
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it.each([
    ['objects', '{"a":', '}'],
    ['lists', '[', ']'],
  ])('may be 32 levels deep, and not 33: %s', (_, open, close) => {
    expect(parseObject(nested(32, open, close))).toBeDefined();
    expect(parseObject(nested(33, open, close))).toBeUndefined();
    expect(parseObject(nested(100_000, open, close))).toBeUndefined();
  });

  it('is looked through in no time, however wide it is', () => {
    for (const text of ['[],', '{},', '0,', '{"a":{}},']) {
      const list = text.repeat((1024 * 1024) / text.length).slice(0, -1);
      const before = process.cpuUsage();
      expect(parseObject(`{"a":[${list}]}`)).toBeDefined();
      expect(process.cpuUsage(before).user / 1000).toBeLessThan(2000);
    }
  });

  it('is not anything else, nor the cause of an error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: 'binary' }), TEXT), (text) => {
        const object = parseObject(text);
        if (object) expect(text.trim().startsWith('{')).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
