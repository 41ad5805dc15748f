import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { fingerprint, Secret } from '../src/secret.ts';

const VALUE = 'fake-refresh-token';
const secret = new Secret(VALUE);

describe('a secret', () => {
  it('gives its value to those who ask for it by name', () => {
    expect(secret.reveal()).toBe(VALUE);
  });

  it.each<[string, () => string]>([
    ['in a template', () => `${secret}`],
    ['added to a text', () => `x${String(secret)}`],
    ['joined', () => [secret].join()],
    ['in JSON', () => JSON.stringify({ nested: { secret } })],
    ['by console.log', () => inspect({ nested: [secret] }, { depth: 9, showHidden: true })],
    ['in an error', () => inspect(new Error(`bad token ${secret}`))],
    ['by its own properties', () => JSON.stringify(Object.entries(secret))],
    ['copied', () => JSON.stringify({ ...secret })],
  ])('shows no value %s', (_, show) => {
    expect(show()).not.toContain(VALUE);
  });

  it('shows a fingerprint instead', () => {
    expect(`${secret}`).toBe(`secret:${fingerprint(VALUE)}`);
    expect(JSON.stringify(secret)).toBe(`"secret:${secret.fingerprint()}"`);
  });

  it('cannot be cloned out of its wrapping', () => {
    expect(inspect(structuredClone(secret))).not.toContain(VALUE);
  });
});

describe('a fingerprint', () => {
  it('is short, and the same for the same value only', () => {
    expect(fingerprint(VALUE)).toMatch(/^[\w-]{12}$/);
    expect(new Secret(VALUE).fingerprint()).toBe(secret.fingerprint());
    expect(fingerprint(`${VALUE}x`)).not.toBe(fingerprint(VALUE));
  });
});
