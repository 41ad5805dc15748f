import { describe, expect, it } from 'vitest';
import { changeAnswer } from '../support/changed-answer.ts';
import { expectUsable } from '../support/connected.ts';
import { type Form, namesResource, openMannerWorld, refusal } from '../support/manner-world.ts';
import { connectionRow } from '../support/vault-file.ts';

const { world, broker, start, login, refresh, codes, refreshes, refuse, settings, authMethods } =
  openMannerWorld();

const lacksScope = ({ scope }: Form) => scope === undefined;

describe('a server that refuses the resource', () => {
  it.each(['invalid_target', 'invalid_request'])(
    'with %s at the login is asked without it, then and ever after',
    async (code) => {
      await start();
      refuse('authorization_code', code, namesResource);
      await login();
      expect(codes()).toEqual(['resource', '']);
      expect(settings()).toEqual({ resourceParameter: 'omit' });
      await refresh();
      expect(refreshes()).toEqual(['']);
      await expectUsable(world(), broker());
      const { authorizationUrl } = await login();
      expect(authorizationUrl.searchParams.has('resource')).toBe(false);
      expect(codes()).toEqual(['resource', '', '']);
    },
  );

  it.each([
    ['invalid_target', ['resource', ''], ''],
    ['invalid_request', ['resource', 'resource scope', 'scope'], 'scope'],
  ])('with %s at a refresh is asked without it, then and ever after', async (code, ways, way) => {
    await start();
    await login();
    refuse('refresh_token', code, namesResource);
    await refresh();
    expect(refreshes()).toEqual(ways);
    expect(connectionRow(world().vaultPath)).toMatchObject({ state: 'ok', generation: 2 });
    await refresh();
    expect(refreshes(ways.length)).toEqual([way]);
    await expectUsable(world(), broker());
  });

  it('is asked with it again when a person says so', async () => {
    await start();
    refuse('authorization_code', 'invalid_target', namesResource);
    await login();
    world().authorizationServer.fail(undefined);
    await login({ resourceParameter: 'send' });
    expect(codes()).toEqual(['resource', '', 'resource']);
    expect(settings()).toEqual({});
  });
});

describe('a server that demands the scope of a refresh', () => {
  /** Fails unless the one who refuses with `code` is told the scope at once and by the next refresh. */
  async function expectTold(code: string): Promise<void> {
    await start();
    await login();
    refuse('refresh_token', code, lacksScope);
    await refresh();
    expect(refreshes()).toEqual(['resource', 'resource scope']);
    expect(settings()).toEqual({ refreshScope: 'send' });
    await refresh();
    expect(refreshes(2)).toEqual(['resource scope']);
    await expectUsable(world(), broker());
  }

  it('with invalid_scope is told it, then and ever after', () => expectTold('invalid_scope'));

  it('with invalid_request is told it, and the resource as before', () => expectTold('invalid_request'));

  it('and refuses the resource too, as one does, is asked in three ways', async () => {
    await start();
    await login();
    refuse('refresh_token', 'invalid_request', (form) => namesResource(form) || lacksScope(form));
    await refresh();
    expect(refreshes()).toHaveLength(3);
    expect(settings()).toEqual({ resourceParameter: 'omit', refreshScope: 'send' });
    await refresh();
    expect(refreshes(3)).toEqual(['scope']);
  });

  it('is told the scope that was granted', async () => {
    await start();
    await login();
    refuse('refresh_token', 'invalid_scope', lacksScope);
    await refresh();
    const told = world().authorizationServer.requests.map(({ form, grantType }) => grantType && form?.scope);
    expect(told.filter(Boolean)).toEqual(['mcp:all']);
  });
});

describe('a server that refuses how the client authenticates', () => {
  it('although it gave a secret and said none is shown that secret, then and ever after', async () => {
    await start({
      metadata: (document) => ({
        ...document,
        token_endpoint_auth_methods_supported: ['client_secret_post'],
      }),
    });
    world().authorizationServer.fail((request) =>
      request.path === '/reg'
        ? changeAnswer(request, (body) => ({ ...body, token_endpoint_auth_method: 'none' }))
        : undefined,
    );
    await login();
    expect(codes()).toEqual(['resource', 'resource secret']);
    expect(authMethods()).toEqual(['client_secret_post']);
    await refresh();
    expect(refreshes()).toEqual(['resource secret']);
    await expectUsable(world(), broker());
  });

  it('at a refresh only is asked in the other way, which is remembered', async () => {
    await start({
      metadata: (document) => ({
        ...document,
        token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
      }),
    });
    await login();
    const pair = { access_token: 'next-access', refresh_token: 'next-refresh', expires_in: 3600 };
    world().authorizationServer.fail(({ grantType, form }) =>
      grantType === undefined
        ? undefined
        : form?.client_secret
          ? refusal('invalid_client', 401)
          : { status: 200, body: pair },
    );
    await refresh();
    expect(refreshes()).toEqual(['resource secret', 'resource']);
    expect(authMethods()).toEqual(['client_secret_basic']);
    await refresh();
    expect(refreshes(2)).toEqual(['resource']);
  });
});
