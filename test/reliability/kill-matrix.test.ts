import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { LEASE_MS } from '../../src/broker/lease.ts';
import { DEFAULT_LOGIN_TIMEOUT_MS } from '../../src/broker/login.ts';
import { STEPS, type Step } from '../../src/steps.ts';

import { keyIdOf } from '../../src/vault/jwe.ts';

import { freePort } from '../support/free-port.ts';
import { inGrace } from '../support/grace.ts';
import {
  type ProcessWorld,
  type RunningDaemon,
  startProcessWorld,
  type TracedProcess,
} from '../support/process-world.ts';
import { refreshLedger } from '../support/refresh-ledger.ts';
import { openPage } from '../support/sign-in.ts';
import { type StoredLogin, storedLogin } from '../support/stored-login.ts';
import { journal, rowsOf } from '../support/vault-file.ts';
import { KILL_ROWS, type KillJourney, type KillRow } from './kill-matrix.ts';

let world: ProcessWorld;

const requests = () => world.authorizationServer.requests;
const ledger = () => refreshLedger(requests());
const stored = () => storedLogin(world.home);
const connections = () => rowsOf<Record<string, unknown>>(world.vaultPath, 'SELECT * FROM connections');
const run = (...args: string[]) => world.run(args);

/** What was there before the kill. */
interface Before {
  rows: Record<string, unknown>[];
  login: StoredLogin | undefined;
  /** One that was started before, and goes on. */
  daemon: RunningDaemon | undefined;
}

async function start({ journey, hasGrace, recovery }: KillRow): Promise<Before> {
  world = await startProcessWorld({ isSignedIn: journey !== 'first login', recovery });
  if (hasGrace) world.authorizationServer.fail(inGrace(requests()));
  if (journey === 'first login') return { rows: [], login: undefined, daemon: undefined };
  if (journey === 'refresh for an agent') world.expireAccessToken();
  const isWatched = journey === 're-login' || journey === 'logout';
  const daemon = isWatched ? await world.startDaemon() : undefined;
  return { rows: connections(), login: await stored(), daemon };
}

/** Starts the journey of the row; resolves when its process is dead. */
async function die({ journey, step }: KillRow): Promise<TracedProcess> {
  const stopAt = { step };
  switch (journey) {
    case 'first login':
      return dieInLogin(world.trace(['login', world.mcp.url, ...LOGIN_ARGS], stopAt));
    case 're-login': {
      // Another port means another client, so that old and new could be mixed up.
      const port = String(await freePort());
      return dieInLogin(world.trace(['login', 'demo', '--callback-port', port, ...LOGIN_ARGS], stopAt));
    }
    case 'refresh by command':
      return world.trace(['refresh', 'demo'], stopAt);
    case 'logout':
      return world.trace(['logout', 'demo'], stopAt);
    case 'new data key':
      return world.trace(['key', 'rotate'], stopAt);
    case 'new master key':
      return world.trace(['key', 'rotate', '--new-master-key-file', newKeyFile()], stopAt);
    case 'old key retired': {
      const { old_master_key } = await rotateMasterKey();
      return world.trace(['--master-key-file', newKeyFile(), 'key', 'retire', old_master_key], stopAt);
    }
    case 'refresh for an agent': {
      const daemon = await world.startDaemon(stopAt);
      await expect(daemon.ask()).rejects.toMatchObject({ code: 'ECONNRESET' });
      return daemon;
    }
  }
}

const newKeyFile = () => join(world.home.path, 'new.key');

async function rotateMasterKey(): Promise<{ old_master_key: string }> {
  const { code, stdout, stderr } = await run(
    'key',
    'rotate',
    '--new-master-key-file',
    newKeyFile(),
    '--json',
  );
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

/** The new key becomes the one that every command finds, as an operator would do it. */
function useNewKey(): void {
  renameSync(newKeyFile(), join(world.home.env.XDG_CONFIG_HOME as string, 'mcp-token-broker', 'master.key'));
}

const LOGIN_ARGS = ['--no-browser', '--json', '--name', 'demo'];

/** Goes as far with a login as it lives. */
async function dieInLogin(login: TracedProcess): Promise<TracedProcess> {
  const asked = login.process.waitFor(/"url":"([^"]+)"/);
  const [, url] = (await asked.catch(() => undefined)) ?? [];
  if (url !== undefined) await openPage(await world.authorizationServer.approve(url)).catch(() => undefined);
  return login;
}

/** Nothing is half written, and the lease is one that ends. */
async function expectWhole(row: KillRow, before: Before): Promise<void> {
  if (row.journey === 'old key retired') {
    expect(await run('list')).toMatchObject({ code: 3, stdout: '' });
    useNewKey();
  }
  expect(await world.here((broker) => broker.list(OPERATOR))).toBe(0);
  expect(rowsOf(world.vaultPath, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  expect(rowsOf(world.vaultPath, 'PRAGMA foreign_key_check')).toEqual([]);
  const now = Date.now();
  for (const { expires_at } of rowsOf<{ expires_at: number }>(world.vaultPath, 'SELECT * FROM logins'))
    expect(expires_at).toBeLessThanOrEqual(now + DEFAULT_LOGIN_TIMEOUT_MS);

  const leases = world.heldLeases();
  // A daemon that is there may have seen already that the holder is gone.
  if (!row.isLeased) expect(leases).toEqual([]);
  else if (!before.daemon) expect(leases.map(({ name }) => name)).toEqual(['connection:demo']);
  for (const { expires_at } of leases) expect(expires_at).toBeLessThanOrEqual(now + LEASE_MS);

  const [entry] = journal(world.vaultPath);
  expect(journal(world.vaultPath)).toHaveLength(row.journal === 'none' ? 0 : 1);
  expect(entry?.outcome ?? 'open').toBe(row.journal === 'success' ? 'success' : 'open');

  if (row.vault === 'none') {
    expect(connections()).toEqual([]);
    expect(rowsOf(world.vaultPath, 'SELECT * FROM servers')).toEqual([]);
  } else if (row.vault === 'old') expect(withoutSeals(connections())).toEqual(withoutSeals(before.rows));
  else await expectNew(row, before.login);
}

/** Rows without what a new data key changes; that the same login is in them is looked at by opening it. */
const withoutSeals = (rows: Record<string, unknown>[]) => rows.map(({ secrets: _, ...row }) => row);

async function expectNew({ journey }: KillRow, old: StoredLogin | undefined): Promise<void> {
  const accessTokens = requests().map(({ answer }) => (answer as Record<string, unknown>)?.access_token);
  const clientIds = requests().filter(({ path }) => path === '/auth');
  expect(await stored()).toEqual({
    generation: (old?.generation ?? 0) + 1,
    state: 'ok',
    accessToken: accessTokens.filter(Boolean).at(-1),
    refreshToken: ledger().at(-1)?.fingerprint,
    spare: undefined,
    clientId: clientIds.at(-1)?.form?.client_id,
  });
  if (journey === 're-login') expect(old?.clientId).not.toBe(clientIds.at(-1)?.form?.client_id);
}

/** What is asked for while the dead process still has its lease. */
async function expectServed({ journey, vault }: KillRow, before: Before): Promise<void> {
  const token = vault === 'old' ? before.login?.accessToken : (await stored())?.accessToken;
  if (before.daemon) {
    const answer = await before.daemon.ask();
    expect(answer.status).toBe(vault === 'none' ? 404 : 200);
    expect(answer.json.access_token).toBe(token);
  } else if (vault !== 'none' && journey !== 'refresh for an agent')
    expect(await world.servedToken()).toBe(token);
}

/** Goes on as the row says. */
async function goOn({ journey, vault, next }: KillRow, before: Before): Promise<void> {
  switch (journey) {
    case 'first login':
      if (vault === 'none') expect((await world.login()).code).toBe(0);
      expect(registrations()).toHaveLength(1);
      return expectRefresh(0);
    case 're-login':
    case 'refresh by command':
      await expectRefresh(next === 'succeeds' ? 0 : 2);
      return expectRefresh(next === 'succeeds' ? 0 : 2);
    case 'refresh for an agent': {
      const daemon = await world.startDaemon();
      const { status, json } = await daemon.ask();
      expect([status, json.code]).toEqual(next === 'succeeds' ? [200, undefined] : [409, 'login_required']);
      if (next === 'succeeds') expect(json.access_token).toBe((await stored())?.accessToken);
      return expectRefresh(next === 'succeeds' ? 0 : 2);
    }
    case 'logout': {
      const code = await world.here(async (broker) => {
        expect((await broker.logout(OPERATOR, 'demo')).revocation).toBe('revoked');
      });
      expect(code).toBe(next === 'succeeds' ? 0 : 2);
      expect((await before.daemon?.ask())?.status).toBe(404);
      expect(await world.here((broker) => broker.list(OPERATOR))).toBe(0);
      return;
    }
    case 'new data key':
      expect((await run('key', 'rotate')).code).toBe(0);
      expect(sealingKeys().size).toBe(1);
      return expectRefresh(0);
    case 'new master key':
      await rotateMasterKey();
      expect((await run('--master-key-file', newKeyFile(), 'list')).code).toBe(0);
      return expectRefresh(0);
    case 'old key retired':
      return expectRefresh(0);
  }
}

/** Ids of the data keys that sealed values need. */
const sealingKeys = () =>
  new Set(
    ['connections', 'clients'].flatMap((table) =>
      rowsOf<{ secrets: string }>(world.vaultPath, `SELECT secrets FROM ${table}`).map(({ secrets }) =>
        keyIdOf(secrets),
      ),
    ),
  );

async function expectRefresh(code: 0 | 2): Promise<void> {
  expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(code);
}

/** Everything the server still has for us is here, but what the row says; nothing was presented too often. */
async function expectNothingLost(row: KillRow): Promise<void> {
  const login = await stored();
  const held = [login?.refreshToken, login?.spare];
  const lost = ledger().filter((entry) => entry.isAccepted && !held.includes(entry.fingerprint));
  const known = rowsOf<{ client_id: string }>(world.vaultPath, 'SELECT client_id FROM clients');
  const forgotten = registrations().filter((id) => !known.some(({ client_id }) => client_id === id));
  expect([...lost.map(() => 'refresh token'), ...forgotten.map(() => 'registration')]).toEqual(
    row.leftAtServer,
  );
  expect(Math.max(...ledger().map(({ presentations }) => presentations))).toBe(row.presentations);
  expect(ledger().filter(({ presentations }) => presentations > 1).length).toBeLessThanOrEqual(1);
  // Where nothing is left to be done, nobody comes to see that the holder is gone.
  if (row.next !== 'not_found') expect(world.heldLeases()).toEqual([]);
}

/** Client ids the server has. */
function registrations(): string[] {
  const added = requests().filter(({ method, path }) => method === 'POST' && path === '/reg');
  const removed = requests().filter(({ method, status }) => method === 'DELETE' && status === 204);
  return added
    .map(({ answer }) => (answer as { client_id: string }).client_id)
    .filter((id) => !removed.some(({ path }) => path === `/reg/${id}`));
}

/** All steps of a journey, from its first to `last`. */
function stepsUpTo(last: Step): Step[] {
  const [kind = ''] = last.split('.');
  return STEPS.slice(0, STEPS.indexOf(last) + 1).filter((step) => step.startsWith(`${kind}.`));
}

describe('a process that is killed', () => {
  afterEach(() => world.close());

  it.each(KILL_ROWS.map((row) => [`${row.name}: ${row.expectation}`, row] as const))('%s', async (_, row) => {
    const before = await start(row);
    const killed = await die(row);
    expect(await killed.process.exited).toBeNull();
    expect(killed.process.process.signalCode).toBe('SIGKILL');
    expect(killed.steps()).toEqual(stepsUpTo(row.step));

    await expectWhole(row, before);
    await expectServed(row, before);
    await goOn(row, before);
    await expectNothingLost(row);
  });

  it('would show the steps after it, had it lived', async () => {
    world = await startProcessWorld();
    const { process, steps } = world.trace(['refresh', 'demo']);
    expect(await process.exited).toBe(0);
    expect(steps()).toEqual(stepsUpTo('refresh.released'));
  });

  it('may die at a later time it reaches the step', async () => {
    world = await startProcessWorld();
    const stopAt = { step: 'refresh.journaled', occurrence: 2 } as const;
    const daemon = await world.startDaemon(stopAt);
    world.expireAccessToken();
    expect((await daemon.ask()).status).toBe(200);
    world.expireAccessToken();
    await expect(daemon.ask()).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await daemon.process.exited).toBeNull();
    expect(daemon.steps()).toEqual([...stepsUpTo('refresh.released'), ...stepsUpTo('refresh.journaled')]);
  });
});

describe('the matrix', () => {
  it('has a row for every step of every journey', () => {
    const stepsOf = (journey: KillJourney) =>
      KILL_ROWS.filter((row) => row.journey === journey && !row.hasGrace && row.recovery === 'retry').map(
        ({ step }) => step,
      );
    const journeys = [
      ...(['first login', 'refresh by command', 'logout'] as const),
      ...(['new data key', 'new master key', 'old key retired'] as const),
    ];
    // A restore has another kind of end: kill-restore.test.ts has its steps.
    const steps = STEPS.filter((step) => !step.startsWith('restore.'));
    expect(journeys.flatMap(stepsOf)).toEqual(steps);
    expect(stepsOf('re-login')).toEqual(stepsOf('first login'));
    expect(stepsOf('refresh for an agent')).toEqual(stepsOf('refresh by command'));
    expect(new Set(KILL_ROWS.map(({ name }) => name)).size).toBe(KILL_ROWS.length);
  });
});
