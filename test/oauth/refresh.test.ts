import { afterEach, describe, expect, it } from 'vitest';
import { judgeRefresh } from '../../src/core/verdict.ts';
import { clientAuth } from '../../src/oauth/client-auth.ts';
import { presentRefreshToken, type RefreshRequest } from '../../src/oauth/refresh.ts';
import { Secret } from '../../src/secret.ts';
import { fakeRefresh } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

let raw: RawServer | undefined;

afterEach(() => raw?.close());

const PAIR: RawAnswer = {
  status: 200,
  body: { access_token: 'fake-access', refresh_token: 'fake-next', token_type: 'Bearer' },
};

/** Presents `fake-refresh` to a server that gives this answer. */
async function present(answer: RawAnswer, changes: Partial<RefreshRequest> = {}) {
  raw = await startRawServer(() => answer);
  return presentRefreshToken(fakeRefresh(raw.url, changes));
}

const form = () => Object.fromEntries(new URLSearchParams(raw?.requests[0]?.body));

describe('presenting a refresh token (RFC 6749 §6, RFC 8707 §2.2)', () => {
  it('is one form with the token, the client and the exact resource', async () => {
    await present(PAIR, { resource: 'https://MCP.example.com' });
    expect(form()).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'fake-refresh',
      client_id: 'fake-client',
      resource: 'https://MCP.example.com',
    });
    expect(raw?.requests).toHaveLength(1);
    expect(raw?.requests[0]).toMatchObject({ method: 'POST', path: '/token' });
    expect(raw?.requests[0]?.headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/);
  });

  it('repeats the scope where it is told to, and leaves out the resource where there is none', async () => {
    await present(PAIR, { resource: undefined, scope: 'mcp:read mcp:write' });
    expect(form()).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'fake-refresh',
      client_id: 'fake-client',
      scope: 'mcp:read mcp:write',
    });
  });

  it('leaves out a scope that is undefined', async () => {
    await present(PAIR, { scope: undefined });
    expect(form()).not.toHaveProperty('scope');
  });

  it.each(['client_secret_post', 'client_secret_basic'])(
    'proves the client in one place only with %s',
    async (authMethod) => {
      const clientSecret = new Secret('fake-secret');
      await present(PAIR, { auth: clientAuth({ clientId: 'fake-client', authMethod, clientSecret }) });
      const inHeader = raw?.requests[0]?.headers.authorization !== undefined;
      const inBody = 'client_secret' in form();
      expect([inHeader, inBody]).toEqual([
        authMethod === 'client_secret_basic',
        authMethod === 'client_secret_post',
      ]);
    },
  );

  it.each([
    ['an odd token type', { access_token: 'fake-access', refresh_token: 'fake-next', token_type: 'odd' }],
    ['no token type', { access_token: 'fake-access', refresh_token: 'fake-next' }],
    [
      'an expires_in that is rubbish',
      { access_token: 'fake-access', refresh_token: 'fake-next', expires_in: 'soon' },
    ],
    ['a scope that is a list', { access_token: 'fake-access', refresh_token: 'fake-next', scope: ['a'] }],
    [
      'an ID token that is rubbish',
      { access_token: 'fake-access', refresh_token: 'fake-next', id_token: 'x' },
    ],
  ])('never loses an answered pair with %s', async (_, body) => {
    expect(await present({ status: 200, body })).toMatchObject({ kind: 'answer', body });
  });

  it('never loses an answered pair that came with 201', async () => {
    const answer = await present({
      status: 201,
      body: { access_token: 'fake-access', refresh_token: 'fake-next' },
    });
    expect(judgeRefresh(answer).verdict).toBe('success');
  });

  it('reads an OAuth error that comes together with a challenge', async () => {
    const headers = { 'www-authenticate': 'Basic realm="x", error="invalid_client"' };
    const answer = await present({ status: 401, headers, body: { error: 'invalid_grant' } });
    expect(judgeRefresh(answer)).toEqual({ verdict: 'final', code: 'invalid_grant' });
  });

  it.each<[string, RawAnswer, string]>([
    ['a reset', 'reset', 'unknown'],
    ['a page of a firewall', { status: 403, body: '<h1>Blocked</h1>' }, 'unknown'],
    ['a redirect to a login page', { status: 302, headers: { location: '/login' } }, 'unknown'],
    ['429', { status: 429, headers: { 'retry-after': '60' } }, 'not_processed'],
    ['an unknown client', { status: 401, body: { error: 'invalid_client' } }, 'client_invalid'],
  ])('does not throw for %s', async (_, answer, verdict) => {
    expect(judgeRefresh(await present(answer)).verdict).toBe(verdict);
  });
});
