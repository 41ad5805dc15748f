import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { openBroker } from '../../src/broker/index.ts';
import { readSettings } from '../../src/config.ts';
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import type { BrokerError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import type { FaultRule } from '../support/fault.ts';
import { freePort } from '../support/free-port.ts';
import { createGate, type Gate, isRefresh } from '../support/gate.ts';
import type { CallAnswer } from '../support/http-call.ts';
import {
  type ProcessWorld,
  type RunningDaemon,
  startProcessWorld,
  type TracedProcess,
} from '../support/process-world.ts';
import { type LedgerEntry, refreshLedger } from '../support/refresh-ledger.ts';
import { openPage, signIn } from '../support/sign-in.ts';
import { storedLogin } from '../support/stored-login.ts';
import { auditTrail, connectionRow, journal } from '../support/vault-file.ts';
import { SUSPEND_ROWS, type SuspendRow, type Whose } from './suspend-matrix.ts';

let world: ProcessWorld;

const requests = () => world.authorizationServer.requests;
const ledger = () => refreshLedger(requests());
const stored = () => storedLogin(world.home);
const wake = ({ process }: TracedProcess) => process.process.kill('SIGCONT');

/** Answers a used refresh token with the pair that was issued for it, as a server does that knows of lost answers. */
const inGrace: FaultRule = (request) => {
  const used = (token = '') =>
    requests().find(({ form, status, answer }) => status === 200 && answer && form?.refresh_token === token);
  const earlier = request.grantType === 'refresh_token' ? used(request.form?.refresh_token) : undefined;
  return earlier && { status: 200, body: earlier.answer as object };
};

/** What others do meanwhile, in this process; the exit code. */
const others = {
  refresh: () => world.here((broker) => broker.refresh(OPERATOR, 'demo')),
  logout: () =>
    world.here(async (broker) => {
      expect((await broker.logout(OPERATOR, 'demo')).revocation).toBe('revoked');
    }),
  /** Signs in anew, from another port so that two logins may wait for their persons. */
  async login() {
    const callbackPort = await freePort();
    return world.here((broker) => signIn(broker, world.authorizationServer, world.mcp.url, { callbackPort }));
  },
};

/** Everything the server still takes is here, but so many. */
async function expectNothingLost(leftAtServer: number): Promise<void> {
  const login = await stored();
  const held = [login?.refreshToken, login?.spare];
  const lost = ledger().filter(({ isAccepted, fingerprint }) => isAccepted && !held.includes(fingerprint));
  expect(lost).toHaveLength(leftAtServer);
  expect(world.heldLeases()).toEqual([]);
}

/** Refreshes once more, in this process: the state that comes of it, or the code of the error. */
async function refreshHere(): Promise<string> {
  const settings = readSettings({ home: world.home.env.BROKER_HOME as string }, { ...world.home.env });
  const broker = await openBroker({ settings, log: createLog('silent'), create: false });
  try {
    return (await broker.refresh(OPERATOR, 'demo')).state;
  } catch (error) {
    return (error as BrokerError).code;
  } finally {
    await broker.close();
  }
}

const mostPresented = () => Math.max(...ledger().map(({ presentations }) => presentations));

afterEach(() => world.close());

describe('a process that sleeps until its lease has ended', () => {
  /** Starts the journey of the row; resolves when its process sleeps. What it says comes when it has woken. */
  async function sleep({
    journey,
    step,
  }: SuspendRow): Promise<{ sleeper: TracedProcess; said: Promise<unknown> }> {
    const stopAt = { step, signal: 'SIGSTOP' } as const;
    const started = journey === 'refresh' ? await startRefresh(stopAt) : await startLogin(stopAt);
    await expect.poll(() => started.sleeper.steps().at(-1), { interval: 10 }).toBe(step);
    return started;
  }

  async function startRefresh(stopAt: { step: SuspendRow['step']; signal: 'SIGSTOP' }) {
    const sleeper = await world.startDaemon(stopAt);
    world.expireAccessToken();
    return { sleeper, said: sleeper.ask() };
  }

  async function startLogin(stopAt: { step: SuspendRow['step']; signal: 'SIGSTOP' }) {
    const sleeper = world.trace(['login', 'demo', '--no-browser', '--json'], stopAt);
    const [, url = ''] = await sleeper.process.waitFor(/"url":"([^"]+)"/);
    const page = world.authorizationServer.approve(url).then(openPage);
    return { sleeper, said: page.then(() => sleeper.process.exited) };
  }

  /** Whose pair this refresh token belongs to, by the order in which the server issued them. */
  function whose(fingerprint: string | undefined, asleepAt: number, wokenAt: number): Whose {
    const index = ledger().findIndex((entry: LedgerEntry) => entry.fingerprint === fingerprint);
    if (index === -1) return 'none';
    if (index === 0) return 'old';
    return index >= asleepAt && index < wokenAt ? 'other' : 'sleeper';
  }

  it.each(SUSPEND_ROWS.map((row) => [`${row.name}: ${row.expectation}`, row] as const))(
    '%s',
    async (_, row) => {
      world = await startProcessWorld({ recovery: row.recovery });
      if (row.hasGrace) world.authorizationServer.fail(inGrace);
      const { sleeper, said } = await sleep(row);
      const asleepAt = ledger().length;
      world.endLeases();
      expect(await others[row.meanwhile]()).toBe(row.otherCode);
      const wokenAt = ledger().length;
      wake(sleeper);

      const answer = (await said) as CallAnswer | number;
      expect(typeof answer === 'object' ? answer.status : answer).toBe(row.woken);
      const kept = await stored();
      if (row.woken === 200) expect((answer as CallAnswer).json.access_token).toBe(kept?.accessToken);
      expect(whose(kept?.refreshToken, asleepAt, wokenAt)).toBe(row.current);
      expect(whose(kept?.spare, asleepAt, wokenAt)).toBe(row.spare);
      expect(kept?.state).toBe(row.current === 'none' ? undefined : 'ok');
      expect(mostPresented()).toBe(row.presentations);
      await expectNothingLost(row.leftAtServer);
      expect(await refreshHere()).toBe(row.next);
    },
  );
});

describe('a daemon that sleeps while its refresh is at the server, and wakes when its lease has ended', () => {
  let daemon: RunningDaemon;
  let gate: Gate;
  let asked: Promise<CallAnswer>;

  /** The daemon sleeps, and the answer it has not read lies ready for it. `others`: what happens to later refreshes. */
  async function sleep(others?: FaultRule, recovery: RecoveryPolicy = 'retry'): Promise<void> {
    world = await startProcessWorld({ recovery });
    let isFirst = true;
    gate = createGate((request) => {
      const isHeld = isFirst && isRefresh(request);
      if (isHeld) isFirst = false;
      return isHeld;
    });
    daemon = await world.startDaemon();
    world.expireAccessToken();
    world.authorizationServer.fail(gate.rule);
    asked = daemon.ask();
    await gate.arrived;
    daemon.process.process.kill('SIGSTOP');
    gate.open();
    await expect.poll(() => world.authorizationServer.refreshes(), { interval: 10 }).toBe(1);
    world.authorizationServer.fail(others);
    world.endLeases();
  }

  async function expectAnswer(generation: number): Promise<void> {
    wake(daemon);
    const answer = await asked;
    expect(answer).toMatchObject({ status: 200, json: { generation } });
    expect(answer.json.access_token).toBe((await stored())?.accessToken);
  }

  it('keeps the late pair as the current one when nobody came in between', async () => {
    await sleep();
    await expectAnswer(2);
    expect(journal(world.vaultPath)).toMatchObject([{ generation: 1, attempt: 1, outcome: 'success' }]);
    expect(await stored()).toMatchObject({ state: 'ok', refreshToken: ledger().at(-1)?.fingerprint });
    expect(mostPresented()).toBe(1);
    await expectNothingLost(0);
    expect(await refreshHere()).toBe('ok');
  });

  it('serves the newer pair when another process has refreshed inside a grace window', async () => {
    await sleep(inGrace);
    expect(await others.refresh()).toBe(0);
    await expectAnswer(2);
    expect(mostPresented()).toBe(2);
    await expectNothingLost(0);
    expect(await refreshHere()).toBe('ok');
  });

  it('serves the newer login, and keeps the late pair as its spare', async () => {
    await sleep();
    expect(await others.login()).toBe(0);
    await expectAnswer(2);
    const [, late, newest] = ledger();
    expect(await stored()).toMatchObject({ refreshToken: newest?.fingerprint, spare: late?.fingerprint });
    expect(auditTrail(world.vaultPath)).toContainEqual({
      actor: 'agent:bot',
      action: 'refresh',
      outcome: 'late',
    });
    expect(mostPresented()).toBe(1);
    await expectNothingLost(0);
    expect(await refreshHere()).toBe('ok');
  });

  it('finds nothing when another process has logged out, and nothing is left at the server', async () => {
    await sleep();
    expect(await others.logout()).toBe(0);
    wake(daemon);
    expect(await asked).toMatchObject({ status: 404, json: { code: 'not_found' } });
    await expectNothingLost(0);
  });

  it('keeps the late pair where the server must not be asked twice, although a second daemon gave up', async () => {
    await sleep(undefined, 'needs-login');
    const second = await world.startDaemon();
    // Its scheduler finds the refresh that was never answered by itself.
    await expect.poll(() => connectionRow(world.vaultPath).state, { interval: 10 }).toBe('login_required');
    expect((await second.ask()).status).toBe(409);
    await expectAnswer(2);
    expect((await second.ask()).json.access_token).toBe((await stored())?.accessToken);
    expect(mostPresented()).toBe(1);
    await expectNothingLost(0);
    expect(await refreshHere()).toBe('ok');
  });
});
