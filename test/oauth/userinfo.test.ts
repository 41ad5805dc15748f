import { afterEach, describe, expect, it } from 'vitest';
import { createFetch } from '../../src/oauth/http.ts';
import { askUserinfo, type Userinfo } from '../../src/oauth/userinfo.ts';
import { Secret } from '../../src/secret.ts';
import { fetch } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

let raw: RawServer | undefined;

afterEach(async () => {
  await raw?.close();
  raw = undefined;
});

const TOKEN = 'fake-access-token-of-the-tests';

async function ask(answer: RawAnswer, subject?: string): Promise<Userinfo> {
  const server = await startRawServer(() => answer);
  raw = server;
  return askUserinfo({ endpoint: `${server.url}/me`, accessToken: new Secret(TOKEN), subject, fetch });
}

const answered = (body: object | string) => ({ status: 200, body });

describe('asking who somebody is (OpenID Connect Core §5.3)', () => {
  it('shows the access token as Bearer, once', async () => {
    const claims = { sub: '7', email: 'alice@example.com' };
    expect(await ask(answered(claims))).toEqual({ accountIdentity: 'alice@example.com' });
    expect(raw?.requests.map(({ method, path, headers }) => [method, path, headers.authorization])).toEqual([
      ['GET', '/me', `Bearer ${TOKEN}`],
    ]);
  });

  it('takes the sub where there is no name', async () => {
    expect(await ask(answered({ sub: '7' }), '7')).toEqual({ accountIdentity: '7' });
  });

  it.each<[string, RawAnswer, RegExp]>([
    [
      'another sub',
      answered({ sub: '8', email: 'mallory@example.com' }),
      /^it answered for somebody else \("8", not "7"\)$/,
    ],
    ['no sub', answered({ email: 'alice@example.com' }), /without saying who it is \(sub\)$/],
    [
      'a signed answer',
      { status: 200, headers: { 'content-type': 'application/jwt' }, body: 'fake.signed.answer' },
      /without saying who it is/,
    ],
    ['a refusal', { status: 401, body: { error: 'invalid_token' } }, /^it answered 401 invalid_token$/],
    ['a redirect', { status: 302, headers: { location: '/elsewhere' } }, /^it answered 302$/],
    ['a reset', 'reset', /cannot be reached/],
  ])('uses nothing of %s, and says why without the token', async (_, answer, reason) => {
    const told = await ask(answer, '7');
    expect(told).toEqual({ reason: expect.stringMatching(reason) });
    expect(JSON.stringify(told)).not.toContain(TOKEN);
    expect(raw?.requests).toHaveLength(1);
  });

  it.each(['http://as.example.com/me', 'https://a:b@as.example.com/me', '/me', 7, ''])(
    'calls nobody at %j',
    async (endpoint) => {
      const calls: string[] = [];
      const watched = async (url: string) => {
        calls.push(url);
        return new Response('{}');
      };
      const request = { endpoint, accessToken: new Secret(TOKEN), subject: undefined };
      expect(await askUserinfo({ ...request, fetch: watched })).toMatchObject({ reason: expect.any(String) });
      expect(calls).toEqual([]);
    },
  );

  it('goes into no private network for a server on a public address', async () => {
    const server = await startRawServer(() => answered({ sub: '7' }));
    raw = server;
    const proxy = { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined };
    const guarded = createFetch({ proxy, caFile: undefined, network: 'public' });
    const request = { endpoint: `${server.url}/me`, accessToken: new Secret(TOKEN), subject: undefined };
    expect(await askUserinfo({ ...request, fetch: guarded })).toMatchObject({ reason: expect.any(String) });
    expect(server.requests).toEqual([]);
  });
});
