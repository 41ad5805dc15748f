import { describe, expect, it } from 'vitest';
import { boundedCode } from '../../src/core/bounded-code.ts';
import { FAULT_ROWS } from '../reliability/fault-matrix.ts';

describe('a code as a label', () => {
  it.each(['invalid_grant', 'timeout', 'econnrefused', 'http_502', 'http_403_not_json', 'tls_failed'])(
    'is told: %s',
    (code) => expect(boundedCode(code)).toBe(code),
  );

  it.each(['bad_refresh_token', 'x'.repeat(64), 'http_999', 'http_200_', 'INVALID_GRANT', 'user-4711'])(
    'is other, since a server may invent it: %s',
    (code) => expect(boundedCode(code)).toBe('other'),
  );

  it('is empty where there is none', () => expect(boundedCode(undefined)).toBe(''));

  it('is known for every fault of the network in the fault matrix', () => {
    const codes = FAULT_ROWS.flatMap(
      ({ code }) => code?.source.match(/\b(?:und_err|e(?:conn|host|net|not|ai))[a-z_]+/g) ?? [],
    );
    expect(codes.length).toBeGreaterThan(0);
    expect(codes.filter((code) => boundedCode(code) === 'other')).toEqual([]);
  });
});
