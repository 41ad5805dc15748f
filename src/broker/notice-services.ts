/** All about telling people, for the commands and the daemon. */
import { randomUUID } from 'node:crypto';
import { listNotices } from '../vault/notices.ts';
import { timestamp } from './connections.ts';
import type { Context } from './context.ts';
import { type Attempt, startTelling, type Teller, tellNow } from './notify.ts';
import { testMessage } from './notify-message.ts';
import { type NotifySettings, type SendParts, send, waysOf } from './notify-ways.ts';

export interface NoticeServices {
  /** Tells what is to be told now; what could not be delivered is the result. */
  tellNow(settings: NotifySettings): Promise<Attempt[]>;
  /** Tells from now on, until the broker is closed. */
  start(settings: NotifySettings): void;
  /** What was told in the last 90 days, the newest first. */
  list(): Promise<NoticeView[]>;
  /** Ends what `start` began. */
  stop(): Promise<void>;
}

export interface NoticeView {
  told_at: string;
  connection: string;
  kind: string;
  level: number;
  state: string;
  code?: string;
  message: string;
  /** Empty: nobody had to be told. */
  deliveries: DeliveryView[];
}

export interface DeliveryView {
  way: string;
  /** `pending`: it is tried again. */
  outcome: 'delivered' | 'pending' | 'overtaken' | 'refused';
  attempts: number;
  next_attempt_at?: string;
  failure?: string;
}

export interface TestView {
  way: string;
  delivered: boolean;
  failure?: string;
}

export function createNoticeServices(context: Context): NoticeServices {
  let teller: Teller | undefined;
  return {
    tellNow: (settings) => tellNow(context, settings),
    start(settings) {
      teller ??= startTelling(context, settings);
    },
    list: () => list(context),
    async stop() {
      await teller?.stop();
    },
  };
}

/** Sends a test on each way now, one attempt each. No vault is needed. */
export async function testNotices(
  parts: SendParts,
  settings: NotifySettings,
  connection: string,
): Promise<TestView[]> {
  const message = testMessage(randomUUID(), connection, parts.clock.now());
  return Promise.all(
    waysOf(settings).map(async (way) => {
      const sent = await send(parts, settings, way, message);
      return sent.isDelivered ? { way, delivered: true } : { way, delivered: false, failure: sent.failure };
    }),
  );
}

async function list({ vault }: Context): Promise<NoticeView[]> {
  const all = await vault.run(() => listNotices());
  return all.map(({ notice, deliveries }) => ({
    told_at: timestamp(notice.toldAt),
    ...{ connection: notice.connection, kind: notice.kind, level: notice.level, state: notice.state },
    ...(notice.code === null ? {} : { code: notice.code }),
    message: notice.message,
    deliveries: deliveries.map(({ way, outcome, attempts, next_attempt_at, failure }) => ({
      ...{ way, outcome: outcome ?? 'pending', attempts },
      ...(next_attempt_at === null ? {} : { next_attempt_at: timestamp(next_attempt_at) }),
      ...(failure === null ? {} : { failure }),
    })),
  }));
}
