import { describe, expect, it } from 'vitest';
import { anotherManner, errorOf, type Manner, mannerOf } from '../../src/broker/manner.ts';
import { DEFAULT_SETTINGS, type ServerSettings } from '../../src/core/server-settings.ts';
import type { TokenAnswer } from '../../src/oauth/token-request.ts';
import { Secret } from '../../src/secret.ts';
import { fakeMetadata } from '../support/provider.ts';
import { fakeClient } from '../support/vault.ts';

const METADATA = fakeMetadata('https://as.example.com');
const PUBLIC = fakeClient();
const SECRET = fakeClient({ authMethod: 'client_secret_post', clientSecret: new Secret('fake-secret') });

/** An answer of a token endpoint. */
const answer = (body: Record<string, unknown> | undefined, status = 400): TokenAnswer => ({
  ...{ kind: 'answer', status, body, retryAfterSeconds: undefined },
});

const asked = (changes: Partial<ServerSettings> = {}, more: Partial<Manner> = {}): Manner => ({
  client: PUBLIC,
  settings: { ...DEFAULT_SETTINGS, ...changes },
  ...more,
});

/** What is tried next, as what differs from a usual request. */
function next(error: string, before: Manner, scope?: string) {
  const other = anotherManner(answer({ error }), before, METADATA, scope);
  if (!other) return undefined;
  return { ...mannerOf(other.settings, before.settings), authMethod: other.client.authMethod };
}

describe('the manner to ask in after a refusal', () => {
  const omitted = { resourceParameter: 'omit' } as const;

  it.each<[string, string, Manner, string | undefined, object | undefined]>([
    ['leaves out the resource', 'invalid_target', asked(), 'a', { ...omitted, authMethod: 'none' }],
    ['is none without the resource', 'invalid_target', asked(omitted), 'a', undefined],
    ['names the scope', 'invalid_scope', asked(), 'a', { refreshScope: 'send', authMethod: 'none' }],
    ['is none with the scope', 'invalid_scope', asked({ refreshScope: 'send' }), 'a', undefined],
    ['is none without a scope to name', 'invalid_scope', asked(), undefined, undefined],
    [
      'names the scope at last',
      'invalid_request',
      asked(omitted),
      'a',
      { refreshScope: 'send', authMethod: 'none' },
    ],
    ['names the scope first', 'invalid_request', asked(), 'a', { refreshScope: 'send', authMethod: 'none' }],
    [
      'leaves out the resource then',
      'invalid_request',
      asked({ refreshScope: 'send' }),
      'a',
      { ...omitted, authMethod: 'none' },
    ],
    [
      'leaves it out at once without a scope',
      'invalid_request',
      asked(),
      undefined,
      { ...omitted, authMethod: 'none' },
    ],
    ['is none in the end', 'invalid_request', asked({ ...omitted, refreshScope: 'send' }), 'a', undefined],
    ['is none for a public client', 'invalid_client', asked(), 'a', undefined],
    [
      'authenticates otherwise',
      'invalid_client',
      asked({}, { client: SECRET }),
      'a',
      { authMethod: 'client_secret_basic' },
    ],
    [
      'does so once',
      'invalid_client',
      asked({}, { client: { ...SECRET, authMethod: 'client_secret_basic' }, isAuthTried: true }),
      'a',
      undefined,
    ],
    ['is none for a dead grant', 'invalid_grant', asked({}, { client: SECRET }), 'a', undefined],
    ['is none for an error we do not know', 'odd', asked({}, { client: SECRET }), 'a', undefined],
  ])('%s: %s', (_, error, before, scope, expected) => {
    expect(next(error, before, scope)).toEqual(expected);
  });

  it('keeps what was tried before', () => {
    const before = asked({ resourceParameter: 'omit' }, { isAuthTried: true });
    expect(anotherManner(answer({ error: 'invalid_scope' }), before, METADATA, 'a')).toMatchObject({
      isAuthTried: true,
      settings: { resourceParameter: 'omit', refreshScope: 'send' },
    });
  });
});

describe('the error of an answer', () => {
  it.each<[string, TokenAnswer, string | undefined]>([
    ['is its code', answer({ error: 'invalid_target' }), 'invalid_target'],
    ['may come with 200', answer({ error: 'invalid_target' }, 200), 'invalid_target'],
    [
      'does not count beside a token',
      answer({ error: 'invalid_target', access_token: 'fake' }, 200),
      undefined,
    ],
    ['does not count while the server is out of order', answer({ error: 'invalid_target' }, 503), undefined],
    ['is none when it is no text', answer({ error: { code: 'invalid_target' } }), undefined],
    ['is none without a body', answer(undefined), undefined],
    ['is none without an answer', { kind: 'no_answer', code: 'timeout' }, undefined],
  ])('%s', (_, given, error) => {
    expect(errorOf(given)).toBe(error);
  });
});
