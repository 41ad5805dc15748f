/** Answers of hostile token endpoints: never another error than ours, and no login lost by accident. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTokens } from '../../src/broker/login-tokens.ts';
import { parseTokenSet, readTokenSet, serialiseTokenSet, type TokenSet } from '../../src/core/token-set.ts';
import { judgeRefresh } from '../../src/core/verdict.ts';
import { BrokerError } from '../../src/errors.ts';
import { observe } from '../../src/oauth/token-request.ts';
import { NOW } from '../support/connection.ts';
import { fakeMetadata } from '../support/provider.ts';
import { HARMLESS, join, type Pieces, readCorpus } from './corpus.ts';

const METADATA = fakeMetadata('https://as.example.com');
const DEAD_TOKEN_ERRORS = ['bad_refresh_token'];

/** What both sides make of an answer: a refresh its verdict, a login its tokens or our error. */
async function judge(status: number, text: string, headers: Record<string, string> = {}) {
  const body = [204, 205, 304].includes(status) ? null : text;
  const answer = await observe(Promise.resolve(new Response(body, { status, headers })), () => NOW);
  if (answer.kind !== 'answer') return expect.unreachable('an answer came');
  return {
    body: answer.body,
    verdict: judgeRefresh(answer, DEAD_TOKEN_ERRORS),
    tokens: readTokenSet(answer.body ?? {}, NOW),
    login: logIn(() => readTokens(answer, METADATA, NOW, undefined)),
  };
}

function logIn(read: () => TokenSet): TokenSet | BrokerError {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    expect(error.message).toMatch(HARMLESS);
    expect(error.message.length).toBeLessThan(3000);
    return error;
  }
}

interface ReplyCase {
  name: string;
  status: number;
  text: Pieces;
  verdict: string;
  /** `tokens`, or the code of our error. */
  login: string;
  /** Absent: unknown. */
  lifetimeMs?: number;
  /** Absent: not told. */
  scope?: string;
}

describe('an answer of the corpus', () => {
  it.each(readCorpus<ReplyCase>('token-replies.json'))('$name', async (given) => {
    const { verdict, login } = await judge(given.status, join(given.text));
    expect(verdict.verdict).toBe(given.verdict);
    expect(login instanceof BrokerError ? login.code : 'tokens').toBe(given.login);
    if (login instanceof BrokerError) return;
    expect(login.accessExpiresAt).toBe(given.lifetimeMs && NOW + given.lifetimeMs);
    expect(login.scope).toBe(given.scope);
  });
});

const ANY = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.string({ unit: 'binary', maxLength: 300 }));
const field = (...near: unknown[]) =>
  fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...near) }, { weight: 1, arbitrary: ANY });

const CLAIMS = fc.record(
  { exp: field(NOW / 1000 + 60, 0, -1, 1e300, '5'), email: ANY },
  { requiredKeys: [] },
);
const JWT = fc
  .oneof(CLAIMS, fc.jsonValue())
  .map((claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`);

const BODY = fc.record(
  {
    access_token: fc.oneof(field('fake-access', '', 7), JWT),
    refresh_token: field('fake-refresh', ''),
    expires_in: fc.oneof(field(3600, '3600', 0, -5, '1e9', '9'.repeat(400)), fc.double()),
    token_type: field('Bearer', 'bearer', 'DPoP'),
    scope: field('a b', ['a', 'b']),
    id_token: JWT,
    name: ANY,
    error: field(
      'invalid_grant',
      'INVALID_GRANT',
      'bad_refresh_token',
      'invalid_client',
      'server_error',
      'x',
    ),
    error_description: ANY,
  },
  { requiredKeys: [] },
);
const STATUS = fc.oneof(
  fc.constantFrom(200, 201, 204, 302, 400, 401, 403, 429, 500, 502, 503),
  fc.integer({ min: 200, max: 599 }),
);
const TEXT = fc.oneof(
  { weight: 8, arbitrary: BODY.map((body) => JSON.stringify(body)) },
  {
    weight: 1,
    arbitrary: fc.tuple(BODY, fc.nat(60)).map(([body, end]) => JSON.stringify(body).slice(0, end)),
  },
  { weight: 1, arbitrary: fc.oneof(fc.json(), fc.string({ unit: 'binary' })) },
);
const RETRY_AFTER = fc.constantFrom(
  undefined,
  '0',
  '120',
  '-1',
  '9'.repeat(400),
  'soon',
  'Wed, 21 Oct 2099 07:28:00 GMT',
);

describe('any answer of a token endpoint (RFC 6749 §5)', () => {
  it('keeps a pair, ends a login for a definite reason only, and gives no time that is no time', async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(STATUS, TEXT, RETRY_AFTER, async (status, text, retryAfter) => {
        const headers: Record<string, string> = retryAfter === undefined ? {} : { 'retry-after': retryAfter };
        const { body, verdict, tokens, login } = await judge(status, text, headers);
        seen.add(verdict.verdict);
        const hasToken = typeof body?.access_token === 'string' && body.access_token !== '';
        expect(verdict.verdict === 'success').toBe(hasToken && status < 300);
        if (verdict.verdict === 'final')
          expect(['invalid_grant', 'bad_refresh_token']).toContain(body?.error);
        if ('code' in verdict) expect(verdict.code).toMatch(/^[A-Za-z0-9_.-]{1,64}$/);
        if ('retryAfterSeconds' in verdict) expect(verdict.retryAfterSeconds ?? 0).toBeGreaterThanOrEqual(0);
        expect(tokens !== undefined).toBe(hasToken);
        if (tokens) checkTokens(tokens);
        if (!(login instanceof BrokerError)) expect(hasToken).toBe(true);
      }),
      { numRuns: 1500 },
    );
    expect([...seen].sort()).toEqual(['client_invalid', 'final', 'not_processed', 'success', 'unknown']);
  });
});

function checkTokens(tokens: TokenSet): void {
  const { accessExpiresAt } = tokens;
  if (accessExpiresAt !== undefined) {
    expect(accessExpiresAt).toBeGreaterThanOrEqual(NOW);
    expect(Number.isNaN(new Date(accessExpiresAt).getTime())).toBe(false);
  }
  for (const shown of [tokens.scope, tokens.accountIdentity]) {
    expect(shown ?? '').toMatch(HARMLESS);
    expect((shown ?? '').length).toBeLessThanOrEqual(2001);
  }
  const again = parseTokenSet(serialiseTokenSet(tokens));
  expect(again.accessToken.reveal()).toBe(tokens.accessToken.reveal());
  expect(again.refreshToken?.reveal()).toBe(tokens.refreshToken?.reveal());
  expect(again).toMatchObject({ receivedAt: NOW, accessExpiresAt });
}
