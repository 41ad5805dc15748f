/**
 * A lease ends while its holder is at work, as after a long sleep, and others go on in its place. What the holder had
 * asked for is still answered: that pair is kept, as the current one or as the spare, and nothing is lost.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { atStep } from '../support/at-step.ts';
import type { Fault } from '../support/fault.ts';
import { createGate, isRefresh } from '../support/gate.ts';
import { endLeases, heldLeases, takeLeasesAway } from '../support/leases.ts';
import { refreshLedger } from '../support/refresh-ledger.ts';
import { beginLogin, openPage, signIn } from '../support/sign-in.ts';
import { HOUR_MS, MINUTE_MS, startTimeWorld, type TimeWorld } from '../support/time-world.ts';
import { auditTrail, connectionRow, journal, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

/** The server accepts a used refresh token once more for so long. */
const GRACE_MS = 30_000;

describe('an answer on its way, after its lease was lost', () => {
  let world: TimeWorld;
  let other: Broker;

  async function start(graceMs = 0): Promise<void> {
    world = await startTimeWorld({ graceMs });
    other = await world.openBroker();
    world.clock.jump(HOUR_MS);
  }

  afterEach(() => world.close());

  it.each([
    ['committed', true],
    ['not committed', false],
  ])(
    'is saved as the current pair when nobody came in between; the refresh was %s',
    async (_, isCommitted) => {
      await start();
      const { answered } = await world.askAndHold(isCommitted);
      takeLeasesAway(world.vaultPath, world.clock.now() + HOUR_MS);
      const taken = heldLeases(world.vaultPath);
      await world.clock.advance(MINUTE_MS);
      world.hostile.letGo();
      expect(await answered).toMatchObject({ status: 200, json: { generation: 2 } });
      await world.expectFresh(2);
      expect(world.outcomes()).toEqual(['rotated']);
      expect(journal(world.vaultPath)).toMatchObject([{ generation: 1, attempt: 1, outcome: 'success' }]);
      // What is not its own any more is neither renewed nor given back.
      expect(heldLeases(world.vaultPath)).toEqual(taken);
    },
  );

  it('becomes the spare when somebody signed in meanwhile, and both logins go on living', async () => {
    await start();
    const { answered } = await world.askAndHold(true);
    endLeases(world.vaultPath);
    await world.signIn();
    const newest = world.hostile.delivered.at(-1) as string;
    world.hostile.letGo();
    expect(await answered).toMatchObject({ status: 200, json: { generation: 2 } });
    const late = world.hostile.delivered.at(-1) as string;
    expect(late).not.toBe(newest);
    expect([await world.heldRefreshToken(), await world.heldSpare()]).toEqual([newest, late]);
    expect([newest, late].map(world.hostile.isAlive)).toEqual([true, true]);
    expect(world.outcomes()).toEqual(['rotated']);
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ action: 'refresh', outcome: 'late' });
    expect(await other.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 3 });
  });

  it('becomes the spare when another broker asked again inside a grace window', async () => {
    await start(GRACE_MS);
    const { answered } = await world.askAndHold(true);
    endLeases(world.vaultPath);
    expect(await other.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 2 });
    const newest = world.hostile.delivered.at(-1);
    world.hostile.letGo();
    expect(await answered).toMatchObject({ status: 200, json: { generation: 2 } });
    expect(await world.heldRefreshToken()).toBe(newest);
    expect(await world.heldSpare()).toBe(world.hostile.delivered.at(-1));
    expect(world.outcomes()).toEqual(['rotated', 'grace']);
    expect(await other.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 3 });
    expect(world.hostile.family().revoked).toBe(false);
  });

  it('cannot save a login that another broker’s second question has ended', async () => {
    await start();
    const { answered } = await world.askAndHold(true);
    endLeases(world.vaultPath);
    await expect(other.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
    world.hostile.letGo();
    await answered;
    expect(await world.heldRefreshToken()).toBe(world.hostile.delivered.at(-1));
    expect(world.outcomes()).toEqual(['rotated', 'reused']);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      world.clock.jump(HOUR_MS);
      await world.askToken();
    }
    expect(world.stored()).toMatchObject({ state: 'login_required' });
    expect(world.outcomes()).toEqual(['rotated', 'reused', 'unknown', 'unknown']);
  });

  it('is saved where the server must not be asked twice: the other broker asks nothing', async () => {
    world = await startTimeWorld();
    const login = beginLogin(world.broker, world.hostile.url, { recovery: 'needs-login' });
    await openPage(await world.hostile.approve(await login.authorizationUrl));
    await login.done;
    other = await world.openBroker();
    world.clock.jump(HOUR_MS);
    const { answered } = await world.askAndHold(true);
    endLeases(world.vaultPath);
    await expect(other.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
    world.hostile.letGo();
    expect(await answered).toMatchObject({ status: 200, json: { generation: 3 } });
    await world.expectFresh(3);
    expect(world.outcomes()).toEqual(['rotated']);
  });

  it('belongs to nothing when the connection was logged out meanwhile, which ended it at the server too', async () => {
    await start();
    const { answered } = await world.askAndHold(true);
    endLeases(world.vaultPath);
    expect(await other.logout(OPERATOR, 'demo')).toMatchObject({ revocation: 'revoked' });
    world.hostile.letGo();
    expect(await answered).toMatchObject({ status: 404, json: { code: 'not_found' } });
    expect(rowsOf(world.vaultPath, 'SELECT * FROM connections')).toEqual([]);
    expect(world.hostile.delivered.filter(world.hostile.isAlive)).toEqual([]);
  });

  it('is not asked for when the lease is lost before', async () => {
    await start();
    atStep('refresh.leased', () => takeLeasesAway(world.vaultPath, world.clock.now() + HOUR_MS));
    expect(await world.askToken()).toMatchObject({ status: 503, json: { code: 'upstream_unavailable' } });
    expect(world.outcomes()).toEqual([]);
    expect(journal(world.vaultPath)).toEqual([]);
  });
});

describe('a refusal on its way, after its lease was lost and somebody signed in', () => {
  const REFUSED: Fault = { status: 400, body: { error: 'invalid_grant' } };
  let world: World;
  let broker: Broker;

  beforeEach(async () => {
    world = await startWorld();
    broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
  });

  afterEach(() => world.close());

  /** A refresh that somebody's login overtakes before the server answers it. */
  async function overtake(answer?: Fault): ReturnType<Broker['refresh']> {
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const late = broker.refresh(OPERATOR, 'demo');
    await gate.arrived;
    endLeases(world.vaultPath);
    await signIn(broker, world.authorizationServer, world.mcp.url);
    gate.open(answer);
    try {
      return await late;
    } finally {
      world.authorizationServer.fail(undefined);
    }
  }

  it.each<[string, Fault]>([
    ['invalid_grant', REFUSED],
    ['invalid_client', { status: 401, body: { error: 'invalid_client' } }],
    ['503', { status: 503 }],
    ['a lost answer', { destroyBefore: true }],
  ])('(%s) tells nothing about the newer login', async (_, answer) => {
    expect(await overtake(answer)).toMatchObject({ state: 'ok', generation: 2 });
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', failures: 0, next_attempt_at: null });
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 3 });
    const presented = refreshLedger(world.authorizationServer.requests).map((each) => each.presentations);
    expect(presented).toEqual([1, 1, 0]);
  });

  it('does not cost the spare', async () => {
    await overtake();
    const { spare } = connectionRow(world.vaultPath);
    expect(spare).toMatch(/^ey/);
    world.authorizationServer.fail((request) => (isRefresh(request) ? REFUSED : undefined));
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'upstream_unavailable' });
    world.clock.jump(2 * MINUTE_MS);
    // This one confirms that the second login is dead; by then there is a third.
    await overtake(REFUSED).catch(() => undefined);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 3, spare });
  });
});
