import { describe, expect, it } from 'vitest';
import type { CredentialKind } from '../../src/core/credential-kind.ts';
import {
  clockAgainstServers,
  clockAgainstVault,
  type Diagnosis,
  diagnosisCode,
  failed,
  failedBy,
  fine,
  type Outcome,
  registrationWay,
  type StepName,
  scopeCommand,
  skipped,
  together,
  warning,
} from '../../src/core/diagnosis.ts';
import { BrokerError } from '../../src/errors.ts';

const of = (...steps: [StepName, Outcome][]): Diagnosis => ({
  target: 'demo',
  steps: steps.map(([step, outcome]) => ({ step, ...outcome })),
});

const down = failed('no answer', undefined, 'upstream_unavailable');

describe('what a diagnosis comes to', () => {
  it.each<[string, Diagnosis[], number]>([
    ['nothing', [], 0],
    ['ok and skipped', [of(['clock', fine('')], ['initialize', skipped('')])], 0],
    ['a warning', [of(['clock', warning('')])], 1],
    ['a provider that is down, and a warning', [of(['discovery', down], ['clock', warning('')])], 75],
    ['a failure, and a provider that is down', [of(['discovery', down], ['token', failed('')])], 2],
    ['a key, and a failure', [of(['token', failed('')]), of(['key', failed('')])], 3],
    ['files', [of(['files', failed('')])], 3],
    ['a value that does not open', [of(['initialize', failed('', undefined, 'vault_unavailable')])], 3],
  ])('of %s is right', (_, diagnoses, code) => {
    expect(diagnosisCode(diagnoses)).toBe(code);
  });
});

describe('an outcome', () => {
  it('of an error has its message, remedy and code', () => {
    const error = new BrokerError('key_wrong', 'not the key', { hint: 'name the right one' });
    expect(failedBy(error)).toEqual({
      verdict: 'failed',
      message: 'not the key',
      remedy: 'name the right one',
      code: 'key_wrong',
    });
  });

  it('of what is no error of ours is a fault of the program', () => {
    expect(() => failedBy(new TypeError('oops'))).toThrow(TypeError);
  });

  it('of two leads with the worse, and keeps what both advise', () => {
    expect(together(fine('a'), skipped('b'))).toEqual({ verdict: 'ok', message: 'a; b' });
    expect(together(warning('a', 'x'), failed('b', 'y'))).toEqual({
      verdict: 'failed',
      message: 'b; a',
      remedy: 'y\nx',
    });
    expect(together(warning('a'), warning('b'))).toEqual({ verdict: 'warning', message: 'a; b' });
  });
});

describe('a clock against servers', () => {
  it.each([
    [[], 'skipped', 'no server told its time'],
    [[29_999], 'ok', 'agrees with a'],
    [[30_000], 'warning', '30 s ahead of a'],
    [[-299_999], 'warning', '5 min behind a'],
    [[300_000], 'failed', '5 min ahead of a'],
    [[-86_400_000], 'failed', '24 h behind a'],
    [[300_000, -1_000], 'ok', 'agrees with b'],
  ])('that is off by %j ms is %s', (skews, verdict, message) => {
    const seen = skews.map((ms, index) => ({ ms, host: 'ab'.charAt(index) }));
    expect(clockAgainstServers(seen)).toMatchObject({ verdict, message });
  });
});

describe('a clock against the vault', () => {
  it.each([
    [-1_000_000, 'ok'],
    [29_999, 'ok'],
    [30_000, 'warning'],
    [299_999, 'warning'],
    [300_000, 'failed'],
  ])('written %i ms from now is %s', (ms, verdict) => {
    const now = 1_767_225_600_000;
    expect(clockAgainstVault(now + ms, now).verdict).toBe(verdict);
  });
});

describe('the way to a client', () => {
  const [both, documents, registers, neither] = [
    { takesDocuments: true, registers: true },
    { takesDocuments: true, registers: false },
    { takesDocuments: false, registers: true },
    { takesDocuments: false, registers: false },
  ];

  it.each([
    [['registered', 'configured'], both, 'configured'],
    [['configured'], neither, 'configured'],
    [['metadata_document'], both, 'document'],
    [[], documents, 'document'],
    [['registered'], both, 'dynamic'],
    [['metadata_document'], registers, 'dynamic'],
    [[], neither, 'none'],
  ])('with %j known at %j is %s', (known, server, way) => {
    expect(registrationWay(known, server as typeof both)).toBe(way);
  });
});

describe('the command for a larger scope', () => {
  it.each([
    [['mcp:read', 'mcp:read mcp:write'], 'broker login demo --scope "mcp:read mcp:write"'],
    [[null, 'https://example.com/scope.all'], 'broker login demo --scope "https://example.com/scope.all"'],
    [[null, undefined], 'broker login demo'],
    [['a', '$(reboot) `x` "; !! \\ b'], 'broker login demo --scope "a b"'],
  ])('of %j is %s', (scopes, command) => {
    expect(scopeCommand({ name: 'demo', kind: 'oauth' }, ...scopes)).toBe(command);
  });

  it.each<[CredentialKind, string]>([
    ['client_credentials', 'broker add demo … --scope "b"'],
    ['bearer', 'broker add demo --bearer-file <file>'],
    ['identity', 'broker add demo … --scope "b"'],
  ])('of a connection of kind %s is %s', (kind, command) => {
    expect(scopeCommand({ name: 'demo', kind }, 'b')).toBe(command);
  });
});
