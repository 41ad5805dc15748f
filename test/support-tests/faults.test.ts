import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts';
import { refresh, type SignIn, signIn } from './oauth-client.ts';

let server: AuthorizationServer;
let login: SignIn;

beforeEach(async () => {
  server = await startAuthorizationServer();
  login = await signIn(server);
});

afterEach(() => server.close());

const isRefresh = ({ grantType }: { grantType?: string }) => grantType === 'refresh_token';

describe('a fault of the authorization server', () => {
  it('destroyBefore loses the request: the old refresh token still works', async () => {
    server.fail((request) => (isRefresh(request) ? { destroyBefore: true } : undefined));
    await expect(refresh(login, login.tokens.refresh_token)).rejects.toThrow('fetch failed');
    expect(server.requests.at(-1)).toMatchObject({ grantType: 'refresh_token', status: 0 });
    server.fail(undefined);
    await refresh(login, login.tokens.refresh_token);
    expect(server.refreshes()).toBe(1);
  });

  it('destroyAfter loses only the answer: the old refresh token is spent', async () => {
    server.fail((request) => (isRefresh(request) ? { destroyAfter: true } : undefined));
    await expect(refresh(login, login.tokens.refresh_token)).rejects.toThrow('fetch failed');
    expect(server.refreshes()).toBe(1);
    server.fail(undefined);
    await expect(refresh(login, login.tokens.refresh_token)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
  });

  it('status answers instead of the server', async () => {
    const body = { error: 'temporarily_unavailable' };
    server.fail((request) =>
      isRefresh(request) ? { status: 400, headers: { 'retry-after': '7' }, body } : undefined,
    );
    await expect(refresh(login, login.tokens.refresh_token)).rejects.toMatchObject(body);
    server.fail(undefined);
    await refresh(login, login.tokens.refresh_token);
    expect(server.refreshes()).toBe(1);
  });

  it('status afterProcessing replaces the answer of a refresh that happened', async () => {
    const badGateway = { status: 502, body: '<h1>Bad Gateway</h1>', afterProcessing: true };
    server.fail((request) => (isRefresh(request) ? badGateway : undefined));
    const cause = { status: 502 };
    await expect(refresh(login, login.tokens.refresh_token)).rejects.toMatchObject({ cause });
    expect(server.refreshes()).toBe(1);
  });

  it('instead answers for a server that never sees the request', async () => {
    server.fail((request) =>
      isRefresh(request) ? { instead: async (response) => void response.writeHead(418).end() } : undefined,
    );
    const cause = { status: 418 };
    await expect(refresh(login, login.tokens.refresh_token)).rejects.toMatchObject({ cause });
    expect(server.requests.at(-1)).toMatchObject({ grantType: 'refresh_token', status: 0 });
    expect(await server.refreshTokenIsActive(login.tokens.refresh_token ?? '')).toBe(true);
  });

  it('instead has the decision of the server before anything of it is sent', async () => {
    const token = login.tokens.refresh_token ?? '';
    let before: unknown;
    server.fail((request) =>
      isRefresh(request)
        ? {
            async instead(response, decide) {
              const send = await decide();
              const names = response.getHeaderNames();
              before = [
                request.status,
                names,
                response.headersSent,
                await server.refreshTokenIsActive(token),
              ];
              send();
            },
          }
        : undefined,
    );
    const { refresh_token } = await refresh(login, token);
    expect(before).toEqual([200, [], false, false]);
    expect(server.requests.at(-1)).toMatchObject({ answer: { refresh_token } });
    expect(await server.refreshTokenIsActive(refresh_token ?? '')).toBe(true);
  });

  it('a pending rule holds the request back until the test lets it go', async () => {
    const gate = Promise.withResolvers<undefined>();
    const arrived = Promise.withResolvers<void>();
    server.fail((request) => {
      if (!isRefresh(request)) return undefined;
      arrived.resolve();
      return gate.promise;
    });
    const refreshed = refresh(login, login.tokens.refresh_token);
    await arrived.promise;
    expect(server.refreshes()).toBe(0);
    gate.resolve(undefined);
    await refreshed;
    expect(server.refreshes()).toBe(1);
  });

  it('lets one of several refreshes at the same moment win, and revokes what it won', async () => {
    const together = Promise.withResolvers<undefined>();
    let held = 0;
    server.fail((request) => {
      if (!isRefresh(request)) return undefined;
      held += 1;
      if (held === 3) together.resolve(undefined);
      return together.promise;
    });
    const token = login.tokens.refresh_token;
    const results = await Promise.allSettled([1, 2, 3].map(() => refresh(login, token)));
    const won = results.filter((result) => result.status === 'fulfilled');
    expect(won).toHaveLength(1);
    const error = 'invalid_grant';
    await expect(refresh(login, won[0]?.value.refresh_token)).rejects.toMatchObject({ error });
  });

  it('survives a caller that hangs up', async () => {
    const gate = Promise.withResolvers<undefined>();
    const arrived = Promise.withResolvers<void>();
    server.fail(() => {
      arrived.resolve();
      return gate.promise;
    });
    const caller = new AbortController();
    const abandoned = fetch(`${server.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'not-a-token' }),
      signal: caller.signal,
    });
    await arrived.promise;
    caller.abort(new Error('hung up'));
    await expect(abandoned).rejects.toThrow('hung up');
    gate.resolve(undefined);
    server.fail(undefined);
    await refresh(login, login.tokens.refresh_token);
    expect(server.refreshes()).toBe(1);
  });
});

describe('a mistake in a rule', () => {
  it('comes to light when the server is closed', async () => {
    const other = await startAuthorizationServer();
    other.fail(() => {
      throw new Error('the rule is wrong');
    });
    await expect(fetch(other.issuer)).rejects.toThrow('fetch failed');
    await expect(other.close()).rejects.toMatchObject({ errors: [new Error('the rule is wrong')] });
  });
});
