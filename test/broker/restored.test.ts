/** What becomes of connections whose refresh tokens a restored backup holds: the server may have replaced them since. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { isRefresh } from '../support/gate.ts';
import { backUp, restoreHere } from '../support/restored.ts';
import { type SignInOptions, signIn } from '../support/sign-in.ts';
import { connectionRow, journal, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World, type WorldOptions } from '../support/world.ts';

const AN_HOUR_MS = 3_600_000;

let world: World;
let file: string;

const refreshes = () => world.authorizationServer.requests.filter(isRefresh).length;
const rotates = () =>
  rowsOf<{ rotates: number | null }>(world.vaultPath, 'SELECT rotates FROM connections')[0]?.rotates;

/** A signed-in vault, refreshed `before` times, backed up, and refreshed `since` times after that. */
async function begin(
  { before = 0, since = 0 }: { before?: number; since?: number },
  options: WorldOptions = {},
  login: SignInOptions = {},
): Promise<Broker> {
  world = await startWorld(options);
  file = join(world.home.path, 'x.backup');
  const broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url, login);
  for (let count = 0; count < before; count += 1) await broker.refresh(OPERATOR, 'demo');
  await backUp(broker, file);
  for (let count = 0; count < since; count += 1) await broker.refresh(OPERATOR, 'demo');
  await broker.close();
  return broker;
}

const NON_ROTATING = { authorizationServer: { rotateRefreshTokens: false } };

afterEach(() => world.close());

describe('a refresh', () => {
  it('remembers whether its server replaces refresh tokens', async () => {
    await begin({ since: 1 });
    expect(rotates()).toBe(1);
    await world.close();
    await begin({}, NON_ROTATING);
    expect(rotates()).toBeNull();
    await world.close();
    await begin({ before: 1 }, NON_ROTATING);
    expect(rotates()).toBe(0);
  });
});

describe('a restored connection', () => {
  it('whose token was used since is uncertain, is served while its token lives, and then has ended at once', async () => {
    await begin({ since: 2 });
    const { uncertain } = await restoreHere(world, file);
    expect(uncertain).toEqual(['demo']);
    const broker = await world.openBroker();
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({
      ...{ state: 'uncertain', code: 'restored', next_step: 'broker refresh demo' },
      cause: 'it was restored from a backup, and its refresh token may have been used since',
      // The last fifth of an hour.
      next_attempt_at: '2026-01-01T00:48:00Z',
    });
    const { accessToken, warnings } = await broker.token(OPERATOR, 'demo');
    expect(await world.authorizationServer.tokenIsActive(accessToken.reveal())).toBeDefined();
    expect(warnings).toEqual([expect.stringMatching(/^uncertain: it was restored from a backup/)]);
    expect(refreshes()).toBe(2);

    world.clock.jump(AN_HOUR_MS);
    await expect(broker.token(OPERATOR, 'demo')).rejects.toMatchObject({
      code: 'login_required',
      message: expect.stringMatching(
        /: the server ended the login: it came from a restored backup, and its refresh token was used up since$/,
      ),
      hint: 'broker login demo',
    });
    expect(refreshes()).toBe(3);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'login_required', code: 'invalid_grant' });
    await signIn(broker, world.authorizationServer, world.mcp.url);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', code: null });
  });

  it('whose server still takes the old token is fine after its first refresh', async () => {
    await begin({ before: 1, since: 1 });
    // The server forgives: it gives the pair once more.
    const answer = world.authorizationServer.requests.filter(isRefresh).at(-1)?.answer;
    world.authorizationServer.fail((request) =>
      isRefresh(request)
        ? { status: 200, body: answer as object, headers: { 'content-type': 'application/json' } }
        : undefined,
    );
    await restoreHere(world, file);
    const broker = await world.openBroker();
    await broker.refresh(OPERATOR, 'demo');
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', code: null, generation: 3 });
  });

  it('is refreshed when its access token is refused, whatever was planned', async () => {
    await begin({});
    const database = join(world.home.path, 'elsewhere', 'broker.db');
    await restoreHere(world, file, { database });
    world.settings.database = database;
    const broker = await world.openBroker();
    world.clock.jump(AN_HOUR_MS / 2);
    const { generation } = await broker.token(OPERATOR, 'demo', { rejectedGeneration: 1 });
    expect(generation).toBe(2);
  });

  it('is presented by the daemon when its refresh is due, not before', async () => {
    await begin({ since: 1 });
    await restoreHere(world, file);
    const daemon = await world.openBroker({ isResident: true });
    await world.clock.advance(47 * 60_000);
    expect(refreshes()).toBe(1);
    await world.clock.advance(2 * 60_000);
    while ((await daemon.show(OPERATOR, 'demo')).state !== 'login_required') await world.clock.advance(1_000);
    expect(refreshes()).toBe(2);
  });

  it('stays uncertain in its journal when its server is out of order first', async () => {
    await begin({ since: 1 });
    await restoreHere(world, file);
    const broker = await world.openBroker();
    world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'degraded', code: 'http_503' });
    world.authorizationServer.fail(undefined);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
    expect(journal(world.vaultPath).map(({ outcome }) => outcome)).toEqual([
      'restored',
      'http_503',
      'invalid_grant',
    ]);
  });

  it.each([
    ['whose server was seen to keep refresh tokens', { before: 1 }, NON_ROTATING, {}],
    [
      'whose server keeps refresh tokens, as an operator said',
      {},
      NON_ROTATING,
      { recovery: 'reuse-safe' as const },
    ],
    ['that is the very one that was there', { before: 1 }, {}, {}],
  ])('%s stays as it was', async (_, done, options, login) => {
    await begin(done, options, login);
    expect((await restoreHere(world, file)).uncertain).toEqual([]);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', code: null });
    const broker = await world.openBroker();
    await broker.refresh(OPERATOR, 'demo');
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok' });
  });

  it('that needs a login already goes on needing it', async () => {
    world = await startWorld();
    file = join(world.home.path, 'x.backup');
    const broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    await broker.refresh(OPERATOR, 'demo');
    await world.authorizationServer.revokeGrantsOf('alice');
    for (const _ of [1, 2]) {
      await broker.refresh(OPERATOR, 'demo').catch(() => {});
      world.clock.jump(61_000);
    }
    await backUp(broker, file);
    await broker.close();
    const database = join(world.home.path, 'elsewhere', 'broker.db');
    expect((await restoreHere(world, file, { database })).uncertain).toEqual([]);
    expect(connectionRow(database)).toMatchObject({ state: 'login_required', code: 'invalid_grant' });
  });

  it('takes a newer pair that had been put aside', async () => {
    await begin({ before: 1 });
    const broker = await world.openBroker();
    await broker.refresh(OPERATOR, 'demo');
    const disk = new DatabaseSync(world.vaultPath);
    disk.exec(
      "CREATE TRIGGER broken BEFORE UPDATE OF secrets ON connections BEGIN SELECT RAISE(ABORT, 'disk') ; END",
    );
    disk.close();
    const refreshing = broker.refresh(OPERATOR, 'demo').catch(({ code }) => code);
    let code: unknown;
    void refreshing.then((value) => {
      code = value;
    });
    while (code === undefined) {
      await new Promise(setImmediate);
      await world.clock.advance(1_000);
    }
    expect(code).toBe('save_failed');
    await broker.close();
    const aside = () =>
      readdirSync(world.settings.configDirectory).filter((name) => name.startsWith('mtb-rescue-'));
    expect(aside()).toHaveLength(1);
    expect((await restoreHere(world, file)).uncertain).toEqual([]);
    expect(aside()).toEqual([]);
    expect(existsSync(world.vaultPath)).toBe(true);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 4, spare: null });
    const next = await world.openBroker();
    await next.refresh(OPERATOR, 'demo');
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 5 });
  });
});
