/**
 * When somebody is told how a connection is doing: once when it gets worse, again while it stays so, and once when it
 * works again.
 *
 * All follows from the last notice and what is seen now, so every process that looks comes to the same answer, and
 * whichever writes it down first is the one that tells. What heals by itself within some minutes is told to nobody.
 */
import type { Finding, FindingCode } from './check-policy.ts';
import type { Connection, ConnectionState } from './connection.ts';

export type NoticeKind = 'transition' | 'reminder' | 'recovery';

/** What a notice says of a connection. */
export interface Situation {
  level: FindingCode;
  state: ConnectionState;
  /** The command that mends it. Null: nothing to do. */
  nextStep: string | null;
}

/** What is seen of a connection now. */
export interface Seen extends Situation {
  /** Since when it is in this state, epoch ms. */
  since: number;
  /** When what it works with ends or has ended, epoch ms. Null: nothing of it does, or nobody knows when. */
  endsAt: number | null;
}

/** The last notice of a connection. */
export interface Told extends Situation {
  /** How far down the ladder of reminders it was, or how near the end of something. */
  step: number;
  /** Epoch ms. */
  toldAt: number;
}

export interface Wish {
  kind: NoticeKind;
  step: number;
}

/** How long a failing refresh may last before anybody is told. */
export const DEFAULT_NOTIFY_AFTER_MS = 15 * 60_000;

const DAY_MS = 24 * 60 * 60_000;

/** From each notice to the next while a connection stays bad: after one day, after three, then every week. */
const REMINDER_PAUSES_MS = [DAY_MS, 2 * DAY_MS];
const LAST_PAUSE_MS = 7 * DAY_MS;

/** Ends are told again at each of these distances. */
const END_LEVELS_MS = [14 * DAY_MS, 3 * DAY_MS, DAY_MS];

/**
 * How bad it is, the least first. `ending`: it works, and a person has to act before an end. `failing`: the present
 * token works, newer ones cannot be had. `down`: no token at the moment. `act`: it waits for somebody.
 */
const TROUBLES = ['none', 'ending', 'failing', 'down', 'act'] as const;
type Trouble = (typeof TROUBLES)[number];

/** What there is to tell of. */
export function seenOf(
  { state, since }: Pick<Connection, 'state' | 'since'>,
  { code, nextStep, endsAt }: Finding,
): Seen {
  return { level: code, state, nextStep, since, endsAt: endsAt ?? null };
}

/**
 * What to tell now. Undefined: nothing.
 *
 * @param last the last notice of this connection, whether or not it reached anybody
 * @param notifyAfterMs how long `failing` and `down` must last before they count
 */
export function noticeFor(
  last: Told | undefined,
  seen: Seen,
  now: number,
  notifyAfterMs = DEFAULT_NOTIFY_AFTER_MS,
): Wish | undefined {
  const before = last === undefined ? 'none' : troubleOf(last);
  const trouble = troubleOf(seen);
  if (!last || before === 'none') {
    if (trouble === 'none' || !isWorthTelling(trouble, seen, now, notifyAfterMs)) return undefined;
    return { kind: 'transition', step: firstStep(trouble, seen, now) };
  }
  if (trouble === 'none') return { kind: 'recovery', step: 0 };
  if (trouble === 'ending') return aboutAnEnd(before, last, endStep(seen, now));
  if (!isWorthTelling(trouble, seen, now, notifyAfterMs)) return undefined;
  if (isWorse(trouble, before) || seen.nextStep !== last.nextStep) return { kind: 'transition', step: 0 };
  const pauseMs = REMINDER_PAUSES_MS[last.step] ?? LAST_PAUSE_MS;
  if (distance(now, last.toldAt) < pauseMs) return undefined;
  return { kind: 'reminder', step: last.step + 1 };
}

/** Whether there is anything a person should know. */
export function isTrouble(told: Situation): boolean {
  return troubleOf(told) !== 'none';
}

/** Whether that is more than an end that comes nearer. */
export function isBroken(told: Situation): boolean {
  return isWorse(troubleOf(told), 'ending');
}

function troubleOf({ level, state }: Situation): Trouble {
  switch (level) {
    case 0:
      return 'none';
    case 1:
      return state === 'ok' ? 'ending' : 'failing';
    case 75:
      return 'down';
    case 2:
      return 'act';
  }
}

const isWorse = (one: Trouble, other: Trouble) => TROUBLES.indexOf(one) > TROUBLES.indexOf(other);

/** What a person must do is told at once; what the next attempt may mend, when it has lasted. */
function isWorthTelling(trouble: Trouble, { since }: Seen, now: number, notifyAfterMs: number): boolean {
  if (trouble === 'act' || trouble === 'ending') return true;
  return distance(now, since) >= notifyAfterMs;
}

/** It works, until something ends: good news after bad, else told once at each level. */
function aboutAnEnd(before: Trouble, last: Told, step: number): Wish | undefined {
  if (isWorse(before, 'ending')) return { kind: 'recovery', step };
  if (step > last.step) return { kind: 'reminder', step };
  // Somebody put the end off, and will be told of the new one at each level again.
  return step < last.step ? { kind: 'recovery', step } : undefined;
}

function firstStep(trouble: Trouble, seen: Seen, now: number): number {
  return trouble === 'ending' ? endStep(seen, now) : 0;
}

/** How many levels of nearness are passed. */
function endStep({ endsAt }: Seen, now: number): number {
  if (endsAt === null) return 0;
  return END_LEVELS_MS.filter((levelMs) => endsAt - now <= levelMs).length;
}

/** Either way: a clock that was set back must silence nobody. */
function distance(now: number, then: number): number {
  return Math.abs(now - then);
}
