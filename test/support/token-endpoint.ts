/** `POST /oauth/token` of a daemon in this process, as a simple OAuth client calls it. */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { startTestDaemon, type TestDaemon } from './daemon.ts';
import { type CallAnswer, call } from './http-call.ts';

export const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
export const GRANT = 'grant_type=client_credentials';

export interface TokenEndpoint {
  daemon(): TestDaemon;
  /** Key of `stock-bot`, which may use `demo` alone. */
  key(): string;
  /** Sends a form, by default in the name of `stock-bot`. */
  post(body: string, headers?: Record<string, string>, path?: string): Promise<CallAnswer>;
  /** The Basic header of `stock-bot`. */
  own(): Record<string, string>;
  /** Fails unless the answer is this one of RFC 6749 §5.2, and keeps what every refusal promises. */
  expectRefusal(answer: CallAnswer, status: number, error: string): void;
}

/** A Basic header as it comes: nothing is encoded. */
export const basic = (name: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`,
});

/** For one test file, or one `describe`. Each test has a daemon of its own, or all of them one. */
export function openTokenEndpoint(sharing: 'own' | 'shared' = 'own'): TokenEndpoint {
  let daemon: TestDaemon;
  let key: string;
  const own = () => basic('stock-bot', key);

  const [before, after] = sharing === 'own' ? [beforeEach, afterEach] : [beforeAll, afterAll];
  before(async () => {
    daemon = await startTestDaemon();
    key = await daemon.addAgent({ name: 'stock-bot' });
  });
  after(() => daemon.close());

  return {
    daemon: () => daemon,
    key: () => key,
    post: (body, headers = own(), path = '/oauth/token') =>
      call(`${daemon.url}${path}`, { method: 'POST', body, headers: { ...FORM, ...headers } }),
    own,
    expectRefusal({ status, headers, json, text }, ...expected) {
      expect([status, json.error]).toEqual(expected);
      expect(Object.keys(json)).toEqual(['error', 'error_description']);
      expect(json.error_description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
      expect(headers['content-type']).toMatch(/^application\/json/);
      expect(headers['cache-control']).toBe('no-store');
      expect(text).not.toContain(key);
    },
  };
}
