import { describe, expect, it } from 'vitest';
import { type RedirectUri, readRedirectUri } from '../../src/core/redirect.ts';

describe('a redirect URI on this machine (RFC 8252 §7.3)', () => {
  it.each<[string, Partial<RedirectUri>]>([
    ['http://127.0.0.1:41234/callback', { host: '127.0.0.1', port: 41234, path: '/callback' }],
    ['http://localhost:41234/callback', { host: 'localhost', port: 41234, path: '/callback' }],
    ['http://[::1]:41234/callback', { host: '[::1]', port: 41234, path: '/callback' }],
    ['http://localhost:8080', { host: 'localhost', port: 8080, path: '/' }],
    ['http://localhost:8080/', { host: 'localhost', port: 8080, path: '/' }],
    ['http://localhost:80/callback', { host: 'localhost', port: 80, path: '/callback' }],
    ['http://localhost:65535/a/b/', { host: 'localhost', port: 65535, path: '/a/b/' }],
    ['HTTP://LocalHost:41234/Callback', { host: 'localhost', port: 41234, path: '/Callback' }],
    ['http://[0:0:0:0:0:0:0:1]:41234/cb', { host: '[::1]', port: 41234, path: '/cb' }],
    ['http://127.0.0.1:41234/cb?tenant=1', { host: '127.0.0.1', port: 41234, path: '/cb' }],
    ['http://127.0.0.1:41234/a%20b', { path: '/a%20b' }],
    ['http://127.0.0.1:41234/x/../cb', { path: '/cb' }],
  ])('is read from %s, the text kept to the letter', (text, expected) => {
    expect(readRedirectUri(text)).toMatchObject({ uri: text, isLoopback: true, ...expected });
  });
});

describe('a redirect URI elsewhere', () => {
  it.each<[string, Partial<RedirectUri>]>([
    ['https://broker.example.com/oauth/callback', { host: 'broker.example.com', port: undefined }],
    ['https://broker.example.com:8443/cb', { port: 8443, path: '/cb' }],
    // Nobody here speaks TLS.
    ['https://localhost:8443/cb', { host: 'localhost', port: 8443 }],
  ])('is read from %s', (text, expected) => {
    expect(readRedirectUri(text)).toMatchObject({ uri: text, isLoopback: false, ...expected });
  });
});

describe('what cannot be a redirect URI', () => {
  it.each([
    ['', 'is no URL'],
    ['callback', 'is no URL'],
    ['127.0.0.1:41234/callback', 'is no URL'],
    ['http:/127.0.0.1:41234/callback', 'is no URL'],
    ['http:127.0.0.1:41234/callback', 'is no URL'],
    ['http:\\\\127.0.0.1:41234\\callback', 'is no URL'],
    ['http://127.0.0.1:41234/call\nback', 'is no URL'],
    ['http://127.0.0.1:41234/callback ', 'is no URL'],
    ['http://127.0.0.1:41234/\u202ecallback', 'is no URL'],
    ['http://127.0.0.1:412345/callback', 'is no URL'],
    ['http://broker.example.com/callback', 'plain http to another machine'],
    ['http://192.168.1.5:41234/callback', 'plain http to another machine'],
    ['http://127.0.0.2:41234/callback', 'plain http to another machine'],
    ['http://localhost.example.com:41234/callback', 'plain http to another machine'],
    ['http://127.0.0.1/callback', 'names no port'],
    ['http://[::1]/callback', 'names no port'],
    ['http://localhost:/callback', 'names no port'],
    ['http://localhost:0/callback', 'names no port'],
    ['http://127.0.0.1:41234/callback#', 'has a fragment'],
    ['https://broker.example.com/cb#x', 'has a fragment'],
    ['http://alice@127.0.0.1:41234/callback', 'holds a user name'],
    ['http://alice:fake@127.0.0.1:41234/callback', 'holds a user name'],
    ['http://@127.0.0.1:41234/callback', 'holds a user name'],
    ['com.example.app:/callback', 'has the scheme "com.example.app"'],
    ['urn:ietf:wg:oauth:2.0:oob', 'has the scheme "urn"'],
    ['javascript:alert(1)', 'has the scheme "javascript"'],
    ['localhost:41234/callback', 'has the scheme "localhost"'],
  ])('is %j', (text, why) => {
    expect(() => readRedirectUri(text)).toThrow(
      expect.objectContaining({
        code: 'usage',
        message: expect.stringContaining(why),
        hint: expect.stringMatching(/./),
      }),
    );
  });

  it('is shown without what could forge a line', () => {
    expect(() => readRedirectUri('http://x/\nerror: \u001b[2J')).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/\p{Cc}/u) }),
    );
  });

  it('is not repeated with its password', () => {
    expect(() => readRedirectUri('http://alice:fake-password@127.0.0.1:41234/callback')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('fake-password') }),
    );
  });
});
