import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGate, type Gate, isRefresh } from '../support/gate.ts';
import type { CallAnswer } from '../support/http-call.ts';
import { type ProcessWorld, type RunningDaemon, startProcessWorld } from '../support/process-world.ts';
import { refreshLedger } from '../support/refresh-ledger.ts';
import { storedLogin } from '../support/stored-login.ts';
import { auditTrail, connectionRow, journal } from '../support/vault-file.ts';

const DAEMONS = 3;
const REQUESTS_EACH = 20;

let world: ProcessWorld;

const ledger = () => refreshLedger(world.authorizationServer.requests);
const mostPresented = () => Math.max(...ledger().map(({ presentations }) => presentations));
const tokensIn = (answers: CallAnswer[]) => new Set(answers.map(({ json }) => json.access_token));
const statusesIn = (answers: CallAnswer[]) => new Set(answers.map(({ status }) => status));

async function run(...args: string[]): Promise<void> {
  const { code, stderr } = await world.run(args);
  expect(code, stderr).toBe(0);
}

beforeEach(async () => {
  world = await startProcessWorld();
});

afterEach(() => world.close());

describe('three daemons on one vault', () => {
  let daemons: RunningDaemon[];

  const askAll = () =>
    Promise.all(daemons.flatMap((daemon) => Array.from({ length: REQUESTS_EACH }, () => daemon.ask())));

  beforeEach(async () => {
    world.expireAccessToken();
    daemons = await Promise.all(Array.from({ length: DAEMONS }, () => world.startDaemon()));
  });

  it('refresh an ended token once for 60 requests at the same moment, and all answer the new one', async () => {
    const answers = await askAll();
    expect(answers).toHaveLength(DAEMONS * REQUESTS_EACH);
    expect(statusesIn(answers)).toEqual(new Set([200]));
    expect(tokensIn(answers)).toEqual(new Set([(await storedLogin(world.home))?.accessToken]));
    expect(world.authorizationServer.refreshes()).toBe(1);
    expect(ledger().map(({ presentations }) => presentations)).toEqual([1, 0]);
    expect(journal(world.vaultPath)).toMatchObject([{ generation: 1, attempt: 1, outcome: 'success' }]);
  });

  it('go on when the one that refreshes is killed: the others see that it is gone, and present once', async () => {
    const gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    const [first] = daemons as [RunningDaemon, ...RunningDaemon[]];
    const asked = first.ask().catch(() => undefined);
    await gate.arrived;
    await first.process.stop('SIGKILL');
    await asked;
    // What the dead process sent is lost on the way; the server sees the token once.
    gate.open({ destroyBefore: true });
    daemons = daemons.slice(1);
    world.authorizationServer.fail(undefined);
    const answers = await askAll();
    expect(statusesIn(answers)).toEqual(new Set([200]));
    expect(tokensIn(answers).size).toBe(1);
    expect(world.authorizationServer.refreshes()).toBe(1);
    expect(journal(world.vaultPath)).toMatchObject([
      { attempt: 1, outcome: 'superseded' },
      { attempt: 2, outcome: 'success' },
    ]);
  });
});

describe('while a daemon serves', () => {
  let daemon: RunningDaemon;
  let before: CallAnswer;

  beforeEach(async () => {
    daemon = await world.startDaemon();
    before = await daemon.ask();
    expect(before).toMatchObject({ status: 200, json: { generation: 1 } });
  });

  it('its next answer after a broker login has the new token', async () => {
    expect((await world.login()).code).toBe(0);
    const answer = await daemon.ask();
    expect(answer).toMatchObject({ status: 200, json: { generation: 2 } });
    expect(answer.json.access_token).not.toBe(before.json.access_token);
    expect(answer.json.access_token).toBe((await storedLogin(world.home))?.accessToken);
    expect(world.authorizationServer.refreshes()).toBe(0);
  });

  it('its next answer after a broker refresh has the new token', async () => {
    await run('refresh', 'demo');
    const answer = await daemon.ask();
    expect(answer).toMatchObject({ status: 200, json: { generation: 2 } });
    expect(answer.json.access_token).toBe((await storedLogin(world.home))?.accessToken);
    expect(world.authorizationServer.refreshes()).toBe(1);
  });

  it('its next answer after a broker agent revoke is 401', async () => {
    await run('agent', 'revoke', 'bot');
    expect(await daemon.ask()).toMatchObject({ status: 401, json: { code: 'unauthenticated' } });
  });

  it('its next answer after a broker logout is 404', async () => {
    await run('logout', 'demo');
    expect(await daemon.ask()).toMatchObject({ status: 404, json: { code: 'not_found' } });
  });
});

describe('while the refresh of another process is not answered yet', () => {
  let gate: Gate;

  beforeEach(async () => {
    gate = createGate(isRefresh);
    world.authorizationServer.fail(gate.rule);
    world.expireAccessToken();
  });

  it('a daemon that starts presents nothing, and answers with what the other one gets', async () => {
    const other = world.trace(['refresh', 'demo']);
    await gate.arrived;
    expect(journal(world.vaultPath)).toMatchObject([{ attempt: 1, finished_at: null }]);

    const daemon = await world.startDaemon();
    const asked = daemon.ask();
    // Each of these passes through the daemon and its vault while the question above waits there.
    for (let calls = 0; calls < 10; calls += 1) {
      const shown = await daemon.ask('/v1/connections/demo');
      expect(shown).toMatchObject({ status: 200, json: { state: 'ok', generation: 1 } });
    }
    expect(gate.count()).toBe(1);
    expect(daemon.steps()).toEqual([]);

    gate.open();
    expect(await other.process.exited).toBe(0);
    expect(await asked).toMatchObject({ status: 200, json: { generation: 2 } });
    expect((await asked).json.access_token).toBe((await storedLogin(world.home))?.accessToken);
    // It never held the lease: it adopted what the other one saved.
    expect(daemon.steps()).not.toContain('refresh.leased');
    expect([gate.count(), mostPresented()]).toEqual([1, 1]);
    expect(journal(world.vaultPath)).toMatchObject([{ attempt: 1, outcome: 'success' }]);
  });

  it('a login waits with its code, wins, and the server keeps accepting it', async () => {
    const other = world.trace(['refresh', 'demo']);
    await gate.arrived;
    const login = world.trace(['login', world.mcp.url, '--no-browser', '--json', '--name', 'demo']);
    const [line = ''] = await login.process.waitFor(/^\{"event":"authorization_url".*$/m);
    const page = world.authorizationServer
      .approve((JSON.parse(line) as { url: string }).url)
      .then((redirect) => fetch(redirect));
    // The person is back, and the login waits for the lease with its code unspent.
    await expect.poll(() => login.steps()).toContain('login.answered');
    expect(ledger()).toHaveLength(1);
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 1 });

    gate.open();
    expect(await other.process.exited).toBe(0);
    expect((await page).status).toBe(200);
    expect(await login.process.exited).toBe(0);
    const won = ledger().find(({ login: which }) => which === 1);
    expect(await storedLogin(world.home)).toMatchObject({ generation: 3, refreshToken: won?.fingerprint });
    expect(auditTrail(world.vaultPath).slice(-2)).toMatchObject([
      { action: 'refresh', outcome: 'ok' },
      { action: 'login', outcome: 'ok' },
    ]);
    await run('refresh', 'demo');
    expect(mostPresented()).toBe(1);
  });
});

describe('a command that finds the lease taken', () => {
  it('by a process on another machine waits until it has ended, and then does its work', async () => {
    world.holdLease('elsewhere', 1_000);
    await run('refresh', 'demo');
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 2 });
    expect(world.authorizationServer.refreshes()).toBe(1);
  });
});
