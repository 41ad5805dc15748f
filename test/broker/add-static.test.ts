import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NewStaticConnection } from '../../src/broker/add-static.ts';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { StaticCredential } from '../../src/core/entered.ts';
import { Secret } from '../../src/secret.ts';
import { type HeaderServer, startHeaderServer } from '../support/header-server.ts';
import { signIn } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const DAY_MS = 24 * 60 * 60_000;

let world: World;
let broker: Broker;
let server: HeaderServer;

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  server = await startHeaderServer({ authorization: 'Bearer fake-pat' });
});

afterEach(async () => {
  await world.close();
  await server.close();
});

const bearer = (token = 'fake-pat'): StaticCredential => ({ kind: 'bearer', token: new Secret(token) });
const add = (credential = bearer(), more: Partial<NewStaticConnection> = {}) =>
  broker.addStatic({ name: 'demo', url: server.url, credential, ...more });
const token = async () => (await broker.token(OPERATOR, 'demo')).accessToken.reveal();

describe('a token entered by hand', () => {
  it('is never refreshed or asked for, and has no client', async () => {
    expect(await add()).toMatchObject({ kind: 'bearer', state: 'ok', refresh_token: false });
    expect(await token()).toBe('fake-pat');
    expect(server.requests).toEqual([]);
    expect(connectionRow(world.vaultPath)).toMatchObject({ client_row_id: null, generation: 1 });
  });

  it('is warned of before its end and is handed out until that very moment', async () => {
    await add(bearer(), { expiresAt: world.clock.now() + 30 * DAY_MS });
    const check = () => broker.check(OPERATOR, 'demo', { warnWithinMs: 7 * DAY_MS });
    expect((await check()).exit_code).toBe(0);
    world.clock.jump(30 * DAY_MS - 1);
    expect((await check()).exit_code).toBe(1);
    expect(await token()).toBe('fake-pat');
    world.clock.jump(1);
    expect((await check()).exit_code).toBe(2);
    await expect(token()).rejects.toMatchObject({
      code: 'login_required',
      hint: 'broker add demo --bearer-file <file>',
    });
  });

  it.each<[string, StaticCredential]>([
    ['nothing', bearer('')],
    ['spaces', bearer('  ')],
    ['two lines', bearer('a\r\nX-Evil: b')],
    ['two words', bearer('Bearer fake-pat')],
    [
      'a blank secret inside its template',
      {
        kind: 'headers',
        headers: [{ header: { name: 'X-Key', template: 'k={{token}};' }, value: new Secret(' ') }],
      },
    ],
  ])('that is %s is refused, and the one before it stays', async (_, credential) => {
    await expect(add(credential)).rejects.toMatchObject({ code: 'usage' });
    expect(rowsOf(world.vaultPath, 'SELECT * FROM connections')).toEqual([]);
    await add();
    await expect(add(credential)).rejects.toMatchObject({ code: 'usage' });
    expect(await token()).toBe('fake-pat');
  });

  it('is not stored when the server cannot be asked', async () => {
    await server.close();
    await expect(add(bearer(), { probe: true })).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(rowsOf(world.vaultPath, 'SELECT * FROM connections')).toEqual([]);
    server = await startHeaderServer();
  });

  it('of another kind takes its place, and says what no longer applies', async () => {
    await add();
    const notes = ['it was of kind bearer (a token that was entered by hand), which is forgotten here'];
    expect(await add({ kind: 'none' })).toMatchObject({ kind: 'none', generation: 2, notes });
    await expect(token()).rejects.toMatchObject({ code: 'bad_request' });
    expect(await add(bearer('fake-other'))).toMatchObject({ kind: 'bearer', generation: 3 });
    expect(await token()).toBe('fake-other');
  });

  it('in place of a login leaves no client behind, and no login takes its place', async () => {
    await signIn(broker, world.authorizationServer, world.mcp.url);
    const credential = bearer();
    await broker.addStatic({ name: 'demo', url: world.mcp.url, credential });
    expect(rowsOf(world.vaultPath, 'SELECT * FROM clients')).toEqual([]);
    await expect(signIn(broker, world.authorizationServer, world.mcp.url)).rejects.toMatchObject({
      code: 'usage',
    });
  });
});
