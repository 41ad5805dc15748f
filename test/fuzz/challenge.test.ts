import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseChallenges, readBearerChallenge } from '../../src/core/challenge.ts';
import { join, type Pieces, readCorpus } from './corpus.ts';

/** Ten times what 64 KB take here; reading in quadratic time takes longer. */
const LIMIT_MS = 250;

/** Milliseconds of work it takes to read; not of waiting, the machine may be busy with other things. */
function costOf(header: string): number {
  const before = process.cpuUsage();
  readBearerChallenge(header);
  return process.cpuUsage(before).user / 1000;
}

interface ChallengeCase {
  name: string;
  header: Pieces;
  /** Absent: there is no challenge for us. */
  expected?: { resourceMetadata: string[]; scope?: string | [string, number]; error?: string };
}

describe('a challenge of the corpus', () => {
  it.each(readCorpus<ChallengeCase>('challenges.json'))('$name', ({ header, expected }) => {
    const { scope } = expected ?? {};
    const want = expected && {
      resourceMetadata: expected.resourceMetadata,
      scope: Array.isArray(scope) ? join([scope]) : scope,
      error: expected.error,
    };
    expect(readBearerChallenge(join(header))).toEqual(want);
    expect(costOf(join(header))).toBeLessThan(LIMIT_MS);
  });
});

const CHARACTERS = [...'Bearer DPoP="\\,; \t\n\u0000\u00e9\u2028/:@()<>\'~', 'scope', 'realm=', '"x"', '=='];

describe('any text as a challenge (RFC 9110 §11.6.1)', () => {
  it('is read without an error, into names that are lower case and no more than was there', () => {
    const odd = fc.array(fc.constantFrom(...CHARACTERS), { maxLength: 80 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(odd, fc.string({ unit: 'binary', maxLength: 200 })), (header) => {
        let length = 0;
        for (const { scheme, parameters } of parseChallenges(header)) {
          expect(scheme).toMatch(/^[^\sA-Z",]+$/);
          length += scheme.length;
          for (const [name, values] of parameters) {
            expect(name).toMatch(/^[^\sA-Z",]+$/);
            expect(values.length).toBeGreaterThan(0);
            length += values.reduce((sum, value) => sum + name.length + value.length, 0);
          }
        }
        expect(length).toBeLessThanOrEqual(header.length);
      }),
      { numRuns: 1000 },
    );
  });

  it('of 64 KB is read in no time, whatever is repeated in it', () => {
    const part = fc.array(fc.constantFrom(...CHARACTERS), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(part, (parts) => {
        const text = parts.join('');
        const header = `Bearer ${text.repeat(65536 / text.length)}`;
        expect(costOf(header)).toBeLessThan(LIMIT_MS);
      }),
      { numRuns: 40 },
    );
  });
});

const TOKEN = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,10}$/);
const SCHEME = fc.oneof(fc.constantFrom('Bearer', 'bearer', 'DPoP', 'Basic', 'Negotiate', 'Digest'), TOKEN);
const SPACE = fc.constantFrom('', ' ', '\t', '  ');
const COMMA = fc.constantFrom(',', ', ', ' , ', ',, ', ' ,\t,');

/** A value as a token or in quotes, some characters escaped without need; and what it means. */
const VALUE = fc.oneof(
  TOKEN.map((token) => ({ written: token, value: token })),
  fc
    .array(fc.tuple(fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }), fc.boolean()), {
      maxLength: 12,
    })
    .map((characters) => ({
      written: `"${characters.map(([each, isEscaped]) => (isEscaped || /["\\]/.test(each) ? `\\${each}` : each)).join('')}"`,
      value: characters.map(([each]) => each).join(''),
    })),
);

const PARAMETER = fc
  .record({ name: TOKEN, before: SPACE, after: SPACE, value: VALUE })
  .map(({ name, before, after, value }) => ({
    written: `${name}${before}=${after}${value.written}`,
    pair: [name.toLowerCase(), value.value] as const,
  }));

/** One challenge: with parameters, with a token68, or the scheme alone. */
const CHALLENGE = fc.oneof(
  fc
    .record({ scheme: SCHEME, parameters: fc.array(PARAMETER, { minLength: 1, maxLength: 4 }), comma: COMMA })
    .map(({ scheme, parameters, comma }) => ({
      written: `${scheme} ${parameters.map(({ written }) => written).join(comma)}`,
      read: { scheme: scheme.toLowerCase(), pairs: parameters.map(({ pair }) => pair) },
    })),
  fc
    .record({ scheme: SCHEME, token68: fc.stringMatching(/^[A-Za-z0-9._~+/-]{1,12}={0,2}$/) })
    .map(({ scheme, token68 }) => ({
      written: `${scheme} ${token68}`,
      read: { scheme: scheme.toLowerCase(), pairs: [] },
    })),
  SCHEME.map((scheme) => ({ written: scheme, read: { scheme: scheme.toLowerCase(), pairs: [] } })),
);

describe('challenges as the standard writes them (RFC 9110 §11.3, §11.4)', () => {
  it('are read back exactly', () => {
    fc.assert(
      fc.property(fc.array(CHALLENGE, { maxLength: 5 }), COMMA, (challenges, comma) => {
        const read = parseChallenges(challenges.map(({ written }) => written).join(comma));
        expect(read.map(({ scheme }) => scheme)).toEqual(challenges.map((each) => each.read.scheme));
        for (const [index, { parameters }] of read.entries()) {
          const pairs = challenges[index]?.read.pairs ?? [];
          const names = [...new Set(pairs.map(([name]) => name))];
          expect([...parameters]).toEqual(
            names.map((name) => [name, pairs.filter(([each]) => each === name).map(([, value]) => value)]),
          );
        }
      }),
      { numRuns: 1000 },
    );
  });
});
