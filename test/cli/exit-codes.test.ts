import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { exitCodeFor } from '../../src/cli/exit-codes.ts';
import { BrokerError, type ErrorCode } from '../../src/errors.ts';

/** DESIGN §6. */
const EXPECTED: Record<number, ErrorCode[]> = {
  2: [
    'not_found',
    'login_required',
    'client_invalid',
    'config_error',
    'discovery_failed',
    'no_login_needed',
    'issuer_mismatch',
    'resource_mismatch',
    'pkce_unsupported',
    'registration_refused',
    'login_denied',
    'login_refused',
    'account_mismatch',
    'callback_invalid',
  ],
  3: [
    'port_in_use',
    'daemon_unreachable',
    'vault_missing',
    'vault_unavailable',
    'vault_newer',
    'backup_invalid',
    'key_missing',
    'key_wrong',
    'key_unsafe',
  ],
  64: ['usage', 'bad_request'],
  70: ['save_failed', 'internal'],
  75: [
    'login_timeout',
    'upstream_unavailable',
    'rate_limited',
    'vault_locked',
    'push_failed',
    'backup_failed',
  ],
  77: ['unauthenticated', 'forbidden'],
  130: ['interrupted'],
};

describe('an exit code', () => {
  it.each(
    Object.entries(EXPECTED).flatMap(([exit, codes]) => codes.map((code) => [code, Number(exit)] as const)),
  )('for %s is %i', (code, exit) => {
    expect(exitCodeFor(new BrokerError(code, 'fake'))).toBe(exit);
  });

  it('is there for every code of errors.ts', () => {
    const source = readFileSync(new URL('../../src/errors.ts', import.meta.url), 'utf8');
    const union = source.slice(source.indexOf('export type ErrorCode'), source.indexOf('export interface'));
    const codes = [...union.matchAll(/\| '(\w+)'/g)].map(([, code]) => code);
    expect(codes.length).toBeGreaterThan(30);
    expect(Object.values(EXPECTED).flat().sort()).toEqual(codes.sort());
  });

  it.each([
    ['a code of a newer daemon', new BrokerError('brand_new' as ErrorCode, 'fake')],
    ['any other error', new TypeError('fake')],
    ['something that is no error', 'fake'],
  ])('for %s is 70', (_, error) => {
    expect(exitCodeFor(error)).toBe(70);
  });
});
