import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BrokerError, quote, systemCode } from '../src/errors.ts';

const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

describe('an error of ours', () => {
  const cause = new Error('{"refresh_token":"fake-refresh"}');
  const error = new BrokerError('upstream_unavailable', 'as.example.com cannot be reached', {
    hint: 'try again later',
    connection: 'coda',
    retryAfterSeconds: 5,
    cause,
  });

  it('says what, why and what next', () => {
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'BrokerError',
      code: 'upstream_unavailable',
      message: 'as.example.com cannot be reached',
      hint: 'try again later',
      connection: 'coda',
      retryAfterSeconds: 5,
    });
  });

  it('keeps its cause for those who ask for it', () => {
    expect(error.cause).toBe(cause);
    expect('cause' in new BrokerError('internal', 'x')).toBe(false);
  });

  it.each<[string, (given: BrokerError) => string]>([
    ['as JSON', (given) => JSON.stringify(given)],
    ['as text', (given) => String(given)],
    ['by its stack', (given) => given.stack ?? ''],
    ['by console.log', (given) => inspect(given)],
    ['spread into an object', (given) => inspect({ ...given })],
  ])('does not print the body that caused it when it is shown %s', (_, show) => {
    expect(show(error)).not.toContain('fake-refresh');
  });
});

describe('words of a stranger', () => {
  it.each([
    ['plain', 'not today', '"not today"'],
    ['with quotes', 'say "no"', '"say \\"no\\""'],
    ['with line breaks', 'one\r\ntwo', '"one two"'],
    ['with an escape sequence', '\u001b[2Jgone', '"[2Jgone"'],
    ['written from right to left', 'a\u202eb', '"a b"'],
    ['with an invisible space', 'a\u200bb', '"a b"'],
    ['with line separators of Unicode', 'a\u2028b\u2029c', '"a b c"'],
    ['that are empty', '', '""'],
    ['of a person', 'Zoë 你好 🎉', '"Zoë 你好 🎉"'],
  ])('are quoted when they are %s', (_, text, quoted) => {
    expect(quote(text)).toBe(quoted);
  });

  it('are cut after 200 characters', () => {
    expect(quote('x'.repeat(200))).toBe(`"${'x'.repeat(200)}"`);
    expect(quote('x'.repeat(201))).toBe(`"${'x'.repeat(200)}…"`);
  });

  it('are one short line of JSON, whatever they are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const quoted = quote(text);
        expect(quoted).not.toMatch(UNSAFE);
        expect(typeof JSON.parse(quoted)).toBe('string');
        expect((JSON.parse(quoted) as string).length).toBeLessThanOrEqual(201);
      }),
    );
  });
});

describe('the code of a system error', () => {
  it.each([
    ['of the system', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    ['with a code that is a number', Object.assign(new Error('x'), { code: 7 }), undefined],
    ['without a code', new Error('x'), undefined],
    ['that is undefined', undefined, undefined],
    ['that is null', null, undefined],
    ['that is a text', 'ECONNREFUSED', undefined],
  ])('is read from an error %s', (_, error, code) => {
    expect(systemCode(error)).toBe(code);
  });
});
