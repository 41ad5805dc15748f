/** What comes back with the person, by browser or by hand: anybody on the machine can send it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPastedRedirect } from '../../src/broker/login-answer.ts';
import { BrokerError } from '../../src/errors.ts';
import { checkCallback } from '../../src/oauth/authorization.ts';
import { Secret } from '../../src/secret.ts';
import { fakeMetadata } from '../support/provider.ts';
import { HARMLESS, join, type Pieces, readCorpus } from './corpus.ts';

const STATE = 'STATE';
const ISSUER = 'https://as.example.com';

/** `answer`, `foreign`, or the code of our error. Every other error fails the test. */
function outcomeOf(parameters: URLSearchParams, isIssuerPromised: boolean): string {
  const metadata = fakeMetadata(ISSUER, { authorization_response_iss_parameter_supported: isIssuerPromised });
  try {
    return checkCallback(parameters, new Secret(STATE), metadata).kind;
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    expect(error.message).toMatch(HARMLESS);
    expect(error.message.length).toBeLessThan(3000);
    for (const line of error.hint?.split('\n') ?? []) {
      expect(line).toMatch(HARMLESS);
      expect(line.length).toBeLessThan(3000);
    }
    return error.code;
  }
}

describe('a pasted line of the corpus', () => {
  it.each(readCorpus<{ name: string; pasted: Pieces; outcome: string }>('callbacks.json'))(
    '$name',
    ({ pasted, outcome }) => {
      const parameters = readPastedRedirect(join(pasted));
      expect(parameters ? outcomeOf(parameters, false) : 'not an answer').toBe(outcome);
    },
  );

  it('does not show what another issuer said', () => {
    const parameters = new URLSearchParams({
      state: STATE,
      error: 'secret-words',
      iss: 'https://evil.example.com',
    });
    expect(() => checkCallback(parameters, new Secret(STATE), fakeMetadata(ISSUER))).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret-words') }),
    );
  });
});

const TEXT = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.constantFrom('', '\u001b[2J', '\u202e', '\r\n\u2028', 'x'.repeat(5000), 'access_denied'),
);
/** Most parameters are as they should be, so that answers come out too. */
const PAIR = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(['state', STATE], ['code', 'fake-code'], ['iss', ISSUER]) },
  {
    weight: 1,
    arbitrary: fc.tuple(
      fc.constantFrom(
        'state',
        'code',
        'iss',
        'error',
        'error_description',
        'id_token',
        'token',
        'response',
        'x',
      ),
      fc.oneof(TEXT, fc.constantFrom(`${STATE} `, `${ISSUER}/`, 'https://AS.example.com')),
    ),
  },
);
const PAIRS = fc.array(PAIR, { maxLength: 6 }) as fc.Arbitrary<[string, string][]>;

describe('any answer to an authorization request (RFC 6749 §4.1.2, RFC 9207 §2.4)', () => {
  it('counts only with our one state, our issuer, no error and one code', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(PAIRS, fc.boolean(), (pairs, isIssuerPromised) => {
        const parameters = new URLSearchParams(pairs);
        const all = (name: string) => pairs.filter(([each]) => each === name).map(([, value]) => value);
        const outcome = outcomeOf(parameters, isIssuerPromised);
        seen.add(outcome);
        const isOurs = all('state').length === 1 && all('state')[0] === STATE;
        expect(outcome === 'foreign').toBe(!isOurs);
        if (outcome !== 'answer') return;
        expect([all('code').length, all('code')[0] !== '', all('error')]).toEqual([1, true, []]);
        expect(['id_token', 'token', 'response'].flatMap(all)).toEqual([]);
        expect([...(isIssuerPromised ? [] : [[]]), [ISSUER]]).toContainEqual(all('iss'));
      }),
      { numRuns: 2000 },
    );
    const all = ['answer', 'foreign', 'callback_invalid', 'login_refused'];
    expect([...seen]).toEqual(expect.arrayContaining(all));
  });
});

describe('any pasted line', () => {
  it('is the same answer as URL, as query and as bare query', () => {
    fc.assert(
      fc.property(PAIRS, (pairs) => {
        const query = new URLSearchParams(pairs).toString();
        const names = pairs.map(([name]) => name);
        const isAnswer = names.includes('state') && (names.includes('code') || names.includes('error'));
        for (const line of [`http://127.0.0.1:29999/callback?${query}`, `?${query}`, ` ${query}\n`]) {
          const read = readPastedRedirect(line);
          expect(read && [...read]).toEqual(isAnswer ? [...new URLSearchParams(query)] : undefined);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is read without an error', () => {
    const odd = fc
      .array(fc.oneof(TEXT, fc.constantFrom('http://', '?', '&', 'state=', 'code=x', '%', '#', '[')), {
        maxLength: 8,
      })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(odd, (line) => {
        const parameters = readPastedRedirect(line);
        if (parameters) expect(parameters.has('state')).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});
