import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeRefresh, type RefreshAnswer } from '../../src/core/verdict.ts';

/** An HTTP answer; undefined as body is one that was no JSON object. */
function answer(status: number, body?: Record<string, unknown>, retryAfterSeconds?: number): RefreshAnswer {
  return { kind: 'answer', status, body, retryAfterSeconds };
}

const error = (code: string) => ({ error: code, error_description: 'the words do not matter' });

describe('a refresh answer that is a success', () => {
  it.each([
    ['200 with an access token', answer(200, { access_token: 'fake-access' })],
    ['201, which some servers send', answer(201, { access_token: 'fake-access' })],
    [
      'an odd token type, which must not cost the refresh token',
      answer(200, { access_token: 'fake', token_type: 'odd' }),
    ],
    ['an error field that is empty or no text', answer(200, { access_token: 'fake', error: '' })],
  ])('%s', (_, given) => {
    expect(judgeRefresh(given)).toEqual({ verdict: 'success' });
  });
});

describe('a refresh answer of a server that did not act', () => {
  it.each([
    ['no connection', { kind: 'not_sent', code: 'econnrefused' } as const, 'econnrefused'],
    ['no TLS', { kind: 'not_sent', code: 'tls_failed' } as const, 'tls_failed'],
    ['408', answer(408), 'http_408'],
    ['425', answer(425), 'http_425'],
    ['429 without a body of OAuth', answer(429, { message: 'slow down' }), 'http_429'],
    ['429 with a page', answer(429), 'http_429'],
    ['503 with a page', answer(503), 'http_503'],
    ['temporarily_unavailable', answer(400, error('temporarily_unavailable')), 'temporarily_unavailable'],
    ['server_error in a 400', answer(400, error('server_error')), 'server_error'],
    ['server_error in a 500', answer(500, error('server_error')), 'server_error'],
    [
      'temporarily_unavailable inside a 200',
      answer(200, error('temporarily_unavailable')),
      'temporarily_unavailable',
    ],
  ])('%s', (_, given, code) => {
    expect(judgeRefresh(given)).toEqual({ verdict: 'not_processed', code, retryAfterSeconds: undefined });
  });

  it('carries Retry-After along', () => {
    expect(judgeRefresh(answer(429, undefined, 120))).toMatchObject({ retryAfterSeconds: 120 });
    expect(judgeRefresh(answer(400, error('server_error'), 7))).toMatchObject({ retryAfterSeconds: 7 });
  });
});

describe('a refresh answer nobody can interpret', () => {
  it.each([
    ['a timeout', { kind: 'no_answer', code: 'timeout' } as const, 'timeout'],
    ['a reset after sending', { kind: 'no_answer', code: 'econnreset' } as const, 'econnreset'],
    ['a 200 that is no JSON', answer(200), 'http_200_not_json'],
    ['a 200 without an access token', answer(200, { hello: 'world' }), 'http_200'],
    ['a 200 whose access token is empty', answer(200, { access_token: '' }), 'http_200'],
    ['500 with a page', answer(500), 'http_500_not_json'],
    ['500 with JSON of another kind', answer(500, { message: 'oops' }), 'http_500'],
    ['502', answer(502), 'http_502_not_json'],
    ['504', answer(504), 'http_504_not_json'],
    ['a page of a firewall with 403', answer(403), 'http_403_not_json'],
    ['a page with 401', answer(401), 'http_401_not_json'],
    ['a page with 400', answer(400), 'http_400_not_json'],
    ['404', answer(404), 'http_404_not_json'],
    ['a redirect', answer(302), 'http_302_not_json'],
    ['a redirect that claims an error', answer(302, error('invalid_grant')), 'http_302'],
    ['an error word nobody knows', answer(400, error('computer_says_no')), 'computer_says_no'],
    ['an error that is no text', answer(400, { error: { code: 'invalid_grant' } }), 'http_400'],
    ['invalid_grant from a server that is broken', answer(500, error('invalid_grant')), 'http_500'],
    ['invalid_grant behind a broken gateway', answer(502, error('invalid_grant')), 'http_502'],
  ])('%s', (_, given, code) => {
    expect(judgeRefresh(given)).toEqual({ verdict: 'unknown', code, retryAfterSeconds: undefined });
  });

  it('carries Retry-After along', () => {
    expect(judgeRefresh(answer(502, undefined, 30))).toMatchObject({
      verdict: 'unknown',
      retryAfterSeconds: 30,
    });
  });
});

describe('a refresh answer that ends the grant (RFC 6749 §5.2)', () => {
  it.each([400, 401, 403, 404, 422, 429, 200])('invalid_grant with %i', (status) => {
    expect(judgeRefresh(answer(status, error('invalid_grant')))).toEqual({
      verdict: 'final',
      code: 'invalid_grant',
    });
  });

  it('is never one without the words invalid_grant, whatever else it says', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('invalid_client', 'server_error', 'Invalid_Grant', 'invalid_grant '),
    );
    const body = fc.oneof(
      fc.constant(undefined),
      word.map((code) => ({ error: code, error_description: 'invalid_grant' })),
    );
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 599 }), body, (status, given) => {
        fc.pre(given?.error !== 'invalid_grant');
        return judgeRefresh(answer(status, given)).verdict !== 'final';
      }),
    );
  });
});

describe('a refresh answer about our client', () => {
  it.each([
    ['invalid_client', 401],
    ['invalid_client', 400],
    ['unauthorized_client', 400],
    ['unauthorized_client', 403],
    ['invalid_client', 200],
  ])('%s with %i judges the registration, not the grant', (code, status) => {
    expect(judgeRefresh(answer(status, error(code)))).toEqual({ verdict: 'client_invalid', code });
  });
});

describe('a refresh answer no retry will change', () => {
  it.each(['invalid_request', 'invalid_scope', 'invalid_target', 'unsupported_grant_type'])('%s', (code) => {
    expect(judgeRefresh(answer(400, error(code)))).toEqual({ verdict: 'config_error', code });
  });
});
