import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CheckCode } from '../../src/core/check-policy.ts';
import type { ConnectionState } from '../../src/core/connection.ts';
import { noticeFor, type Seen, seenOf, type Told } from '../../src/core/notice-policy.ts';
import { fakeConnection, NOW } from '../support/connection.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const LOGIN = 'broker login coda';
const REFRESH = 'broker refresh coda';

/** What is seen of the connection, all the things that can be. */
const SEEN = {
  fine: { level: 0, state: 'ok', nextStep: null },
  ending: { level: 1, state: 'ok', nextStep: LOGIN },
  failing: { level: 1, state: 'degraded', nextStep: REFRESH },
  down: { level: 75, state: 'degraded', nextStep: REFRESH },
  act: { level: 2, state: 'login_required', nextStep: LOGIN },
  actOtherwise: { level: 2, state: 'client_invalid', nextStep: 'broker add coda …' },
} as const satisfies Record<string, { level: CheckCode; state: ConnectionState; nextStep: string | null }>;
type Word = keyof typeof SEEN;

/** Seen at `NOW`, a day after it began. */
const seen = (word: Word, changes: Partial<Seen> = {}): Seen => ({
  ...SEEN[word],
  since: NOW - DAY_MS,
  endsAt: null,
  ...changes,
});
/** Told a minute before. */
const told = (word: Word, changes: Partial<Told> = {}): Told => ({
  ...SEEN[word],
  step: 0,
  toldAt: NOW - MINUTE_MS,
  ...changes,
});

describe('what is told', () => {
  it.each<[Word | 'nothing', Word, string | undefined]>([
    ['nothing', 'fine', undefined],
    ['nothing', 'ending', 'transition'],
    ['nothing', 'failing', 'transition'],
    ['nothing', 'down', 'transition'],
    ['nothing', 'act', 'transition'],
    ['fine', 'fine', undefined],
    ['fine', 'act', 'transition'],
    ['ending', 'fine', 'recovery'],
    ['ending', 'ending', undefined],
    ['ending', 'failing', 'transition'],
    ['ending', 'act', 'transition'],
    ['failing', 'fine', 'recovery'],
    ['failing', 'ending', 'recovery'],
    ['failing', 'failing', undefined],
    ['failing', 'down', 'transition'],
    ['failing', 'act', 'transition'],
    ['down', 'fine', 'recovery'],
    ['down', 'failing', undefined],
    ['down', 'down', undefined],
    ['down', 'act', 'transition'],
    ['act', 'fine', 'recovery'],
    ['act', 'ending', 'recovery'],
    ['act', 'down', 'transition'],
    ['act', 'act', undefined],
    ['act', 'actOtherwise', 'transition'],
  ])('after %s, of one that is now %s: %s', (before, now, kind) => {
    const last = before === 'nothing' ? undefined : told(before);
    expect(noticeFor(last, seen(now), NOW)?.kind).toBe(kind);
  });

  it.each<[Word, number, boolean]>([
    ['act', 0, true],
    ['ending', 0, true],
    ['failing', 14, false],
    ['failing', 15, true],
    ['down', 14, false],
    ['down', 15, true],
  ])('of one that is %s since %d min: %s', (word, minutes, isTold) => {
    const wish = noticeFor(undefined, seen(word, { since: NOW - minutes * MINUTE_MS }), NOW);
    expect(wish !== undefined).toBe(isTold);
  });

  it('can be told sooner or later of what may heal by itself', () => {
    const down = seen('down', { since: NOW - MINUTE_MS });
    expect(noticeFor(undefined, down, NOW, MINUTE_MS)).toEqual({ kind: 'transition', step: 0 });
    expect(noticeFor(undefined, down, NOW, 2 * MINUTE_MS)).toBeUndefined();
  });
});

describe('the ladder of reminders', () => {
  it.each(['failing', 'down', 'act'] as const)(
    'of one that stays %s is 1 day, 3 days, every week',
    (word) => {
      const days: number[] = [];
      let last = told(word, { toldAt: NOW });
      for (let hour = 1; hour <= 24 * 25; hour += 1) {
        const now = NOW + (hour * DAY_MS) / 24;
        const wish = noticeFor(last, seen(word), now);
        if (!wish) continue;
        expect(wish).toEqual({ kind: 'reminder', step: last.step + 1 });
        last = { ...last, step: wish.step, toldAt: now };
        days.push(hour / 24);
      }
      expect(days).toEqual([1, 3, 10, 17, 24]);
    },
  );

  it('of an end is at 14, 3 and 1 days before it, and none when nobody knows the end', () => {
    const endsAt = NOW + 30 * DAY_MS;
    const days: number[] = [];
    let last = told('ending', { toldAt: NOW });
    for (let day = 1; day < 30; day += 1) {
      const now = NOW + day * DAY_MS;
      expect(noticeFor(told('ending'), seen('ending'), now)).toBeUndefined();
      const wish = noticeFor(last, seen('ending', { endsAt }), now);
      if (!wish) continue;
      last = { ...last, step: wish.step, toldAt: now };
      days.push(30 - day);
    }
    expect(days).toEqual([14, 3, 1]);
  });

  it('begins anew when the end was put off, which is told', () => {
    const last = told('ending', { step: 2 });
    const seenNow = seen('ending', { endsAt: NOW + 29 * DAY_MS });
    expect(noticeFor(last, seenNow, NOW)).toEqual({ kind: 'recovery', step: 0 });
  });
});

describe('a clock that is set', () => {
  it.each([-400, 400])('by %d days reminds once at most, and goes on reminding', (days) => {
    const last = told('act', { toldAt: NOW });
    const now = NOW + days * DAY_MS;
    const reminded = { ...last, step: 1, toldAt: now };
    expect(noticeFor(last, seen('act'), now)).toEqual({ kind: 'reminder', step: 1 });
    expect(noticeFor(reminded, seen('act'), now + DAY_MS)).toBeUndefined();
    expect(noticeFor(reminded, seen('act'), now + 2 * DAY_MS)?.step).toBe(2);
  });

  it('back does not make a state of the future wait for its time', () => {
    expect(noticeFor(undefined, seen('down', { since: NOW + DAY_MS }), NOW)?.kind).toBe('transition');
  });
});

describe('what there is to tell of a connection', () => {
  it('is the end the finding is about, if it is about one', () => {
    const soon = { code: 1, message: '', nextStep: LOGIN } as const;
    const connection = fakeConnection({ accessExpiresAt: NOW + 1 });
    expect(seenOf(connection, { ...soon, endsAt: NOW + 2 })).toMatchObject({
      endsAt: NOW + 2,
      level: 1,
      state: 'ok',
    });
    expect(seenOf(connection, soon).endsAt).toBeNull();
  });
});

describe('over any course of things', () => {
  const words = Object.keys(SEEN) as Word[];
  const course = fc.array(fc.tuple(fc.constantFrom(...words), fc.integer({ min: 1, max: 3000 })), {
    maxLength: 60,
  });

  it('tells a change once, whatever must be acted on, and good news only after bad', () => {
    fc.assert(
      fc.property(course, (steps) => {
        let last: Told | undefined;
        let now = NOW;
        let since = NOW;
        let before: Word | undefined;
        for (const [word, minutes] of steps) {
          now += minutes * MINUTE_MS;
          const hasChanged = before === undefined || SEEN[word].state !== SEEN[before].state;
          if (hasChanged) since = now;
          before = word;
          const is = seen(word, { since });
          const wish = noticeFor(last, is, now);
          if (wish?.kind === 'recovery') expect(last?.level ?? 0).not.toBe(0);
          if (wish?.kind === 'transition') {
            // It is worse than what was told, or wants something else.
            const isNews =
              !last || last.level !== is.level || last.nextStep !== is.nextStep || last.state !== is.state;
            expect(isNews).toBe(true);
          }
          if (wish) last = { ...SEEN[word], step: wish.step, toldAt: now };
          if (is.level === 2) expect(last).toMatchObject({ level: 2, nextStep: is.nextStep });
          if (is.level === 0) expect(last?.level ?? 0).toBe(0);
          // Whoever looks again at once, here or elsewhere, has nothing to add.
          expect(noticeFor(last, is, now)).toBeUndefined();
        }
      }),
    );
  });
});
