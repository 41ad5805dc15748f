/** Sends what is planned, tries again what fails, and starts and stops with the daemon. */
import type { Steps } from '../vault/database.ts';
import {
  claimDelivery,
  type Delivery,
  finishAttempt,
  type NoticeWay,
  pendingDeliveries,
} from '../vault/notices.ts';
import type { Context } from './context.ts';
import { planNotices } from './notices.ts';
import { createAlarm } from './notify-alarm.ts';
import { endOf, isDue, isSoon } from './notify-ladder.ts';
import { messageOf } from './notify-message.ts';
import { type NotifySettings, send, waysOf } from './notify-ways.ts';

type Parts = Pick<Context, 'vault' | 'clock' | 'log' | 'fetchFor'>;

const MINUTE_MS = 60_000;

/** So that an attempt which another process is quicker to make does not spin. */
const SHORTEST_PAUSE_MS = 250;

/** Whoever waits for a command has no patience for a second hanging receiver. */
const CHECK_PATIENCE_MS = MINUTE_MS;

/** How one attempt went. */
export interface Attempt {
  connection: string;
  way: NoticeWay;
  /** Words for people. Undefined: it was delivered. */
  failure: string | undefined;
}

/**
 * Tells once what is to be told now, as a command does: what fails is tried again quickly three times, and then left to
 * the next call, or to a daemon. The result is what was tried and did not arrive.
 */
export async function tellNow(parts: Parts, settings: NotifySettings): Promise<Attempt[]> {
  const { clock, vault } = parts;
  const startedAt = clock.now();
  const failed = new Map<string, Attempt>();
  await planNotices(parts, settings);
  for (;;) {
    for (const attempt of await deliverDue(parts, settings)) {
      const key = `${attempt.way} ${attempt.connection}`;
      if (attempt.failure === undefined) failed.delete(key);
      else failed.set(key, attempt);
    }
    const now = clock.now();
    const nextAt = await vault.run(() => nextAttemptAt(settings, now));
    const isWorthWaiting = nextAt !== undefined && isSoon(nextAt, now);
    if (!isWorthWaiting || Math.abs(now - startedAt) >= CHECK_PATIENCE_MS) return [...failed.values()];
    await clock.wait(Math.max(0, nextAt - now));
  }
}

/** When the next attempt is due. Undefined: none is planned. */
function* nextAttemptAt(settings: NotifySettings, now: number): Steps<number | undefined> {
  let next: number | undefined;
  for (const way of waysOf(settings))
    for (const { dueAt } of yield* pendingDeliveries(way, now)) next = Math.min(next ?? dueAt, dueAt);
  return next;
}

/**
 * Makes the attempts that are due, on each way one after the other. A way that fails is left alone until the next call:
 * it would hang once for every connection.
 */
async function deliverDue(parts: Parts, settings: NotifySettings): Promise<Attempt[]> {
  const attempts = await Promise.all(waysOf(settings).map((way) => deliverOn(parts, settings, way)));
  return attempts.flat();
}

async function deliverOn(parts: Parts, settings: NotifySettings, way: NoticeWay): Promise<Attempt[]> {
  const { vault, clock } = parts;
  const now = clock.now();
  const made: Attempt[] = [];
  for (const delivery of await vault.run(() => pendingDeliveries(way, now))) {
    if (!isDue(delivery.dueAt, now)) continue;
    const isOurs = await vault.transaction(() => claimDelivery(delivery, vault.owner, clock.now()));
    if (!isOurs) continue;
    const failure = await attempt(parts, settings, delivery);
    made.push({ connection: delivery.notice.connection, way, failure });
    if (failure !== undefined) break;
  }
  return made;
}

/** The words of a failure. Undefined: it was delivered. */
async function attempt(
  parts: Parts,
  settings: NotifySettings,
  delivery: Delivery,
): Promise<string | undefined> {
  const { vault, clock } = parts;
  const sent = await send(parts, settings, delivery.way, messageOf(delivery.notice));
  const end = endOf(sent, delivery.attempts + 1, clock.now());
  await vault.transaction(() => finishAttempt(delivery, vault.owner, end));
  if (sent.isDelivered) return undefined;
  return sent.isRefused ? `${sent.failure}: it is not tried again` : sent.failure;
}

/** How often the daemon asks whether anything has changed, which costs microseconds. */
const GLANCE_MS = 5_000;
/** How often it looks at everything: what only time brings about changes nothing in the vault. */
const LOOK_MS = MINUTE_MS;

export interface Teller {
  /** Stops. Attempts under way come to their end, within 30 s. */
  stop(): Promise<void>;
}

/** Tells until stopped. */
export function startTelling(parts: Parts & Pick<Context, 'unsaved'>, settings: NotifySettings): Teller {
  const { vault, clock, log } = parts;
  const raiseAlarm = createAlarm(parts, settings);
  const stopping = new AbortController();
  let seen = '';
  let sinceLookMs = LOOK_MS;
  let nextAt: number | undefined;

  async function turn(): Promise<void> {
    await raiseAlarm();
    const state = `${vault.changes()} ${vault.foreignVersion()}`;
    const isToLook = state !== seen || sinceLookMs >= LOOK_MS;
    if (isToLook) {
      await planNotices(parts, settings);
      seen = state;
      sinceLookMs = 0;
    }
    if (!isToLook && (nextAt === undefined || !isDue(nextAt, clock.now()))) return;
    for (const { failure, ...facts } of await deliverDue(parts, settings)) {
      if (failure === undefined) log.info(facts, 'a notice was delivered');
      else log.warn({ ...facts, failure }, 'a notice could not be delivered');
    }
    nextAt = await vault.run(() => nextAttemptAt(settings, clock.now()));
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await turn().catch((error: unknown) => {
        // A vault that is busy or full: the next turn looks again.
        log.error({ err: error }, 'people could not be told');
        seen = '';
      });
      const untilNext = (nextAt ?? Number.POSITIVE_INFINITY) - clock.now();
      const pauseMs = Math.min(Math.max(untilNext, SHORTEST_PAUSE_MS), GLANCE_MS);
      await clock.wait(pauseMs, stopping.signal).catch(() => {});
      sinceLookMs += pauseMs;
    }
  }

  const looping = loop();
  return {
    async stop() {
      stopping.abort();
      await looping;
    },
  };
}
