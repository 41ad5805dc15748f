/** Decides what is to be told of which connection, and writes it down, so that one process tells it once. */
import { randomUUID } from 'node:crypto';
import { type Finding, findingFor } from '../core/check-policy.ts';
import { isBroken, isTrouble, noticeFor, type Seen, seenOf, type Wish } from '../core/notice-policy.ts';
import { noticeText } from '../core/notice-words.ts';
import { findClient } from '../vault/clients.ts';
import { findConnectionById, listConnections, type StoredConnection } from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import {
  endDelivery,
  insertNotice,
  lastNotice,
  lastNotices,
  listOvertaken,
  type Notice,
  planDelivery,
  untoldOn,
  waysTold,
} from '../vault/notices.ts';
import { listServers } from '../vault/servers.ts';
import { DEFAULT_WARN_WITHIN_MS } from './check.ts';
import type { Context } from './context.ts';
import { type NotifySettings, waysOf } from './notify-ways.ts';

/** Older words are left to the next reminder, when a way is set up that was not there before. */
const STALE_MS = 24 * 60 * 60_000;

type Parts = Pick<Context, 'vault' | 'clock'>;

/** One connection as it is, and what there is to tell of it. */
interface Subject {
  connection: StoredConnection;
  finding: Finding;
  seen: Seen;
}

/** Plans what is to be told now. What is planned is sent by `deliver`, here or in another process. */
export async function planNotices({ vault, clock }: Parts, settings: NotifySettings): Promise<void> {
  const now = clock.now();
  const { changed, isUntidy } = await vault.run(function* () {
    const last = yield* lastNotices();
    const subjects = yield* lookAtAll(now);
    const untold = [];
    for (const way of waysOf(settings)) untold.push(...(yield* untoldOn(way, now - STALE_MS)));
    return {
      changed: subjects.filter(
        ({ connection, seen }) =>
          noticeFor(last.get(connection.id), seen, now, settings.afterMs) !== undefined,
      ),
      isUntidy: untold.length > 0 || (yield* listOvertaken(now)).length > 0,
    };
  });
  // Looking costs no write lock; nearly always there is nothing to write.
  if (changed.length === 0 && !isUntidy) return;
  await vault.transaction(function* () {
    for (const subject of changed) yield* tell(subject, settings, now);
    for (const { notice_id, way } of yield* listOvertaken(now)) yield* endDelivery(notice_id, way, now);
    // A way that was set up while something was wrong.
    for (const way of waysOf(settings))
      for (const id of yield* untoldOn(way, now - STALE_MS)) yield* planDelivery(id, way, now);
  });
}

function* lookAtAll(now: number): Steps<Subject[]> {
  const subjects: Subject[] = [];
  const servers = new Map((yield* listServers()).map(({ name, settings }) => [name, settings]));
  for (const connection of yield* listConnections()) {
    // The identity it is made from must be renewed, and is told of by its own name.
    if (connection.kind === 'identity' && connection.code === 'login_required') continue;
    const row = connection.clientRowId;
    const client = row === null ? undefined : yield* findClient(row);
    const secretEndsAt = client?.client_secret_expires_at ?? null;
    const idleLimitMs = servers.get(connection.server)?.idleLimitMs ?? null;
    const finding = findingFor(connection, secretEndsAt, now, DEFAULT_WARN_WITHIN_MS, idleLimitMs);
    subjects.push({ connection, finding, seen: seenOf(connection, finding) });
  }
  return subjects;
}

/** Asks the rule again: another process may have told it, or the connection changed, since it was looked at. */
function* tell({ connection, finding, seen }: Subject, settings: NotifySettings, now: number): Steps<void> {
  const current = yield* findConnectionById(connection.id);
  const isAsSeen = current?.state === connection.state && current.generation === connection.generation;
  const last = yield* lastNotice(connection.id);
  const wish = noticeFor(last, seen, now, settings.afterMs);
  if (!isAsSeen || wish === undefined) return;
  const told = yield* waysTold(connection.id);
  const notice = compose({ connection, finding, seen }, wish, last, now);
  yield* insertNotice(notice);
  for (const way of waysOf(settings)) {
    // Who never heard that it was bad need not hear that it is fine.
    if (isTrouble(notice) || told.includes(way)) yield* planDelivery(notice.id, way, now);
  }
}

function compose(
  { connection, finding, seen }: Subject,
  { kind, step }: Wish,
  last: Notice | undefined,
  now: number,
): Notice {
  const { id: connectionId, name, state, code, cause, since } = connection;
  const isOn = last !== undefined && (isBroken(last) || kind !== 'transition');
  // The state `ok` lasts since the login; what happens within it is an end.
  const beganAt = isOn ? last.beganAt : Math.min(state === 'ok' ? (seen.endsAt ?? now) : since, now);
  return {
    ...{ id: randomUUID(), connectionId, connection: name, kind, step, state, code, cause, beganAt },
    ...{ level: seen.level, nextStep: seen.nextStep, toldAt: now },
    message: noticeText(kind, connection, finding, last, Math.max(0, now - beganAt)),
  };
}
