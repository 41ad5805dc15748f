import { hash } from 'node:crypto';
import { inspect } from 'node:util';

/**
 * A value that must not be shown: token, key, client secret, code verifier.
 *
 * However it is printed (string, JSON, `console.log`, a template, an error), only a fingerprint appears.
 * `reveal()` is the one way out, so a search for it finds every place that lets a secret go.
 */
export class Secret {
  readonly #value: string;
  #fingerprint: string | undefined;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself, for the wire or for sealing. */
  reveal(): string {
    return this.#value;
  }

  /** First 12 characters of the base64url SHA-256: the same secret always has the same one. */
  fingerprint(): string {
    this.#fingerprint ??= fingerprint(this.#value);
    return this.#fingerprint;
  }

  toString(): string {
    return `secret:${this.fingerprint()}`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/** First 12 characters of the base64url SHA-256 of `value`: enough to tell secrets apart, useless to guess one. */
export function fingerprint(value: string): string {
  return hash('sha256', value, 'base64url').slice(0, 12);
}
