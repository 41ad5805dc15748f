/** A hostile world for tests that move its clock: what they do over and over, and what they look at. */
import { expect } from 'vitest';
import type { PresentationOutcome } from './hostile-grants.ts';
import type { HostileServerOptions } from './hostile-server.ts';
import { type HostileWorld, startHostileWorld } from './hostile-world.ts';
import type { CallAnswer } from './http-call.ts';
import { untilNoLease } from './leases.ts';
import { type ConnectionRow, connectionRow } from './vault-file.ts';

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
export const YEAR_MS = 365 * DAY_MS;

/** No sleep of the scheduler is longer. */
const LONGEST_SLEEP_MS = 30 * SECOND_MS;

/** The row of `demo` with its instants, epoch ms. */
export interface TimedRow extends ConnectionRow {
  received_at: number;
  access_expires_at: number | null;
}

export interface TimeWorld extends HostileWorld {
  stored(): TimedRow;
  /** What became of every refresh token shown, in order. */
  outcomes(): PresentationOutcome[];
  /**
   * Lets so much time pass, in `steps` equal ones, and waits after each for what it set off. Of a step that is longer
   * than any sleep, the most is slept through at once, as on a machine that is suspended.
   */
  pass(ms: number, steps?: number): Promise<void>;
  /** Lets time pass by seconds, each with room for network and disk, until `isOver` or for so long. How long it was. */
  elapse(longestMs: number, isOver?: () => boolean): Promise<number>;
  /** An agent asks, and the refresh this causes stands at the server, which has committed it or not. */
  askAndHold(isCommitted: boolean): Promise<{ answered: Promise<CallAnswer> }>;
  /** Ten ask at the same moment. Fails unless all get one token that the server accepts. */
  askMany(): Promise<void>;
  /** Fails unless the newest pair is in the vault, its token came now and ends an hour later. */
  expectFresh(generation: number): Promise<void>;
}

/** Starts it; `demo` is signed in. */
export async function startTimeWorld(options: HostileServerOptions = {}): Promise<TimeWorld> {
  const world = await startHostileWorld(options);
  const { clock, hostile, vaultPath } = world;
  const stored = () => connectionRow(vaultPath) as TimedRow;
  return {
    ...world,
    stored,
    outcomes: () => hostile.presentations.map(({ outcome }) => outcome),
    async pass(ms, steps = Math.ceil(ms / LONGEST_SLEEP_MS)) {
      const stepMs = ms / steps;
      for (let step = 0; step < steps; step += 1) {
        await clock.untilWaiting();
        const awakeMs = Math.min(stepMs, LONGEST_SLEEP_MS);
        clock.jump(stepMs - awakeMs);
        await clock.advance(awakeMs);
        await untilNoLease(vaultPath);
      }
    },
    async elapse(longestMs, isOver = () => false) {
      let passedMs = 0;
      for (; passedMs < longestMs && !isOver(); passedMs += SECOND_MS) {
        await clock.advance(SECOND_MS);
        // Whatever else is on its way to the server now comes there before this.
        await fetch(hostile.url);
      }
      return passedMs;
    },
    async askAndHold(isCommitted) {
      const held = 'no answer before the deadline';
      await world.fault(isCommitted ? `${held}, committed` : held, { times: 1 });
      const answered = world.askToken();
      await hostile.untilHeld();
      return { answered };
    },
    async askMany() {
      const answers = await Promise.all(Array.from({ length: 10 }, () => world.askToken()));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
      const tokens = new Set(answers.map(({ json }) => String(json.access_token)));
      expect(tokens.size).toBe(1);
      for (const token of tokens) expect(hostile.resourceOf(token)).toBe(hostile.resource);
      for (const { json } of answers) expect(json.expires_in).toBeLessThanOrEqual(HOUR_MS / SECOND_MS);
    },
    async expectFresh(generation) {
      const { received_at, access_expires_at, ...rest } = stored();
      expect(rest).toMatchObject({ state: 'ok', generation, failures: 0, next_attempt_at: null });
      expect(received_at).toBeLessThanOrEqual(clock.now());
      expect(received_at).toBeGreaterThan(clock.now() - HOUR_MS);
      expect(access_expires_at).toBe(received_at + HOUR_MS);
      expect(await world.heldRefreshToken()).toBe(hostile.delivered.at(-1));
      expect(hostile.family().revoked).toBe(false);
    },
  };
}
