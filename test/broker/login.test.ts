import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { connectedDemo, expectUsable } from '../support/connected.ts';
import { freePort } from '../support/free-port.ts';
import { startMcpServer } from '../support/mcp-server.ts';
import { signIn } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

async function start(...options: Parameters<typeof startWorld>): Promise<void> {
  world = await startWorld(...options);
  broker = await world.openBroker();
}

const login = (options: Parameters<typeof signIn>[3] = {}) =>
  signIn(broker, world.authorizationServer, world.mcp.url, options);

const tokenRequests = (grantType: string) =>
  world.authorizationServer.requests.filter((request) => request.grantType === grantType);

const registrations = () =>
  world.authorizationServer.requests.filter(({ path, method }) => path === '/reg' && method === 'POST');

afterEach(() => world.close());

describe('a first login', () => {
  beforeEach(() => start());

  it('tells each step and stores a connection that hands out tokens', async () => {
    const { connected, events, authorizationUrl, page } = await login();
    expect(events).toMatchObject([
      { event: 'discovered', issuer: world.authorizationServer.issuer, resource: world.mcp.url },
      {
        event: 'registered',
        source: 'registered',
        client_id: authorizationUrl.searchParams.get('client_id'),
      },
      { event: 'authorization_url', redirect_uri: authorizationUrl.searchParams.get('redirect_uri') },
      connected,
    ]);
    expect(connected).toEqual(connectedDemo(world));
    expect(page).toContain('demo is connected');
    await expectUsable(world, broker);
  });

  it('uses PKCE with S256, a fresh state, and a loopback redirect that it registered', async () => {
    const { authorizationUrl } = await login();
    const { searchParams } = authorizationUrl;
    expect(searchParams.get('response_type')).toBe('code');
    expect(searchParams.get('code_challenge_method')).toBe('S256');
    expect(searchParams.get('code_challenge')).toMatch(/^[\w-]{43}$/);
    expect(searchParams.get('state')).toMatch(/^[\w-]{20,}$/);
    const redirectUri = searchParams.get('redirect_uri') as string;
    expect(redirectUri).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/);
    expect(registrations()).toHaveLength(1);
    expect(registrations()[0]?.json).toMatchObject({
      redirect_uris: [redirectUri],
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
    });
  });

  it('forgets the login in flight and records it in the audit trail', async () => {
    await login();
    expect(rowsOf(world.vaultPath, 'SELECT * FROM logins')).toEqual([]);
    expect(rowsOf(world.vaultPath, 'SELECT actor, action, connection, outcome FROM audit')).toEqual([
      { actor: 'operator', action: 'login', connection: 'demo', outcome: 'ok' },
    ]);
  });

  it('takes a client the operator configured, and registers none', async () => {
    await world.close();
    const callbackPort = await freePort();
    const client = {
      client_id: 'configured-client',
      redirect_uris: [`http://127.0.0.1:${callbackPort}/callback`],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    } as const;
    await start({ authorizationServer: { clients: [client], openRegistration: false } });
    const { events } = await login({ clientId: 'configured-client', callbackPort });
    expect(events[1]).toEqual({ event: 'registered', client_id: 'configured-client', source: 'configured' });
    expect(registrations()).toEqual([]);
  });
});

describe('the scope a login asks for', () => {
  const scopeOf = ({ authorizationUrl }: { authorizationUrl: URL }) =>
    authorizationUrl.searchParams.get('scope');

  it('is what the challenge demands, with offline_access where the server offers it', async () => {
    await start();
    const { authorizationUrl } = await login();
    expect(scopeOf({ authorizationUrl })).toBe('mcp:all offline_access');
    expect(authorizationUrl.searchParams.get('prompt')).toBe('consent');
  });

  it('has no offline_access and no prompt where the server does not offer it', async () => {
    const metadata = (document: Record<string, unknown>) => ({ ...document, scopes_supported: ['mcp:all'] });
    await start({ authorizationServer: { metadata, alwaysIssueRefreshToken: true } });
    const { authorizationUrl, connected } = await login();
    expect(scopeOf({ authorizationUrl })).toBe('mcp:all');
    expect(authorizationUrl.searchParams.has('prompt')).toBe(false);
    expect(connected.refresh_token).toBe(true);
  });

  it('is what the metadata lists where the challenge demands none', async () => {
    await start({ mcp: { challenge: 'bare', scope: '', scopesSupported: ['mcp:read', 'mcp:write'] } });
    world.authorizationServer.allowResource(world.mcp.url, 'mcp:read mcp:write');
    expect(scopeOf(await login())).toBe('mcp:read mcp:write offline_access');
  });

  it('is what the operator chose, before all else', async () => {
    await start({ mcp: { scope: 'mcp:read' } });
    world.authorizationServer.allowResource(world.mcp.url, 'mcp:read mcp:write');
    const { authorizationUrl, connected } = await login({ scopes: ['mcp:read', 'mcp:write'] });
    expect(scopeOf({ authorizationUrl })).toBe('mcp:read mcp:write offline_access');
    expect(connected.scope).toBe('mcp:read mcp:write');
  });

  it('is left out where nobody names one', async () => {
    const metadata = ({ scopes_supported: _, ...document }: Record<string, unknown>) => document;
    await start({
      authorizationServer: { metadata, alwaysIssueRefreshToken: true },
      mcp: { challenge: 'bare', scope: '', scopesSupported: [] },
    });
    world.authorizationServer.allowResource(world.mcp.url, 'mcp:all');
    expect(scopeOf(await login())).toBeNull();
  });

  it('is reported honestly when the server gives no refresh token', async () => {
    const metadata = (document: Record<string, unknown>) => ({ ...document, scopes_supported: ['mcp:all'] });
    await start({ authorizationServer: { metadata } });
    expect((await login()).connected.refresh_token).toBe(false);
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ refresh_token: false, state: 'ok' });
  });
});

describe('the resource (RFC 8707)', () => {
  it('is sent as the metadata spells it, when asking, redeeming and refreshing', async () => {
    await start();
    // The same place in other letters: a rebuilt URL would lose the upper case.
    const spelled = world.mcp.url.replace('http://127.0.0.1', 'HTTP://127.0.0.1');
    await world.mcp.close();
    const port = Number(new URL(spelled).port);
    const { authorizationServer } = world;
    world.mcp = await startMcpServer({ authorizationServer, port, resourceOverride: spelled });
    const { authorizationUrl, connected } = await login();
    expect(connected.resource).toBe(spelled);
    expect(authorizationUrl.searchParams.getAll('resource')).toEqual([spelled]);
    expect(tokenRequests('authorization_code')[0]?.form?.resource).toBe(spelled);
    await broker.refresh(OPERATOR, 'demo');
    expect(tokenRequests('refresh_token')[0]?.form?.resource).toBe(spelled);
  });
});

describe('whom the login belongs to', () => {
  it('is read from the id_token where there is one', async () => {
    await start();
    const { connected } = await login({ scopes: ['openid', 'email', 'mcp:all'], person: 'carol' });
    expect(connected.account).toMatch(/^carol/);
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ account: connected.account });
  });

  it('keeps two accounts of one server apart', async () => {
    await start();
    await login({ account: 'alice', person: 'alice' });
    await login({ account: 'bob', person: 'bob' });
    const names = (await broker.list(OPERATOR)).map(({ name }) => name);
    expect(names).toEqual(['demo@alice', 'demo@bob']);
    for (const person of ['alice', 'bob']) {
      const { accessToken } = await broker.token(OPERATOR, `demo@${person}`);
      expect(await world.authorizationServer.tokenIsActive(accessToken.reveal())).toMatchObject({
        sub: person,
      });
    }
    expect(connectionRow(world.vaultPath, 'demo@bob').generation).toBe(1);
  });
});
