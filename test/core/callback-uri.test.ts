import { describe, expect, it } from 'vitest';
import { callbackUriAmong, callbackUriAt } from '../../src/core/callback-uri.ts';

describe('the redirect URI of a daemon', () => {
  it.each([
    ['https://broker.example.com', 'https://broker.example.com/oauth/callback'],
    ['https://broker.example.com/', 'https://broker.example.com/oauth/callback'],
    ['https://broker.example.com:8443/base//', 'https://broker.example.com:8443/base/oauth/callback'],
    ['HTTPS://Broker.Example.Com', 'https://broker.example.com/oauth/callback'],
    ['http://127.0.0.1:8787', 'http://127.0.0.1:8787/oauth/callback'],
    ['http://localhost:8787', 'http://localhost:8787/oauth/callback'],
    ['http://[::1]:8787', 'http://[::1]:8787/oauth/callback'],
  ])('at %s is %s', (base, expected) => {
    expect(callbackUriAt(base)).toBe(expected);
  });

  it.each([
    'http://broker.example.com',
    'http://127.0.0.1.example.com:8787',
    'http://10.0.0.1:8787',
    'ftp://127.0.0.1',
    'https://user@broker.example.com',
    'https://broker.example.com/?a=b',
    'https://broker.example.com/#top',
    'unix:/run/broker.sock',
    'broker.example.com',
    '',
  ])('is nowhere at %j', (base) => {
    expect(callbackUriAt(base)).toBeUndefined();
  });
});

describe('without a public URL', () => {
  it.each<[string[], string | undefined]>([
    [['unix:/run/broker.sock', 'http://127.0.0.1:8787'], 'http://127.0.0.1:8787/oauth/callback'],
    [['https://10.0.0.1:8443', 'https://localhost:9000'], 'https://localhost:9000/oauth/callback'],
    [['http://[::1]:8787', 'http://127.0.0.1:8787'], 'http://[::1]:8787/oauth/callback'],
    [['https://0.0.0.0:8443', 'unix:/run/broker.sock'], undefined],
    [[], undefined],
  ])('it is the first place on loopback of %j: %s', (listening, expected) => {
    expect(callbackUriAmong(listening)).toBe(expected);
  });
});
