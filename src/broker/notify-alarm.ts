/**
 * The alarm about the vault itself: a new token that it cannot take, or a disk too full for the next one. What cannot be
 * written cannot be claimed there either, so the daemon tells by itself and remembers in memory what it told.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { duration } from '../core/duration.ts';
import { noticeFor, type Seen, type Told } from '../core/notice-policy.ts';
import { BrokerError } from '../errors.ts';
import type { NoticeWay } from '../vault/notices.ts';
import { timestamp } from './connections.ts';
import type { Context } from './context.ts';
import { endOf, isDue } from './notify-ladder.ts';
import type { NoticeMessage } from './notify-message.ts';
import { type NotifySettings, send, waysOf } from './notify-ways.ts';

type Parts = Pick<Context, 'clock' | 'fetchFor' | 'log' | 'unsaved' | 'vault'>;

/** How the alarm is called where others have the name of their connection. */
const VAULT = 'vault';

/** What is wrong with the vault. */
interface Trouble {
  code: 'save_failed' | 'disk_full';
  /** What happened, and what to do before the next check. */
  words: string;
}

/** Undefined: nothing is wrong. */
function troubleOf({ unsaved, vault }: Pick<Parts, 'unsaved' | 'vault'>): Trouble | undefined {
  if (unsaved.size > 0) {
    const words = `new tokens cannot be saved in ${vault.path}. Make room there and check its permissions`;
    return { code: 'save_failed', words };
  }
  try {
    vault.requireSpace();
    return undefined;
  } catch (error) {
    if (!(error instanceof BrokerError)) return undefined;
    return { code: 'disk_full', words: `${error.message}, so no token is refreshed. Make room` };
  }
}

/** To be called again and again: tells what is to be told now, by the same rule as of connections. Never rejects. */
export function createAlarm(parts: Parts, settings: NotifySettings): () => Promise<void> {
  const { clock, log } = parts;
  const pending = new Map<NoticeWay, { attempts: number; dueAt: number }>();
  const reached = new Set<NoticeWay>();
  let last: Told | undefined;
  let beganAt = 0;
  let message: NoticeMessage | undefined;

  function decide(now: number): void {
    const trouble = troubleOf(parts);
    const nextStep = trouble ? 'broker check' : null;
    const seen: Seen = { level: trouble ? 2 : 0, state: 'ok', nextStep, since: now, endsAt: null };
    const wish = noticeFor(last, seen, now);
    if (!wish) return;
    if (wish.kind === 'transition') beganAt = now;
    const words = trouble
      ? `${wish.kind === 'reminder' ? 'reminder: ' : ''}${VAULT} needs you: ${trouble.words}, then: broker check`
      : `${VAULT} works again (could not be written for ${duration(Math.max(0, now - beganAt))})`;
    message = {
      id: randomUUID(),
      type: trouble ? `vault.${trouble.code}` : 'vault.recovered',
      timestamp: timestamp(now),
      data: {
        ...{ kind: wish.kind, connection: VAULT, level: seen.level, message: words, host: hostname() },
        ...(trouble && nextStep ? { code: trouble.code, next_step: nextStep } : {}),
        since: timestamp(beganAt),
      },
    };
    pending.clear();
    const ways = trouble ? waysOf(settings) : [...reached];
    for (const way of ways) pending.set(way, { attempts: 0, dueAt: now });
    if (!trouble) reached.clear();
    last = { ...seen, step: wish.step, toldAt: now };
  }

  return async () => {
    decide(clock.now());
    if (message === undefined) return;
    for (const [way, { attempts, dueAt }] of pending) {
      if (!isDue(dueAt, clock.now())) continue;
      const sent = await send(parts, settings, way, message);
      if (sent.isDelivered) reached.add(way);
      else log.warn({ connection: VAULT, way, failure: sent.failure }, 'a notice could not be delivered');
      const end = endOf(sent, attempts + 1, clock.now());
      if ('outcome' in end) pending.delete(way);
      else pending.set(way, { attempts: attempts + 1, dueAt: end.nextAttemptAt });
    }
  };
}
