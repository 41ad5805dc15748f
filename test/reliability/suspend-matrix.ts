/**
 * What comes of a process that falls asleep between two steps for so long that its lease ends, while another process
 * goes on, and wakes up. `suspend.test.ts` runs each row; documents are made from them.
 */
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import type { Step } from '../../src/steps.ts';

/** Whose pair it is: of the first login, of the one that slept, or of the other. */
export type Whose = 'old' | 'sleeper' | 'other' | 'none';

export interface SuspendRow {
  /** Title of the case, unique. */
  name: string;
  /** What the sleeper does: a daemon that refreshes for an agent, or a command. */
  journey: 'refresh' | 're-login';
  /** It sleeps from here. */
  step: Step;
  /** The command that is given meanwhile. */
  meanwhile: 'refresh' | 'login' | 'logout';
  /** The server answers a used refresh token once more, with the pair it issued for it. Else reuse ends the login. */
  hasGrace: boolean;
  /** As set for the server at the first login. */
  recovery: RecoveryPolicy;
  /** Exit code of that command. */
  otherCode: 0 | 2;
  /** What the sleeper says when it has woken: the status an agent gets, or its exit code. */
  woken: 200 | 404 | 0 | 2;
  current: Whose;
  spare: Whose;
  /** How often any one refresh token was presented by the two. */
  presentations: 0 | 1 | 2;
  /** How many refresh tokens the server would take that nobody here knows: those of logins that were replaced. */
  leftAtServer: 0 | 1 | 2;
  /** What comes of the next refresh: all is well, or its error. */
  next: 'ok' | 'upstream_unavailable' | 'not_found';
  /** What a person should know. */
  expectation: string;
}

type Outcome = Omit<SuspendRow, 'name' | 'journey' | 'step' | 'meanwhile' | 'hasGrace' | 'recovery'>;
type Conditions = Partial<Pick<SuspendRow, 'hasGrace' | 'recovery'>>;

function row(
  journey: SuspendRow['journey'],
  step: Step,
  meanwhile: SuspendRow['meanwhile'],
  outcome: Outcome,
  { hasGrace = false, recovery = 'retry' }: Conditions = {},
): SuspendRow {
  const grace = hasGrace ? '; the server has a grace window' : '';
  const policy = recovery === 'retry' ? '' : `; recovery ${recovery}`;
  const name = `${journey} asleep at ${step} during a ${meanwhile}${grace}${policy}`;
  return { name, journey, step, meanwhile, hasGrace, recovery, ...outcome };
}

const REFRESHED_BY_OTHER: Outcome = {
  ...{ otherCode: 0, woken: 200, current: 'other', spare: 'none', presentations: 1, leftAtServer: 0 },
  ...{ next: 'ok', expectation: 'the sleeper presents nothing, and serves what the other got' },
};

const LOGGED_IN_BY_OTHER: Outcome = {
  ...{ ...REFRESHED_BY_OTHER, presentations: 0, leftAtServer: 1 },
  expectation: 'the sleeper presents nothing, and serves the new login; the server keeps the replaced one',
};

const LOGGED_OUT_BY_OTHER: Outcome = {
  ...{ ...REFRESHED_BY_OTHER, woken: 404, current: 'none', presentations: 0, next: 'not_found' },
  expectation: 'the sleeper presents nothing, and finds nothing',
};

const LATE_PAIR_IS_SPARE: Outcome = {
  ...{ ...LOGGED_IN_BY_OTHER, spare: 'sleeper', presentations: 1, leftAtServer: 0 },
  expectation: 'the new login is served, and the late pair is its spare',
};

const ASKED_TWICE: Outcome = {
  ...{
    ...REFRESHED_BY_OTHER,
    otherCode: 2,
    current: 'sleeper',
    presentations: 2,
    next: 'upstream_unavailable',
  },
  expectation: 'the late pair is kept, but asking twice has ended the login at the server',
};

const ANSWERED_TWICE: Outcome = {
  ...{ ...REFRESHED_BY_OTHER, current: 'sleeper', presentations: 2 },
  expectation: 'both got the same pair, which is served',
};

const NOT_ASKED_TWICE: Outcome = {
  ...{ ...REFRESHED_BY_OTHER, otherCode: 2, current: 'sleeper' },
  expectation: 'the other asks nothing and gives up; the late pair is kept, and all is well',
};

const LATE_PAIR_IS_NOBODYS: Outcome = {
  ...{ ...LOGGED_OUT_BY_OTHER, presentations: 1 },
  expectation: 'the logout has ended the late pair at the server too',
};

const LOGIN_WINS: Outcome = {
  ...{ ...REFRESHED_BY_OTHER, woken: 0, current: 'sleeper', leftAtServer: 1 },
  expectation: 'the login wins; the server keeps the replaced one',
};

const NEVER_AGAIN: Conditions = { recovery: 'needs-login' };

/** Every row, step by step. */
export const SUSPEND_ROWS: readonly SuspendRow[] = [
  row('refresh', 'refresh.leased', 'refresh', REFRESHED_BY_OTHER),
  row('refresh', 'refresh.leased', 'login', LOGGED_IN_BY_OTHER),
  row('refresh', 'refresh.leased', 'logout', LOGGED_OUT_BY_OTHER),
  row('refresh', 'refresh.journaled', 'refresh', REFRESHED_BY_OTHER),
  row('refresh', 'refresh.journaled', 'login', LOGGED_IN_BY_OTHER),
  row('refresh', 'refresh.journaled', 'logout', LOGGED_OUT_BY_OTHER),
  row('refresh', 'refresh.journaled', 'refresh', NOT_ASKED_TWICE, NEVER_AGAIN),
  row('refresh', 'refresh.answered', 'refresh', ASKED_TWICE),
  row('refresh', 'refresh.answered', 'refresh', ANSWERED_TWICE, { hasGrace: true }),
  row('refresh', 'refresh.answered', 'refresh', NOT_ASKED_TWICE, NEVER_AGAIN),
  row('refresh', 'refresh.answered', 'login', LATE_PAIR_IS_SPARE),
  row('refresh', 'refresh.answered', 'logout', LATE_PAIR_IS_NOBODYS),
  row('refresh', 'refresh.sealed', 'login', LATE_PAIR_IS_SPARE),
  row('refresh', 'refresh.saved', 'refresh', REFRESHED_BY_OTHER),
  row('refresh', 'refresh.saved', 'login', { ...LOGGED_IN_BY_OTHER, presentations: 1 }),
  row('refresh', 'refresh.saved', 'logout', LATE_PAIR_IS_NOBODYS),
  row('re-login', 'login.answered', 'refresh', LOGIN_WINS),
  row('re-login', 'login.answered', 'logout', {
    ...{ ...LOGIN_WINS, presentations: 0, leftAtServer: 0 },
    expectation: 'it is connected again',
  }),
  row('re-login', 'login.consumed', 'refresh', LOGIN_WINS),
  ...(['login.consumed', 'login.redeemed', 'login.sealed'] as const).map((step) =>
    row('re-login', step, 'logout', {
      ...{ ...LOGIN_WINS, presentations: 0, leftAtServer: 0 },
      expectation: 'it is connected again, with the registration that waited for it',
    }),
  ),
  row('re-login', 'login.redeemed', 'refresh', LOGIN_WINS),
  row('re-login', 'login.redeemed', 'login', {
    ...{ ...LOGIN_WINS, presentations: 0, leftAtServer: 2 },
    expectation: 'the login that is saved last wins; the server keeps both replaced ones',
  }),
  row('re-login', 'login.sealed', 'refresh', LOGIN_WINS),
  row('re-login', 'login.saved', 'refresh', {
    ...{ ...LOGIN_WINS, current: 'other' },
    expectation: 'the other refreshes the new login; the server keeps the replaced one',
  }),
  row('re-login', 'login.saved', 'logout', {
    ...{ ...LOGGED_OUT_BY_OTHER, woken: 0, leftAtServer: 1 },
    expectation: 'the new login is logged out; the server keeps the replaced one',
  }),
];
