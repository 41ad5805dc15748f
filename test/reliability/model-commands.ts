/**
 * What may happen to several brokers on one vault, as data: `fast-check` draws lists of commands, and makes those that
 * fail smaller. `model-actor.ts` carries them out.
 */
import fc from 'fast-check';
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import { FAULTS, type FaultName } from '../support/hostile-faults.ts';
import { STOP_PLACES, type StopPlace } from '../support/peer-network.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** What a run stands under. */
export interface Conditions {
  /** The server: how it treats a refresh token that was used. */
  graceMs: number;
  rotate: boolean;
  accessTokenSeconds: number;
  /** The broker: what to do when an answer was lost. */
  recovery: RecoveryPolicy;
  /** Whether the first of the brokers is a daemon. */
  hasDaemon: boolean;
  /** Seed of the order in which things happen that could happen at once. 0: as they come. */
  order: number;
}

/** Brokers on the vault. */
export const PLACES = 3;

/** How many steps of it happen before the next command begins. Undefined: all that need no time. */
type Steps = number | undefined;

export type Command =
  | { do: 'ask'; at: number; minTtlSeconds: number; isRejected: boolean; steps: Steps }
  | { do: 'refresh'; at: number; steps: Steps }
  | { do: 'begin login'; at: number; isNewClient: boolean }
  /** The person of the oldest login comes back. */
  | { do: 'finish login'; steps: Steps }
  | { do: 'logout'; at: number; steps: Steps }
  | { do: 'pass'; ms: number }
  | { do: 'pass to the next attempt' }
  | { do: 'fault'; name: FaultName; times: number }
  | { do: 'faults end' }
  /** An administrator ends the grant at the server. */
  | { do: 'revoke' }
  /** The next request that changes something is kept on its way, or its answer is. */
  | { do: 'hold'; what: 'request' | 'answer' }
  | { do: 'let go' }
  /** A broker stops where it stands, or where it will come to: for a while, or for ever. */
  | { do: 'stop'; at: number; how: 'asleep' | 'dead'; place: StopPlace | 'here' }
  /** A broker falls asleep in the middle of a refresh, for longer than its lease. */
  | { do: 'oversleep'; at: number }
  | { do: 'wake'; at: number }
  | { do: 'restart'; at: number };

const at = fc.nat({ max: PLACES - 1 });
/** Mostly all of them, so that a failure is easy to read. */
const steps = fc.option(fc.nat({ max: 40 }), { nil: undefined, freq: 2 });

const SERVERS: readonly Pick<Conditions, 'graceMs' | 'rotate' | 'recovery'>[] = [
  { graceMs: 0, rotate: true, recovery: 'retry' },
  { graceMs: 5 * MINUTE_MS, rotate: true, recovery: 'retry' },
  { graceMs: 0, rotate: true, recovery: 'needs-login' },
  { graceMs: 0, rotate: false, recovery: 'retry' },
  { graceMs: 0, rotate: false, recovery: 'reuse-safe' },
];

export const conditions: fc.Arbitrary<Conditions> = fc
  .record({
    server: fc.constantFrom(...SERVERS),
    accessTokenSeconds: fc.constantFrom(3600, 300),
    hasDaemon: fc.boolean(),
    order: fc.oneof(fc.constant(0), fc.nat()),
  })
  .map(({ server, ...rest }) => ({ ...server, ...rest }));

/** Times at which the rules change: pauses, deadlines, leases, lifetimes, keep-alive. */
const TIMES_MS = [
  ...[1, 5, 7, 31, 61, 91].map((count) => count * SECOND_MS),
  ...[4, 10, 50, 61].map((count) => count * MINUTE_MS),
  ...[5 * HOUR_MS, DAY_MS, 8 * DAY_MS],
];

const ask = fc.record({
  do: fc.constant('ask' as const),
  at,
  minTtlSeconds: fc.constantFrom(0, 60, 3600),
  isRejected: fc.boolean(),
  steps,
});

const places = [...STOP_PLACES, 'here' as const];

/** One command. Those a grant lives by come often, and those that end it seldom. */
export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 16, arbitrary: ask },
  { weight: 16, arbitrary: fc.record({ do: fc.constant('refresh' as const), at, steps }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('begin login' as const), at, isNewClient: fc.boolean() }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('finish login' as const), steps }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('logout' as const), at, steps }) },
  {
    weight: 16,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(...TIMES_MS) }),
  },
  { weight: 8, arbitrary: fc.constant({ do: 'pass to the next attempt' as const }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('fault' as const),
      name: fc.constantFrom(...(Object.keys(FAULTS) as FaultName[])),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: 'faults end' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'revoke' as const }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('hold' as const),
      what: fc.constantFrom('request' as const, 'answer' as const),
    }),
  },
  { weight: 5, arbitrary: fc.constant({ do: 'let go' as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('stop' as const),
      at,
      how: fc.constantFrom('asleep' as const, 'dead' as const),
      place: fc.constantFrom(...places),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('oversleep' as const), at }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('wake' as const), at }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const), at }) },
);
