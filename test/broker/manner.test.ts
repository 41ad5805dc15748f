import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { AuthorizationServerOptions } from '../support/authorization-server.ts';
import { changeAnswer } from '../support/changed-answer.ts';
import type { Fault } from '../support/fault.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { type SignInOptions, signIn } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

afterEach(() => world.close());

/** A server that stays with the resource of the login, whether a request names it or not. */
async function start(options: AuthorizationServerOptions = {}): Promise<void> {
  world = await startWorld({ authorizationServer: { useGrantedResource: true, ...options } });
  broker = await world.openBroker();
}

const login = (options: SignInOptions = {}) =>
  signIn(broker, world.authorizationServer, world.mcp.url, options);
const refresh = () => broker.refresh(OPERATOR, 'demo');

type Form = Record<string, string>;

/** Token requests since `from`, as `resource`, `scope` and `secret` where they were named. */
const asked = (grantType: string, from = 0) =>
  world.authorizationServer.requests
    .filter((request) => request.grantType === grantType)
    .slice(from)
    .map(({ form = {} }) => manner(form));
const manner = ({ resource, scope, client_secret }: Form) =>
  [resource && 'resource', scope && 'scope', client_secret && 'secret'].filter(Boolean).join(' ');
const codes = () => asked('authorization_code');
const refreshes = (from = 0) => asked('refresh_token', from);

const error = (code: string, status = 400): Fault => ({ status, body: { error: code } });

/** Refuses token requests of this kind with `code`, when they look so. */
function refuse(grantType: string, code: string, isRefused: (form: Form) => boolean = () => true): void {
  world.authorizationServer.fail((request: RecordedRequest) =>
    request.grantType === grantType && isRefused(request.form ?? {}) ? error(code) : undefined,
  );
}

/** What is remembered about the server, but for its network. */
const settings = () => {
  const [row] = rowsOf<{ settings: string }>(world.vaultPath, 'SELECT settings FROM servers');
  const { network: _, ...others } = JSON.parse(row?.settings ?? '{}');
  return others;
};
const authMethods = () =>
  rowsOf<{ auth_method: string }>(world.vaultPath, 'SELECT auth_method FROM clients').map(
    ({ auth_method }) => auth_method,
  );

/** Whether the token at hand is one for the MCP server. */
const expectUsable = async () => {
  const { accessToken } = await broker.token(OPERATOR, 'demo');
  expect(await world.authorizationServer.tokenIsActive(accessToken.reveal())).toMatchObject({
    active: true,
    aud: world.mcp.url,
  });
};

const namesResource = ({ resource }: Form) => resource !== undefined;
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
      await expectUsable();
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
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 2 });
    await refresh();
    expect(refreshes(ways.length)).toEqual([way]);
    await expectUsable();
  });

  it('is asked with it again when a person says so', async () => {
    await start();
    refuse('authorization_code', 'invalid_target', namesResource);
    await login();
    world.authorizationServer.fail(undefined);
    await login({ resourceParameter: 'send' });
    expect(codes()).toEqual(['resource', '', 'resource']);
    expect(settings()).toEqual({});
  });
});

describe('a server that demands the scope of a refresh', () => {
  it('with invalid_scope is told it, then and ever after', async () => {
    await start();
    await login();
    refuse('refresh_token', 'invalid_scope', lacksScope);
    await refresh();
    expect(refreshes()).toEqual(['resource', 'resource scope']);
    expect(settings()).toEqual({ refreshScope: 'send' });
    await refresh();
    expect(refreshes(2)).toEqual(['resource scope']);
    await expectUsable();
  });

  it('with invalid_request is told it, and the resource as before', async () => {
    await start();
    await login();
    refuse('refresh_token', 'invalid_request', lacksScope);
    await refresh();
    expect(refreshes()).toEqual(['resource', 'resource scope']);
    expect(settings()).toEqual({ refreshScope: 'send' });
    await refresh();
    expect(refreshes(2)).toEqual(['resource scope']);
    await expectUsable();
  });

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
    const told = world.authorizationServer.requests.map(({ form, grantType }) => grantType && form?.scope);
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
    world.authorizationServer.fail((request) =>
      request.path === '/reg'
        ? changeAnswer(request, (body) => ({ ...body, token_endpoint_auth_method: 'none' }))
        : undefined,
    );
    await login();
    expect(codes()).toEqual(['resource', 'resource secret']);
    expect(authMethods()).toEqual(['client_secret_post']);
    await refresh();
    expect(refreshes()).toEqual(['resource secret']);
    await expectUsable();
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
    world.authorizationServer.fail(({ grantType, form }) =>
      grantType === undefined
        ? undefined
        : form?.client_secret
          ? error('invalid_client', 401)
          : { status: 200, body: pair },
    );
    await refresh();
    expect(refreshes()).toEqual(['resource secret', 'resource']);
    expect(authMethods()).toEqual(['client_secret_basic']);
    await refresh();
    expect(refreshes(2)).toEqual(['resource']);
  });
});
