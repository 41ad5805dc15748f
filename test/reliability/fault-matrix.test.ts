import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { FaultWorld } from '../support/fault-world.ts';
import { startProviderWorld } from '../support/faulty-provider.ts';
import type { Presentation } from '../support/faulty-refreshes.ts';
import { FAULTS } from '../support/hostile-faults.ts';
import { startHostileWorld } from '../support/hostile-world.ts';
import type { CallAnswer } from '../support/http-call.ts';
import { auditTrail, type ConnectionRow, connectionRow, journal, rowsOf } from '../support/vault-file.ts';
import { type AgentAnswer, FAULT_ROWS, type FaultRow } from './fault-matrix.ts';

const HOUR_MS = 3_600_000;
/** When the access token is asked for: too short to be handed out without a refresh, yet alive. */
const LEFT_MS = 1000;
/** No refresh token is shown again sooner, whatever happened. */
const LEAST_PAUSE_MS = 5000;

/** Every row is run at both: a server as strict as we read the standards, and one that others wrote. */
const SERVERS = [
  ['the hostile server', startHostileWorld],
  ['oidc-provider', startProviderWorld],
] as const;

let world: FaultWorld;

afterEach(() => world.close());

interface Secrets extends ConnectionRow {
  secrets: string;
  access_expires_at: number | null;
}

const stored = () => connectionRow(world.vaultPath) as Secrets;
const shown = () => world.server.presentations;

function told({ status, json }: CallAnswer): AgentAnswer {
  if (status === 200) return json.warnings === undefined ? '200' : '200 with a warning';
  return `${status} ${json.code}` as AgentAnswer;
}

/** The request that meets the fault. Where the server would keep it waiting, its deadline passes. */
async function askUnderFault({ fault }: FaultRow): Promise<CallAnswer> {
  await world.fault(fault);
  const asked = world.askToken();
  const { kind } = FAULTS[fault].act;
  if (kind === 'hold' || kind === 'drip') {
    await world.server.untilHeld();
    world.expireDeadlines();
  }
  return asked;
}

/** What the server made of the faulty request: it never came, was never seen, or was granted and spoilt. */
function expectFaulted({ fault, manners = 1 }: FaultRow): void {
  const { commits, act } = FAULTS[fault];
  const isOutOfReach = act.kind === 'closed' || act.kind === 'moved';
  const met = { faulted: fault, outcome: commits ? 'rotated' : 'unseen' };
  expect(shown()).toMatchObject(isOutOfReach ? [] : Array(manners).fill(met));
}

/** An agent gets a token without a warning, and the protected server takes it. */
async function expectGoodToken(): Promise<void> {
  const answer = await world.askToken();
  expect(told(answer)).toBe('200');
  expect(await world.opens(answer.json.access_token)).toBe(true);
}

/** What holds at every moment, whatever went wrong. */
async function expectNothingLost(): Promise<void> {
  const newest = world.server.delivered.at(-1) ?? '';
  if (await world.server.isAlive(newest)) expect(await world.heldRefreshToken()).toBe(newest);
  expect(rowsOf(world.vaultPath, 'SELECT * FROM clients')).not.toHaveLength(0);
  const refreshes = auditTrail(world.vaultPath).filter(({ action }) => action === 'refresh');
  expect(refreshes).toHaveLength(journal(world.vaultPath).length);
  expectPolite();
}

const MISASKED = 'dead token called invalid_request';

/** Nothing is shown twice but after a fault, and then with a pause. */
function expectPolite(): void {
  const seen = new Map<string, Presentation>();
  for (const each of shown()) {
    const before = seen.get(each.fingerprint);
    if (before) {
      expect(before.faulted).toBeDefined();
      // A refusal of how it was asked used nothing up: the other manners follow at once.
      const isOtherManner = [before, each].every(({ faulted }) => faulted === MISASKED);
      if (!isOtherManner) expect(each.at - before.at).toBeGreaterThanOrEqual(LEAST_PAUSE_MS);
    }
    seen.set(each.fingerprint, each);
  }
}

/** The rows that are picked, each with a title that says what is expected. */
function titled(isPicked: (row: FaultRow) => boolean): (readonly [string, FaultRow])[] {
  return FAULT_ROWS.filter(isPicked).map((row) => {
    const left = row.state === 'ok' ? 'all is well' : row.state;
    return [`${row.name}: ${row.verdict.replaceAll('_', ' ')}, ${left}, then ${row.ending}`, row] as const;
  });
}

describe.each(SERVERS)('a refresh at %s that meets', (_server, start) => {
  it.each(titled(({ verdict }) => verdict === 'success'))('%s', async (_, row) => {
    world = await start();
    world.clock.jump(HOUR_MS - LEFT_MS);
    expect(told(await askUnderFault(row))).toBe(row.alive);
    expectFaulted(row);
    expect(stored()).toMatchObject({ state: row.state, generation: 2 });
    expect(stored().code ?? '').toMatch(row.code ?? /^$/);
    expect(journal(world.vaultPath)).toMatchObject([{ generation: 1, attempt: 1, outcome: 'success' }]);
    await expectNothingLost();

    world.clock.jump(2 * LEFT_MS);
    expect(told(await world.askToken())).toBe(row.expired);
    expect(shown()).toHaveLength(1);

    await world.fault(undefined);
    world.clock.jump(LEAST_PAUSE_MS);
    await world.broker.refresh(OPERATOR, 'demo').catch(() => undefined);
    expect(stored()).toMatchObject({ generation: 3, state: 'ok' });
    await expectGoodToken();
    expect(shown()).toHaveLength(row.presentations);
    await expectNothingLost();
  });

  it.each(titled(({ verdict }) => verdict !== 'success'))('%s', async (_, row) => {
    const { graceMs = 0, deadTokenErrors } = row;
    world = await start({ graceMs, request: { deadTokenErrors } });
    world.clock.jump(HOUR_MS - LEFT_MS);
    const { secrets } = stored();
    expect(told(await askUnderFault(row))).toBe(row.alive);
    expectFaulted(row);
    expect(stored()).toMatchObject({ state: row.state, generation: 1, failures: 1, secrets });
    expect(stored().code ?? '').toMatch(row.code ?? /^$/);
    const words: Partial<Record<typeof row.verdict, string | null>> = {
      unknown: null,
      final: 'invalid_grant',
    };
    const outcome = row.verdict in words ? words[row.verdict] : stored().code;
    const attempts = Array.from({ length: row.manners ?? 1 }, (_, index) => index + 1);
    expect(journal(world.vaultPath)).toMatchObject(
      attempts.map((attempt) => ({ generation: 1, attempt, outcome })),
    );
    expectNextAttempt(row);
    await expectNothingLost();

    world.clock.jump(2 * LEFT_MS);
    const before = shown().length;
    expect(told(await world.askToken())).toBe(row.expired);
    expect(shown(), 'shown before its time').toHaveLength(before);

    if (row.ending === 'waits for a login') {
      expect(shown()).toHaveLength(row.presentations);
      await expectOnlyLoginHelps(row.expired);
    } else await expectEnding(row, secrets);
  });
});

function expectNextAttempt({ nextAttemptSeconds }: FaultRow): void {
  const { next_attempt_at } = stored();
  if (nextAttemptSeconds === undefined) {
    expect(next_attempt_at).toBeNull();
    return;
  }
  const seconds = ((next_attempt_at ?? 0) - world.clock.now()) / 1000;
  // Jitter and `Retry-After` are rounded to seconds.
  expect(seconds).toBeGreaterThanOrEqual(nextAttemptSeconds[0] - 1);
  expect(seconds).toBeLessThanOrEqual(nextAttemptSeconds[1] + 1);
}

/** Moves to the planned attempt; a moment earlier nothing is shown. */
async function reachNextAttempt(): Promise<void> {
  const before = shown().length;
  world.clock.jump((stored().next_attempt_at ?? 0) - world.clock.now() - 1);
  await world.askToken();
  expect(shown(), 'shown before its time').toHaveLength(before);
  world.clock.jump(1);
}

async function expectEnding(row: FaultRow, secrets: string): Promise<void> {
  await climbLadder(row.lastsMs ?? 0, secrets);
  if (row.lastsMs !== Number.POSITIVE_INFINITY) {
    await world.fault(undefined);
    await reachNextAttempt();
  }
  const answer = told(await world.askToken());
  expect(shown().length).toBeLessThanOrEqual(row.presentations);
  expect(shown().length).toBeGreaterThanOrEqual(row.lastsMs === undefined ? row.presentations : 2);
  const { commits } = FAULTS[row.fault];
  const { outcome } = shown().at(-1) as Presentation;
  if (row.ending === 'recovers') {
    expect(answer).toBe('200');
    expect(outcome).toBe(commits ? 'grace' : 'rotated');
    await expectRecovered();
  } else {
    expect(answer).toBe('409 login_required');
    expect(outcome).toBe(commits ? 'reused' : 'unseen');
    expect(await world.server.family()).toEqual({ revoked: commits, generation: commits ? 2 : 1 });
    expect(stored()).toMatchObject({ state: 'login_required', generation: 1, secrets });
    await expectOnlyLoginHelps('409 login_required');
  }
}

/** Every planned attempt fails for so long, and takes nothing away. */
async function climbLadder(lastsMs: number, secrets: string): Promise<void> {
  const until = world.clock.now() + lastsMs;
  while ((stored().next_attempt_at ?? until) < until) {
    await reachNextAttempt();
    await world.askToken();
    expect(stored()).toMatchObject({ generation: 1, secrets });
    await expectNothingLost();
  }
}

/** All is well again, and the refresh after it too. */
async function expectRecovered(): Promise<void> {
  expect(stored()).toMatchObject({ state: 'ok', generation: 2, failures: 0, next_attempt_at: null });
  expect(journal(world.vaultPath).filter(({ finished_at }) => finished_at === null)).toEqual([]);
  await expectNothingLost();
  world.clock.jump(HOUR_MS);
  await expectGoodToken();
  expect(stored()).toMatchObject({ state: 'ok', generation: 3 });
  expect(await world.server.family()).toEqual({ revoked: false, generation: 3 });
  await expectNothingLost();
}

/** A day later nothing has been shown again, and a person mends it. */
async function expectOnlyLoginHelps(answer: AgentAnswer): Promise<void> {
  const count = shown().length;
  world.clock.jump(24 * HOUR_MS);
  expect(told(await world.askToken())).toBe(answer);
  expect(shown()).toHaveLength(count);
  await expectNothingLost();
  await world.fault(undefined);
  await world.signIn();
  await expectGoodToken();
  expect(await world.server.family()).toEqual({ revoked: false, generation: 1 });
  expect(stored()).toMatchObject({ state: 'ok', generation: 2 });
}
