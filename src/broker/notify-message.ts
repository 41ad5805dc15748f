/** A notice as it is sent. Never a token, nor anything made of one. */
import { hostname } from 'node:os';
import { noticeType } from '../core/notice-words.ts';
import { printable } from '../errors.ts';
import type { Notice } from '../vault/notices.ts';
import { timestamp } from './connections.ts';

export interface NoticeMessage {
  /** Also the `webhook-id`: the same for all attempts, so that a receiver knows what it has seen. */
  id: string;
  /** Such as `connection.login_required`. */
  type: string;
  /** When it came to be told, RFC 3339; not when it is sent. */
  timestamp: string;
  data: {
    /** `test` is told on purpose, and of nothing. */
    kind: Notice['kind'] | 'test';
    /** Name of the connection. */
    connection: string;
    /** What `broker check` exits with: 0, 1, 75 or 2. */
    level: number;
    state?: string;
    code?: string;
    cause?: string;
    /** One line, with the command. */
    message: string;
    next_step?: string;
    /** When it began. */
    since?: string;
    /** The machine that tells it. */
    host: string;
  };
}

/** How one attempt went. */
export type Sent =
  | { isDelivered: true }
  | {
      isDelivered: false;
      /** Words for people. */
      failure: string;
      /** The receiver wants nothing any more: it is not tried again. */
      isRefused?: boolean;
      /** Not before. */
      retryAfterSeconds?: number;
    };

/** What is sent of a notice. */
export function messageOf(notice: Notice): NoticeMessage {
  const { id, kind, connection, level, state, code, cause, message, nextStep, beganAt } = notice;
  return {
    id,
    type: noticeType(kind, notice),
    timestamp: timestamp(notice.toldAt),
    data: {
      ...{ kind, connection, level, state },
      ...(code === null ? {} : { code }),
      // What a server said of it: safe to show, and long enough.
      ...(cause === null ? {} : { cause: printable(cause) }),
      message,
      ...(nextStep === null ? {} : { next_step: nextStep }),
      since: timestamp(beganAt),
      host: hostname(),
    },
  };
}

/** A message that says only that messages arrive. */
export function testMessage(id: string, connection: string, now: number): NoticeMessage {
  const host = hostname();
  const message = `test: this is how the broker on ${host} tells of ${connection}; nothing is wrong, nothing to do`;
  const data = { kind: 'test', connection, level: 0, message, host } as const;
  return { id, type: 'notify.test', timestamp: timestamp(now), data };
}
