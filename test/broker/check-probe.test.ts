import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { StaticCredential } from '../../src/core/entered.ts';
import { Secret } from '../../src/secret.ts';
import { isRefresh } from '../support/gate.ts';
import { type HeaderServer, startHeaderServer } from '../support/header-server.ts';
import { type RawAnswer, type RawRequest, type RawServer, startRawServer } from '../support/raw-server.ts';
import { signIn } from '../support/sign-in.ts';
import { startWorld, type World, type WorldOptions } from '../support/world.ts';

const nobody = () => Promise.reject(new Error('no program was to be asked'));

let world: World;
let broker: Broker;
let raw: RawServer | undefined;
let guarded: HeaderServer | undefined;

async function start(options: WorldOptions = {}): Promise<void> {
  world = await startWorld(options);
  broker = await world.openBroker();
}

afterEach(async () => {
  await raw?.close();
  await guarded?.close();
  await world.close();
  raw = undefined;
  guarded = undefined;
});

const probe = (name = 'demo') => broker.check(OPERATOR, name, { probe: nobody });
const calls = () => world.mcp.requests.filter(({ rpcMethod }) => rpcMethod === 'initialize');
const refreshes = () => world.authorizationServer.refreshes();

describe('a probe of an MCP server behind a login', () => {
  beforeEach(async () => {
    await start();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    world.mcp.requests.length = 0;
    // A token that came just now is not renewed.
    world.clock.jump(60_000);
  });

  it('is fine when it takes the token, and leaves no session behind', async () => {
    expect(await probe()).toMatchObject({
      ...{ exit_code: 0, message: 'ok', state: 'ok' },
      probe: { ok: true, status: 200, message: expect.stringMatching(/takes the credential \(200\)$/) },
    });
    expect(world.mcp.requests.map(({ method, status }) => [method, status])).toEqual([
      ['POST', 200],
      ['DELETE', 200],
    ]);
    expect(refreshes()).toBe(0);
  });

  it('renews a token that was ended early, once, and is fine then', async () => {
    world.authorizationServer.revokeAccessTokens();
    expect(await probe()).toMatchObject({ exit_code: 0, probe: { ok: true, status: 200 } });
    expect([refreshes(), calls().length]).toEqual([1, 2]);
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ generation: 2 });
  });

  it('is 2 when the renewed one is refused too, with the words and the command', async () => {
    world.authorizationServer.fail(({ path }) =>
      path === '/token'
        ? { status: 200, body: { access_token: 'fake-unknown', refresh_token: 'fake-r', expires_in: 3600 } }
        : undefined,
    );
    world.authorizationServer.revokeAccessTokens();
    const found = await probe();
    expect(found).toMatchObject({
      exit_code: 2,
      next_step: 'broker login demo',
      probe: { ok: false, status: 401 },
    });
    expect(found.message).toBe(
      'the server refuses the token (401 invalid_token), and one refreshed just now too',
    );
    expect(found.probe?.message).toBe(found.message);
    expect(calls()).toHaveLength(2);
  });

  it('is 2 when a token that came just now is refused: its age is not what the server minds', async () => {
    await broker.refresh(OPERATOR, 'demo');
    world.authorizationServer.revokeAccessTokens();
    const found = await probe();
    expect(found).toMatchObject({ exit_code: 2, probe: { status: 401 } });
    expect(found.message).toContain('which is a fresh one');
    expect(refreshes()).toBe(1);
  });

  it('is 2 when the login has ended with it', async () => {
    world.authorizationServer.revokeAccessTokens();
    world.authorizationServer.fail((request) =>
      isRefresh(request) ? { status: 401, body: { error: 'invalid_client' } } : undefined,
    );
    expect(await probe()).toMatchObject({ exit_code: 2, state: 'client_invalid', probe: { ok: false } });
  });

  it('is 75 when it is refused and the provider is down', async () => {
    world.authorizationServer.revokeAccessTokens();
    world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));
    const found = await probe();
    expect(found).toMatchObject({ exit_code: 75, state: 'degraded', probe: { ok: false, status: 401 } });
    expect(found.message).toContain('the server refuses the token (401 invalid_token), and ');
  });

  it('is 75 when nobody is there', async () => {
    await world.mcp.close();
    const found = await probe();
    expect(found).toMatchObject({ exit_code: 75, state: 'ok', probe: { ok: false } });
    expect(found.message).toContain('the connection was refused');
    expect(found.probe).not.toHaveProperty('status');
  });

  it('keeps to a login that needs somebody anyway', async () => {
    await world.authorizationServer.revokeGrantsOf('alice');
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    world.clock.jump(60_000);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    world.clock.jump(3_600_000);
    expect(await probe()).toMatchObject({
      ...{ exit_code: 2, state: 'login_required', next_step: 'broker login demo' },
      probe: { ok: false },
    });
    expect(calls()).toHaveLength(0);
  });
});

describe('a probe of a server that answers', () => {
  const bearer: StaticCredential = { kind: 'bearer', token: new Secret('fake-pat-1234567890') };

  async function connect(handler: (request: RawRequest) => RawAnswer, credential = bearer): Promise<void> {
    await start();
    raw = await startRawServer(handler);
    await broker.addStatic({ name: 'demo', url: `${raw.url}/mcp`, credential });
  }

  it.each<[string, RawAnswer, number, RegExp, string | undefined]>([
    [
      '403 insufficient_scope',
      {
        status: 403,
        headers: { 'www-authenticate': 'Bearer error="insufficient_scope", scope="docs:read"' },
      },
      2,
      /^403 insufficient_scope: the rights of the login are too small \(wanted: docs:read\)$/,
      'broker add demo --bearer-file <file>',
    ],
    ['403', { status: 403, body: 'no' }, 2, /^the server forbids it \(403 "no"\)$/, 'broker doctor demo'],
    [
      '401',
      { status: 401 },
      2,
      /^the server refuses the credential \(401\)$/,
      'broker add demo --bearer-file <file>',
    ],
    ['500', { status: 500, body: 'oh\nno' }, 75, /^the server is out of order \(500 "oh no"\)$/, undefined],
    ['429', { status: 429 }, 75, /^the server is out of order \(429\)$/, undefined],
    ['a reset', 'reset', 75, /cannot be reached: the connection failed/, 'broker doctor demo'],
    [
      '404 to everything',
      { status: 404 },
      1,
      /^nothing answers there as it should \(404\)$/,
      'broker doctor demo',
    ],
    [
      'an error of JSON-RPC',
      { status: 200, body: { jsonrpc: '2.0', id: 1, error: { code: -32_000, message: 'broken' } } },
      1,
      /^the server let it in, and answered with an error: -32000 "broken"$/,
      'broker doctor demo',
    ],
    [
      'that it knows no initialize',
      { status: 400, body: { jsonrpc: '2.0', id: 1, error: { code: -32_022, message: 'no such revision' } } },
      0,
      /^ok$/,
      undefined,
    ],
  ])('%s', async (_, answer, exit_code, message, next_step) => {
    await connect(() => answer);
    const found = await probe();
    expect(found).toMatchObject({ exit_code, state: 'ok', message: expect.stringMatching(message) });
    expect(found.probe?.ok).toBe(exit_code === 0);
    if (next_step !== undefined) expect(found.next_step).toBe(next_step);
  });

  it('nothing is 75 after ten seconds', async () => {
    const asked = Promise.withResolvers<void>();
    await connect(() => {
      asked.resolve();
      return 'hang';
    });
    const probing = probe();
    await asked.promise;
    await world.clock.advance(10_000);
    expect(await probing).toMatchObject({
      ...{ exit_code: 75, message: expect.stringContaining('no answer came in time') },
      probe: { ok: false },
    });
    expect(world.clock.waiting()).toBe(0);
  });

  it('like no MCP server is looked at as a resource: HEAD, and GET where that tells nothing', async () => {
    await connect(({ method }) => ({ status: method === 'GET' ? 200 : 405 }));
    expect(await probe()).toMatchObject({ exit_code: 0, probe: { ok: true, status: 200 } });
    expect(raw?.requests.map(({ method }) => method)).toEqual(['POST', 'HEAD', 'GET']);
    for (const { headers } of raw?.requests ?? [])
      expect(headers.authorization).toBe('Bearer fake-pat-1234567890');
  });

  it('like no MCP server, and refuses the credential then', async () => {
    await connect(({ method }) => ({ status: method === 'POST' ? 404 : 401 }));
    expect(await probe()).toMatchObject({ exit_code: 2, probe: { ok: false, status: 401 } });
    expect(raw?.requests.map(({ method }) => method)).toEqual(['POST', 'HEAD']);
  });

  it('does not wait for a stream that never ends', async () => {
    await start({ mcp: { withoutAuth: true, sse: {} } });
    await broker.addStatic({ name: 'demo', url: world.mcp.url, credential: { kind: 'none' } });
    expect(await probe()).toMatchObject({ exit_code: 0, probe: { ok: true, status: 200 } });
  });

  it('that it wants a credential after all', async () => {
    await connect(() => ({ status: 401 }), { kind: 'none' });
    expect(await probe()).toMatchObject({
      ...{ exit_code: 2, message: 'the server wants a credential after all (401)' },
      next_step: 'broker add demo --bearer-file <file>',
    });
  });
});

describe('a probe with headers that were entered', () => {
  it('sends them, and tells when they are not taken any more', async () => {
    await start();
    guarded = await startHeaderServer({ 'x-api-key': 'fake-key-1' });
    const value = new Secret('fake-key-1');
    const header = { name: 'X-Api-Key', template: '{{token}}' };
    const credential: StaticCredential = { kind: 'headers', headers: [{ header, value }] };
    await broker.addStatic({ name: 'wiki', url: guarded.url, credential });
    expect(await probe('wiki')).toMatchObject({ exit_code: 0, probe: { ok: true, status: 200 } });
    guarded.want({ 'x-api-key': 'fake-key-2' });
    expect(await probe('wiki')).toMatchObject({
      ...{ exit_code: 2, message: 'the server refuses the credential (401)' },
      next_step: 'broker add wiki --header <name> --value-file <file>',
    });
  });
});
