/**
 * What people were told, and what became of it.
 *
 * A notice is written down before it is sent, in the transaction that finds nobody else has done so: of several
 * processes that see the same change one tells it. Each way it goes is a delivery of its own, claimed by a conditional
 * write before each attempt; a claim whose owner died ends by itself.
 */
import type { FindingCode } from '../core/check-policy.ts';
import type { ConnectionState } from '../core/connection.ts';
import type { NoticeKind, Told } from '../core/notice-policy.ts';
import { first, query, type Steps } from './database.ts';

export type NoticeWay = 'command' | 'webhook';

/**
 * How a delivery ended. `overtaken`: there was something newer to tell, or the connection went. `refused`: the receiver
 * wants nothing any more.
 */
export type DeliveryOutcome = 'delivered' | 'overtaken' | 'refused';

export interface Notice extends Told {
  /** A UUID: the `webhook-id` of all its attempts. */
  id: string;
  connectionId: string;
  connection: string;
  kind: NoticeKind;
  /** Code and cause of the state, see `StateReason`. */
  code: string | null;
  cause: string | null;
  message: string;
  /** When what is told began, epoch ms: carried from the transition to its reminders and its recovery. */
  beganAt: number;
}

/** One attempt to be made. */
export interface Delivery {
  notice: Notice;
  way: NoticeWay;
  /** Attempts made before. */
  attempts: number;
}

interface NoticeRow {
  id: string;
  connection_id: string;
  connection: string;
  kind: NoticeKind;
  level: FindingCode;
  state: ConnectionState;
  code: string | null;
  cause: string | null;
  next_step: string | null;
  message: string;
  step: number;
  began_at: number;
  told_at: number;
}

export interface DeliveryRow {
  notice_id: string;
  way: NoticeWay;
  attempts: number;
  next_attempt_at: number | null;
  claimed_at: number | null;
  outcome: DeliveryOutcome | null;
  failure: string | null;
}

/** A claim whose owner has not said how it went for so long is another's: longer than any attempt lasts. */
const CLAIM_MS = 60_000;

/** How long it is remembered what was told. */
const KEPT_MS = 90 * 24 * 60 * 60_000;

/** Only the newest notice of a connection is worth sending, or comparing with. */
const IS_NEWEST =
  'notices.sequence = (SELECT MAX(n.sequence) FROM notices n WHERE n.connection_id = notices.connection_id)';
/** Set back clocks too: a claim from the future is nobody's. */
const IS_FREE =
  '(notice_deliveries.claimed_at IS NULL OR notice_deliveries.claimed_at <= ? OR notice_deliveries.claimed_at > ?)';
const freeAt = (now: number): [number, number] => [now - CLAIM_MS, now + CLAIM_MS];

/** The last notice of each connection, by the connection's id. */
export function* lastNotices(): Steps<Map<string, Notice>> {
  const rows = yield* query<NoticeRow>(`SELECT * FROM notices WHERE ${IS_NEWEST}`);
  return new Map(rows.map((row) => [row.connection_id, toNotice(row)]));
}

/** The last notice of one connection. */
export function* lastNotice(connectionId: string): Steps<Notice | undefined> {
  const row = yield* first<NoticeRow>(
    'SELECT * FROM notices WHERE connection_id = ? ORDER BY sequence DESC LIMIT 1',
    connectionId,
  );
  return row && toNotice(row);
}

/** Writes it down, in a transaction. What is too old is forgotten. */
export function* insertNotice(notice: Notice): Steps<void> {
  const { id, connectionId, connection, kind, level, state, code, cause, nextStep, message } = notice;
  const last = yield* first<{ sequence: number | null }>('SELECT MAX(sequence) AS sequence FROM notices');
  yield* query(
    `INSERT INTO notices (id, sequence, connection_id, connection, kind, level, state, code, cause, next_step, message,
       step, began_at, told_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[id, (last?.sequence ?? 0) + 1, connectionId, connection],
    ...[kind, level, state, code, cause, nextStep, message],
    ...[notice.step, notice.beganAt, notice.toldAt],
  );
  // The newest of a connection tells what people believe of it.
  yield* query(
    `DELETE FROM notices WHERE told_at < ? AND (NOT ${IS_NEWEST}
       OR NOT EXISTS (SELECT 1 FROM connections WHERE connections.id = notices.connection_id))`,
    notice.toldAt - KEPT_MS,
  );
}

/** Plans a delivery, for `at`. Nothing happens when it is planned already. */
export function* planDelivery(noticeId: string, way: NoticeWay, at: number): Steps<void> {
  yield* query(
    `INSERT INTO notice_deliveries (notice_id, way, attempts, next_attempt_at) VALUES (?, ?, 0, ?)
     ON CONFLICT (notice_id, way) DO NOTHING`,
    ...[noticeId, way, at],
  );
}

/** The ways on which people have heard, or may have heard, of this connection since it last was fine. */
export function* waysTold(connectionId: string): Steps<NoticeWay[]> {
  const rows = yield* query<{ way: NoticeWay }>(
    `SELECT DISTINCT way FROM notice_deliveries JOIN notices ON notices.id = notice_deliveries.notice_id
     WHERE notices.connection_id = ? AND (outcome = 'delivered' OR claimed_at IS NOT NULL) AND sequence >
       (SELECT COALESCE(MAX(n.sequence), 0) FROM notices n WHERE n.connection_id = ? AND n.level = 0)`,
    ...[connectionId, connectionId],
  );
  return rows.map(({ way }) => way);
}

/** Newest notices since `after` of connections that are not fine, which were never meant to go this way. */
export function* untoldOn(way: NoticeWay, after: number): Steps<string[]> {
  const rows = yield* query<{ id: string }>(
    `SELECT id FROM notices WHERE level <> 0 AND told_at > ? AND ${IS_NEWEST}
       AND EXISTS (SELECT 1 FROM connections WHERE connections.id = notices.connection_id)
       AND NOT EXISTS (SELECT 1 FROM notice_deliveries d WHERE d.notice_id = notices.id AND d.way = ?)`,
    ...[after, way],
  );
  return rows.map(({ id }) => id);
}

/** What is not delivered yet and not worth it any more, unless it is on its way. */
export function* listOvertaken(now: number): Steps<{ notice_id: string; way: NoticeWay }[]> {
  return yield* query(
    `SELECT notice_id, way FROM notice_deliveries JOIN notices ON notices.id = notice_deliveries.notice_id
     WHERE outcome IS NULL AND ${IS_FREE} AND (NOT ${IS_NEWEST}
       OR NOT EXISTS (SELECT 1 FROM connections WHERE connections.id = notices.connection_id))`,
    ...freeAt(now),
  );
}

/** Ends a delivery without an attempt. Its claim, if it had one, stays to be seen. */
export function* endDelivery(noticeId: string, way: NoticeWay, now: number): Steps<void> {
  yield* query(
    `UPDATE notice_deliveries SET outcome = 'overtaken', next_attempt_at = NULL, ended_at = ?
     WHERE notice_id = ? AND way = ? AND outcome IS NULL`,
    ...[now, noticeId, way],
  );
}

/** The instant of the next attempt of each delivery on this way that nobody is busy with. */
export function* pendingDeliveries(way: NoticeWay, now: number): Steps<(Delivery & { dueAt: number })[]> {
  const rows = yield* query<NoticeRow & { attempts: number; next_attempt_at: number }>(
    `SELECT notices.*, attempts, next_attempt_at FROM notice_deliveries
     JOIN notices ON notices.id = notice_deliveries.notice_id
     WHERE way = ? AND outcome IS NULL AND ${IS_FREE} AND ${IS_NEWEST} ORDER BY sequence`,
    ...[way, ...freeAt(now)],
  );
  return rows.map((row) => ({
    notice: toNotice(row),
    way,
    attempts: row.attempts,
    dueAt: row.next_attempt_at,
  }));
}

/** Takes the next attempt for oneself. False: another process was quicker. */
export function* claimDelivery(
  { notice, way, attempts }: Delivery,
  owner: string,
  now: number,
): Steps<boolean> {
  const row = yield* first(
    `UPDATE notice_deliveries SET claimed_by = ?, claimed_at = ?, attempts = attempts + 1
     WHERE notice_id = ? AND way = ? AND attempts = ? AND outcome IS NULL AND ${IS_FREE} RETURNING attempts`,
    ...[owner, now, notice.id, way, attempts, ...freeAt(now)],
  );
  return row !== undefined;
}

/** How an attempt went: it has an outcome, or a next attempt. */
export type AttemptEnd =
  | { outcome: DeliveryOutcome; failure: string | null; at: number }
  | { nextAttemptAt: number; failure: string };

/** Writes down how a claimed attempt went. Nothing happens when the claim was lost meanwhile. */
export function* finishAttempt({ notice, way }: Delivery, owner: string, end: AttemptEnd): Steps<void> {
  const { outcome, endedAt, nextAttemptAt } =
    'outcome' in end
      ? { outcome: end.outcome, endedAt: end.at, nextAttemptAt: null }
      : { outcome: null, endedAt: null, nextAttemptAt: end.nextAttemptAt };
  yield* query(
    `UPDATE notice_deliveries SET claimed_by = NULL, claimed_at = NULL, outcome = ?, failure = ?, ended_at = ?,
       next_attempt_at = ? WHERE notice_id = ? AND way = ? AND claimed_by = ?`,
    ...[outcome, end.failure, endedAt, nextAttemptAt, notice.id, way, owner],
  );
}

/** All notices, the newest first, with their deliveries. */
export function* listNotices(): Steps<{ notice: Notice; deliveries: DeliveryRow[] }[]> {
  const rows = yield* query<NoticeRow>('SELECT * FROM notices ORDER BY sequence DESC');
  const deliveries = yield* query<DeliveryRow>('SELECT * FROM notice_deliveries ORDER BY way');
  const byNotice = Map.groupBy(deliveries, ({ notice_id }) => notice_id);
  return rows.map((row) => ({ notice: toNotice(row), deliveries: byNotice.get(row.id) ?? [] }));
}

function toNotice(row: NoticeRow): Notice {
  const { id, connection, kind, level, state, code, cause, message, step } = row;
  return {
    ...{ id, connection, kind, level, state, code, cause, message, step },
    connectionId: row.connection_id,
    nextStep: row.next_step,
    beganAt: row.began_at,
    toldAt: row.told_at,
  };
}
