import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CredentialKind } from '../../src/core/credential-kind.ts';
import { stepUpFor } from '../../src/core/step-up.ts';

const INSUFFICIENT = 'Bearer error="insufficient_scope"';

/** What a refusal asks for, of a login with these scopes. */
const wanted = (
  scope: string | null,
  header: string | undefined,
  status = 403,
  what: { kind: CredentialKind; derivedFrom?: string } = { kind: 'oauth' },
) => stepUpFor({ name: 'demo@alice', scope, ...what }, status, header);
const scopes = (granted: string | null, challenged: string) =>
  wanted(granted, `${INSUFFICIENT}, scope="${challenged}"`)?.scopes;

/** The words a shell makes of a command. */
const shellWords = (command: string) =>
  execFileSync('/bin/sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);

describe('the scopes to ask for (RFC 6750 §3.1)', () => {
  it.each<[string, string | null, string, string[]]>([
    ['what was granted first, in its order, then what is wanted', 'b a', 'd c', ['b', 'a', 'd', 'c']],
    ['each one once', 'a b', 'b c a c', ['a', 'b', 'c']],
    ['those wanted alone when nobody knows what was granted', null, 'a b', ['a', 'b']],
    ['a new one although one was granted twice', 'a a', 'b', ['a', 'b']],
    ['words apart, however many spaces are between them', ' a  b ', ' c \t d ', ['a', 'b', 'c', 'd']],
  ])('are %s', (_, granted, challenged, expected) => {
    expect(scopes(granted, challenged)).toEqual(expected);
  });

  it.each([
    ['control characters', 'a\u001b[2J'],
    ['letters that turn the text around', 'a\u202eb'],
    ['a quote', 'a\\"b'],
    ['a backslash', 'a\\\\b'],
    ['letters no scope may have', 'é'],
    ['endless length', 'x'.repeat(257)],
  ])('are no words with %s, and the others remain', (_, hostile) => {
    expect(scopes('mcp:read', `${hostile} mcp:write`)).toEqual(['mcp:read', 'mcp:write']);
    expect(scopes('mcp:read', hostile)).toBeUndefined();
  });

  it('are bounded, however many a server wants', () => {
    const many = Array.from({ length: 500 }, (_, index) => `s${index}`).join(' ');
    expect(scopes('mcp:read', many)).toHaveLength(101);
  });
});

describe('nothing is to be done', () => {
  it.each<[string, string | undefined, number]>([
    ['without a challenge', undefined, 403],
    ['with a challenge of another scheme', 'Basic error="insufficient_scope", scope="b"', 403],
    ['when all that is wanted was granted', `${INSUFFICIENT}, scope="a"`, 403],
    ['when no scope is named', INSUFFICIENT, 403],
    ['when a scope of nothing is named', `${INSUFFICIENT}, scope=""`, 403],
    ['when the token is refused for another reason', 'Bearer error="invalid_token", scope="b"', 403],
    ['when a 401 says no reason', 'Bearer scope="b"', 401],
  ])('%s', (_, header, status) => {
    expect(wanted('a', header, status)).toBeUndefined();
  });
});

describe('a server that wants more', () => {
  it.each<[string, string, number]>([
    ['by the book', `${INSUFFICIENT}, scope="b"`, 403],
    ['with 401', `${INSUFFICIENT}, scope="b"`, 401],
    ['with 403 and no reason', 'Bearer scope="b"', 403],
    ['with DPoP', 'DPoP error="insufficient_scope", scope="b"', 403],
  ])('is understood %s', (_, header, status) => {
    expect(wanted('a', header, status)?.scopes).toEqual(['a', 'b']);
  });
});

describe('the command', () => {
  it('signs in with these scopes', () => {
    expect(wanted('a', `${INSUFFICIENT}, scope="b"`)?.nextStep).toBe("broker login demo@alice --scope 'a b'");
  });

  it.each<[string, { kind: CredentialKind; derivedFrom?: string }]>([
    ["broker add demo@alice … --scope 'a b'", { kind: 'client_credentials' }],
    ['broker add demo@alice --bearer-file <file>', { kind: 'bearer' }],
    // An exchange is the same for all users; what is forwarded has the rights of its login.
    ["broker add demo … --scope 'a b'", { kind: 'identity' }],
    ["broker login corp@alice --scope 'a b'", { kind: 'identity', derivedFrom: 'corp@alice' }],
  ])('is %s for %j', (command, what) => {
    expect(wanted('a', `${INSUFFICIENT}, scope="b"`, 403, what)?.nextStep).toBe(command);
  });

  it.each(["it's", "'; touch /tmp/never; '", '$(never)', '`never`', '!!', '--json', '#'])(
    'is one word for a shell with the scope %s',
    (word) => {
      const [first] = word.split(' ');
      const { nextStep } = wanted('a', `${INSUFFICIENT}, scope="${word}"`) ?? { nextStep: '' };
      expect(shellWords(nextStep).slice(0, 4)).toEqual(['broker', 'login', 'demo@alice', '--scope']);
      expect(shellWords(nextStep)).toHaveLength(5);
      expect(shellWords(nextStep)[4]).toMatch(/^a /);
      expect(shellWords(nextStep)[4]).toContain(first);
    },
  );

  it('is one line and gives the shell exactly these scopes, whatever the server and the login say', () => {
    const text = fc.string({
      unit: fc.constantFrom(...'ab\'"\\ \t\n$`!;|&<>(){}*?~#=-\u001b\u202e'),
      maxLength: 40,
    });
    fc.assert(
      fc.property(text, (challenged) => {
        const escaped = challenged.replace(/["\\]/g, '\\$&');
        const step = wanted('mcp:read', `${INSUFFICIENT}, scope="${escaped}"`);
        if (!step) return;
        expect(step.nextStep).toMatch(/^[\x20-\x7e]+$/);
        expect(shellWords(step.nextStep)[4]).toBe(step.scopes.join(' '));
      }),
      { numRuns: 60 },
    );
  });
});
