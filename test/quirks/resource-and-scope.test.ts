/** Servers that are particular about `resource` (RFC 8707) and scope. */
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { auditTrail, connectionRow, journal } from '../support/vault-file.ts';
import type { Oddities } from './odd-server.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: OddWorld;

async function start(oddities?: Oddities): Promise<void> {
  world = await startOddWorld(oddities);
}

afterEach(() => world.close());

const refresh = () => world.broker.refresh(OPERATOR, 'demo');

/** `resource` of each token request, in order. */
const resources = (grantType?: string) =>
  world.server.tokenRequests(grantType).map(({ form }) => form.get('resource'));

const refusal = (error: string) => ({ status: 400, body: { error } });

describe('the resource', () => {
  it.each([
    ['an origin without a slash', (url: string) => url],
    ['an origin with a slash', (url: string) => `${url}/`],
    ['a slash at the end', (url: string) => `${url}/mcp/`],
    ['letters in upper case', (url: string) => `${url.replace('http', 'HTTP')}/mcp`],
    ['a port that could be left out of no URL', (url: string) => `${url}/mcp?`],
  ])('is the same string when asking, redeeming and refreshing: %s', async (_, spelled) => {
    await start({ resource: (document, url) => ({ ...document, resource: spelled(url) }) });
    const resource = spelled(world.server.url);
    const { asked, connected } = await world.signIn();
    await refresh();
    await (await world.openBroker()).refresh(OPERATOR, 'demo');
    expect(asked.getAll('resource')).toEqual([resource]);
    expect(resources()).toEqual([resource, resource, resource]);
    expect(connected.resource).toBe(resource);
    expect((await world.broker.token(OPERATOR, 'demo')).resource).toBe(resource);
  });

  it('that is refused at a refresh is left out once more, and from then on', async () => {
    await start({ token: refusing('invalid_target', 'refresh_token'), knowsResource: true });
    await world.signIn();
    await refresh();
    await refresh();
    expect(resources('refresh_token')).toEqual([world.server.mcp, null, null]);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 3 });
    expect(journal(world.vaultPath).map(({ outcome }) => outcome)).toContain('success');
    expect(await world.broker.show(OPERATOR, 'demo')).toMatchObject({ resource_parameter: 'omit' });
  });

  it('that is refused when the code is redeemed is left out once more, and from then on', async () => {
    await start({ token: refusing('invalid_request'), knowsResource: true });
    await world.signIn();
    await refresh();
    expect(resources()).toEqual([world.server.mcp, null, null]);
  });

  it('is named nowhere where an operator says so, also at the next login', async () => {
    await start({ token: refusing('invalid_target'), knowsResource: true });
    const { asked } = await world.signIn({ resourceParameter: 'omit' });
    await refresh();
    const { asked: again } = await world.signIn();
    expect([asked.has('resource'), again.has('resource')]).toEqual([false, false]);
    expect(resources()).toEqual([null, null, null]);
  });

  function refusing(error: string, grantType?: string): NonNullable<Oddities['token']> {
    return (form) => {
      const isMeant = grantType === undefined || form.get('grant_type') === grantType;
      return isMeant && form.has('resource') ? refusal(error) : undefined;
    };
  }
});

describe('the scope', () => {
  it('of the challenge is asked for as it is, whatever the metadata lists, and no other is invented', async () => {
    await start({
      challenge: () => 'Bearer scope="files:write admin"',
      resource: (document) => ({ ...document, scopes_supported: ['files', 'openid', 'profile'] }),
      metadata: (document) => ({ ...document, scopes_supported: ['openid', 'profile', 'email', 'files'] }),
    });
    expect((await world.signIn()).asked.get('scope')).toBe('files:write admin');
  });

  it('has no OpenID scopes where nobody names them: it is left out', async () => {
    await start({
      resource: ({ scopes_supported: _, ...rest }) => rest,
      metadata: (document) => ({ ...document, scopes_supported: ['openid', 'profile'] }),
    });
    expect((await world.signIn()).asked.has('scope')).toBe(false);
  });

  it('without offline_access says nothing of the refresh token: nobody is warned of one that came', async () => {
    await start();
    const { asked, connected, notices } = await world.signIn();
    expect(asked.get('scope')).toBe('mcp:all');
    expect(connected.refresh_token).toBe(true);
    expect(notices).toEqual([]);
    expect((await world.broker.token(OPERATOR, 'demo')).warnings).toEqual([]);
  });

  it('is repeated at a refresh where the server demands it, and from then on', async () => {
    await start({
      token: (form) =>
        form.get('grant_type') === 'refresh_token' && !form.has('scope')
          ? refusal('invalid_scope')
          : undefined,
    });
    await world.signIn();
    await refresh();
    await refresh();
    const scopes = world.server.tokenRequests('refresh_token').map(({ form }) => form.get('scope'));
    expect(scopes).toEqual([null, 'mcp:all', 'mcp:all']);
  });

  it('is repeated at a refresh from the first on where an operator says so', async () => {
    await start();
    await world.signIn({ refreshScope: 'send' });
    await refresh();
    expect(world.server.tokenRequests('refresh_token').map(({ form }) => form.get('scope'))).toEqual([
      'mcp:all',
    ]);
  });
});

describe('a server that wants more rights', () => {
  const insufficient = 'Bearer error="insufficient_scope", scope="mcp:write"';
  const wantMore = (wwwAuthenticate: string, status = 403) =>
    world.broker.stepUp(OPERATOR, 'demo', { status, wwwAuthenticate });

  it('is answered by the command for a login with all that was granted and what it wants, on record', async () => {
    await start();
    await world.signIn();
    expect(await wantMore(insufficient)).toEqual({
      scopes: ['mcp:all', 'mcp:write'],
      nextStep: "broker login demo --scope 'mcp:all mcp:write'",
    });
    expect(auditTrail(world.vaultPath)).toContainEqual({
      actor: 'operator',
      action: 'step_up',
      outcome: 'login_needed',
    });
  });

  it('is asked for nothing by itself: no refresh, no request, however often it says so', async () => {
    await start();
    await world.signIn();
    const before = world.server.requests.length;
    for (let time = 0; time < 5; time += 1) await wantMore(insufficient);
    expect(world.server.requests.length).toBe(before);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 1 });
  });

  it.each([
    ['scopes that were granted already', 'Bearer error="insufficient_scope", scope="mcp:all"', 403],
    ['no scope', 'Bearer error="insufficient_scope"', 403],
    ['another error', 'Bearer error="invalid_token", scope="mcp:write"', 401],
  ])('but names %s is not helped by a login', async (_, challenge, status) => {
    await start();
    await world.signIn();
    expect(await wantMore(challenge, status)).toBeUndefined();
  });
});
