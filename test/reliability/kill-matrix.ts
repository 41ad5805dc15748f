/**
 * What is left when a process is killed between two steps of a journey, and how it goes on. A crash may cost the
 * journey it came in, never a login that was saved. `kill-matrix.test.ts` runs each row; documents are made from them.
 */
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import { STEPS, type Step } from '../../src/steps.ts';

export type KillJourney =
  | 'first login'
  | 're-login'
  | 'refresh by command'
  | 'refresh for an agent'
  | 'logout'
  | 'new data key'
  | 'new master key'
  | 'old key retired';

export interface KillRow {
  /** Title of the case, unique. */
  name: string;
  journey: KillJourney;
  /** The process is killed here. */
  step: Step;
  /** The server answers a used refresh token once more, with the pair it issued for it. Else reuse ends the login. */
  hasGrace: boolean;
  /** As set for the server at the login. */
  recovery: RecoveryPolicy;
  /** Which login the vault holds right after, whole, and serves. */
  vault: 'none' | 'old' | 'new';
  /** The journal on the refresh token the vault held before. */
  journal: 'none' | 'open' | 'success';
  /** The dead process still has the connection's lease. Whoever wants it next sees that its holder is gone. */
  isLeased: boolean;
  /** How it goes on: what was interrupted is given again as long as it is not done, else the next refresh. */
  next: 'succeeds' | 'login_required' | 'not_found';
  /** How often any one refresh token was presented, from the first attempt to a refresh after all was over. */
  presentations: 0 | 1 | 2;
  /** What the server has in the end, and nobody here knows. */
  leftAtServer: readonly ('refresh token' | 'registration')[];
  /** What a person should know. */
  expectation: string;
}

type Outcome = Omit<KillRow, 'name' | 'journey' | 'step' | 'hasGrace' | 'recovery'>;
type Outcomes = Partial<Record<Step, Outcome>>;

const NOTHING_SAVED: Outcome = {
  ...{
    vault: 'none',
    journal: 'none',
    isLeased: false,
    next: 'succeeds',
    presentations: 1,
    leftAtServer: [],
  },
  expectation: 'nothing is connected yet; the next login uses the same registration',
};

/** The code was redeemed, and what it brought died with the process. */
const LOGIN_LOST = { leftAtServer: ['refresh token'], isLeased: true } as const;

const FIRST_LOGIN: Outcomes = {
  'login.client-saved': NOTHING_SAVED,
  'login.remembered': NOTHING_SAVED,
  'login.answered': NOTHING_SAVED,
  'login.consumed': { ...NOTHING_SAVED, isLeased: true },
  'login.redeemed': {
    ...{ ...NOTHING_SAVED, ...LOGIN_LOST },
    expectation: 'the new tokens died with the process: sign in again',
  },
  'login.sealed': {
    ...{ ...NOTHING_SAVED, ...LOGIN_LOST },
    expectation: 'the new tokens died with the process: sign in again',
  },
  'login.saved': {
    ...{ ...NOTHING_SAVED, vault: 'new', isLeased: true },
    expectation: 'it is connected, although nobody was told',
  },
};

const OLD_LOGIN_STAYS: Outcome = {
  ...NOTHING_SAVED,
  ...{ vault: 'old', expectation: 'the old login is served and can be refreshed' },
};

const RE_LOGIN: Outcomes = {
  'login.client-saved': OLD_LOGIN_STAYS,
  'login.remembered': OLD_LOGIN_STAYS,
  'login.answered': OLD_LOGIN_STAYS,
  'login.consumed': { ...OLD_LOGIN_STAYS, isLeased: true },
  'login.redeemed': {
    ...{ ...OLD_LOGIN_STAYS, ...LOGIN_LOST },
    expectation: 'the new tokens died with the process; the old login is served and can be refreshed',
  },
  'login.sealed': {
    ...{ ...OLD_LOGIN_STAYS, ...LOGIN_LOST },
    expectation: 'the new tokens died with the process; the old login is served and can be refreshed',
  },
  'login.saved': {
    ...{ ...OLD_LOGIN_STAYS, vault: 'new', isLeased: true },
    // A re-login never revokes: some servers would end the new login with the old one.
    leftAtServer: ['refresh token'],
    expectation:
      'the new login is served; the server keeps the replaced one until it ends, as after any re-login',
  },
};

const NOT_PRESENTED: Outcome = {
  ...{ vault: 'old', journal: 'none', isLeased: true, next: 'succeeds', presentations: 1, leftAtServer: [] },
  expectation: 'nothing was sent; the next refresh works',
};

const ANSWER_LOST: Outcome = {
  ...{ ...NOT_PRESENTED, journal: 'open', next: 'login_required', presentations: 2 },
  expectation: 'the answer died with the process: one re-presentation, then login_required',
};

const REFRESH: Outcomes = {
  'refresh.leased': NOT_PRESENTED,
  'refresh.journaled': {
    ...{ ...NOT_PRESENTED, journal: 'open' },
    expectation: 'the journal is open, though nothing was sent; the next refresh works',
  },
  'refresh.answered': ANSWER_LOST,
  'refresh.sealed': ANSWER_LOST,
  'refresh.saved': {
    ...{ ...NOT_PRESENTED, vault: 'new', journal: 'success' },
    expectation: 'the new pair is served, and the next refresh presents its refresh token',
  },
  'refresh.released': {
    ...{ ...NOT_PRESENTED, vault: 'new', journal: 'success', isLeased: false },
    expectation: 'the new pair is served, and the next refresh presents its refresh token',
  },
};

const ANSWER_COMES_AGAIN: Outcome = {
  ...{ ...ANSWER_LOST, next: 'succeeds' },
  expectation: 'the answer died with the process: one re-presentation brings it again, nothing is lost',
};

const REFRESH_WITH_GRACE: Outcomes = {
  'refresh.answered': ANSWER_COMES_AGAIN,
  'refresh.sealed': ANSWER_COMES_AGAIN,
};

const NEVER_AGAIN: Outcome = {
  ...{ ...ANSWER_LOST, presentations: 1, leftAtServer: ['refresh token'] },
  expectation: 'the answer died with the process, and nothing is presented again: login_required',
};

/** A server that must not be asked twice: the journal cannot tell a token that left from one that did not. */
const REFRESH_ONLY_ONCE: Outcomes = {
  'refresh.journaled': {
    ...{ ...NEVER_AGAIN, presentations: 0, leftAtServer: [] },
    expectation: 'nothing was sent, but nobody can know that: login_required',
  },
  'refresh.answered': NEVER_AGAIN,
  'refresh.sealed': NEVER_AGAIN,
};

const STILL_CONNECTED: Outcome = {
  ...{ vault: 'old', journal: 'none', isLeased: true, next: 'succeeds', presentations: 0, leftAtServer: [] },
  expectation: 'it is still connected; the logout can be given again',
};

const LOGOUT: Outcomes = {
  'logout.leased': STILL_CONNECTED,
  'logout.revoked': {
    ...STILL_CONNECTED,
    expectation: 'its tokens are revoked, yet it is still listed; the logout can be given again',
  },
  'logout.erased': {
    ...{ ...STILL_CONNECTED, vault: 'none', next: 'not_found', leftAtServer: ['registration'] },
    expectation: 'it is logged out; our registration stays at the server, without any login',
  },
  'logout.deregistered': {
    ...{ ...STILL_CONNECTED, vault: 'none', next: 'not_found' },
    expectation: 'it is logged out, although nobody was told',
  },
};

const KEY_HALF_CHANGED: Outcome = {
  ...{ ...STILL_CONNECTED, isLeased: false, presentations: 1 },
  expectation: 'the vault opens and everything in it; given again, the change is finished',
};

const NEW_DATA_KEY: Outcomes = {
  'data-key.made': KEY_HALF_CHANGED,
  'data-key.resealed': { ...KEY_HALF_CHANGED, expectation: 'everything is sealed under the new key' },
};

const NEW_MASTER_KEY: Outcomes = {
  'master-key.wrapped': {
    ...KEY_HALF_CHANGED,
    expectation: 'the vault opens with the old key and with the new',
  },
};

const KEY_RETIRED: Outcomes = {
  'key.retired': { ...KEY_HALF_CHANGED, expectation: 'the vault opens with the new key, and only with it' },
};

type Conditions = Pick<KillRow, 'hasGrace' | 'recovery'>;

const STRICT: Conditions = { hasGrace: false, recovery: 'retry' };
const GRACE: Conditions = { hasGrace: true, recovery: 'retry' };
const ONLY_ONCE: Conditions = { hasGrace: false, recovery: 'needs-login' };

function rowsFor(journey: KillJourney, outcomes: Outcomes, conditions = STRICT): KillRow[] {
  const { hasGrace, recovery } = conditions;
  const grace = hasGrace ? '; the server has a grace window' : '';
  const policy = recovery === STRICT.recovery ? '' : `; recovery ${recovery}`;
  return STEPS.filter((step) => step in outcomes).map((step) => ({
    name: `${journey} killed at ${step}${grace}${policy}`,
    ...{ journey, step, hasGrace, recovery },
    ...(outcomes[step] as Outcome),
  }));
}

/** Every row, journey by journey, in the order of the steps. */
export const KILL_ROWS: readonly KillRow[] = [
  ...rowsFor('first login', FIRST_LOGIN),
  ...rowsFor('re-login', RE_LOGIN),
  ...(['refresh by command', 'refresh for an agent'] as const).flatMap((journey) => [
    ...rowsFor(journey, REFRESH),
    ...rowsFor(journey, REFRESH_WITH_GRACE, GRACE),
    ...rowsFor(journey, REFRESH_ONLY_ONCE, ONLY_ONCE),
  ]),
  ...rowsFor('logout', LOGOUT),
  ...rowsFor('new data key', NEW_DATA_KEY),
  ...rowsFor('new master key', NEW_MASTER_KEY),
  ...rowsFor('old key retired', KEY_RETIRED),
];
