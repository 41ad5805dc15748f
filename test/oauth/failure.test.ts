import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import {
  describeRefusal,
  networkError,
  parseObject,
  readNetworkFailure,
  readRetryAfter,
} from '../../src/oauth/failure.ts';
import { NOW } from '../support/connection.ts';

/** A failure as undici throws it: the code is on the cause. */
function failed(code: string): Error {
  return new TypeError('fetch failed', {
    cause: Object.assign(new Error('the words do not matter'), { code }),
  });
}

describe('a failure on the wire', () => {
  it.each([
    'ENOTFOUND',
    'EAI_AGAIN',
    'ECONNREFUSED',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'UND_ERR_CONNECT_TIMEOUT',
  ])('%s came before anything was sent', (code) => {
    expect(readNetworkFailure(failed(code))).toEqual({ code: code.toLowerCase(), maybeSent: false });
  });

  it.each([
    'CERT_HAS_EXPIRED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_WRONG_VERSION_NUMBER',
  ])('%s is a matter of certificates, before anything was sent', (code) => {
    expect(readNetworkFailure(failed(code))).toEqual({ code: 'tls_failed', maybeSent: false });
  });

  it.each([
    'ECONNRESET',
    'EPIPE',
    'UND_ERR_SOCKET',
    'UND_ERR_BODY_TIMEOUT',
    'UND_ERR_HEADERS_TIMEOUT',
    'HPE_INVALID_CONSTANT',
  ])('%s may have come after', (code) => {
    expect(readNetworkFailure(failed(code))).toEqual({ code: code.toLowerCase(), maybeSent: true });
  });

  it.each([
    ['a timeout of ours', new DOMException('x', 'TimeoutError'), 'timeout'],
    ['an error without a code', new Error('x'), 'no_answer'],
    ['no error at all', undefined, 'no_answer'],
    ['a text', 'ECONNREFUSED', 'no_answer'],
  ])('is taken for the worse when it is %s', (_, error, code) => {
    expect(readNetworkFailure(error)).toEqual({ code, maybeSent: true });
  });
});

describe('a network failure for people', () => {
  it('names the host and what happened, not the words of a library', () => {
    const error = networkError(failed('ECONNREFUSED'), 'https://as.example.com:8443/token?x=y');
    expect(error).toMatchObject({
      code: 'upstream_unavailable',
      message: 'as.example.com:8443 cannot be reached: the connection was refused',
    });
  });

  it('points to --ca-file when a certificate is not accepted', () => {
    expect(networkError(failed('CERT_HAS_EXPIRED'), 'https://as.example.com').hint).toContain('--ca-file');
  });

  it('shows the code of what it does not know', () => {
    expect(networkError(failed('EODD'), 'https://as.example.com').message).toContain('(eodd)');
  });

  it('leaves our own errors alone', () => {
    const ours = new BrokerError('discovery_failed', 'refused');
    expect(networkError(ours, 'https://as.example.com')).toBe(ours);
  });
});

describe('the refusal of a server', () => {
  it.each([
    [400, '{"error":"invalid_redirect_uri"}', '400 invalid_redirect_uri'],
    [400, '{"error":"invalid_client_metadata","error_description":"no"}', '400 invalid_client_metadata "no"'],
    [403, 'Registration is closed', '403 "Registration is closed"'],
    [403, '<html><h1>Access denied</h1></html>', '403 "Access denied"'],
    [500, '', '500'],
    [500, '{"error":{"code":7},"secret":"fake-secret"}', '500'],
  ])('%i %s reads: %s', (status, text, line) => {
    expect(describeRefusal(status, text)).toBe(line);
  });

  it('cannot move the cursor, forge a line or flood the screen', () => {
    const hostile = `\u001b[2J\r\nbroker: all is well\u202e\u2028${'x'.repeat(10_000)}`;
    for (const text of [hostile, JSON.stringify({ error: hostile, error_description: hostile })]) {
      const line = describeRefusal(400, text);
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(line.length).toBeLessThan(500);
    }
  });

  it('is read in no time, however it is made to be slow', () => {
    const before = performance.now();
    describeRefusal(400, '<'.repeat(60_000));
    expect(performance.now() - before).toBeLessThan(500);
  });
});

describe('a JSON object', () => {
  it('has its null fields left out', () => {
    expect(parseObject('{"a":1,"b":null,"c":{"d":null}}')).toEqual({ a: 1, c: { d: null } });
  });

  it.each(['', 'null', '[]', '"x"', '7', '<html>', '{"a":'])('is not %j', (text) => {
    expect(parseObject(text)).toBeUndefined();
  });

  it('cannot change what all objects are', () => {
    parseObject('{"__proto__":{"polluted":true}}');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('Retry-After (RFC 9110 §10.2.3)', () => {
  it.each([
    ['120', 120],
    [' 7 ', 7],
    ['0', 0],
    [new Date(NOW + 90_000).toUTCString(), 90],
    [new Date(NOW - 90_000).toUTCString(), 0],
    ['soon', undefined],
    ['', undefined],
    [null, undefined],
  ])('%j means %s s', (header, seconds) => {
    expect(readRetryAfter(header, NOW)).toBe(seconds);
  });

  it.each(['-5', '1.5', '1e9'])('never means a time in the past: %s', (header) => {
    expect(readRetryAfter(header, NOW) ?? 0).toBeGreaterThanOrEqual(0);
  });
});
