/**
 * Removing old rows of the audit trail, from its beginning, some at a time.
 *
 * The head remembers under its seal up to where, so that the chain goes on from there; nobody without the audit key
 * can pass off a removal of his own. And only rows that are as they were written are removed: an edited time must not
 * make the broker remove for somebody what he could not.
 */
import { type Head, type Mac, macOfRow, readHead, writeHead } from './audit-chain.ts';
import { type AuditRow, auditAfter } from './audit-read.ts';
import { query, type Steps } from './database.ts';

/** Checked and removed in some milliseconds: the daemon answers nobody meanwhile. */
const BATCH = 1000;

export type RemovedRows =
  /** How many, the last of them, and whether there may be more. */
  | { kind: 'removed'; rows: number; through: number; isMore: boolean }
  /** There is nothing to remove. */
  | { kind: 'none' }
  /** The trail is not as it was written, from this row on; undefined: its head is not. */
  | { kind: 'not_intact'; sequence: number | undefined };

/**
 * Removes the oldest rows that were written before then. Never the last row, nor one behind a row that is to stay: the
 * chain has no holes. A row dated in the future, written while a clock was wrong, goes with the one after it.
 */
export function* removeOldest(mac: Mac, before: number, now: number): Steps<RemovedRows> {
  const head = yield* readHead(mac);
  if (!head?.isSealed) return { kind: 'not_intact', sequence: undefined };
  const rows = yield* auditAfter(undefined, BATCH);
  let last: AuditRow | undefined;
  let place = { sequence: head.removed, mac: head.removedMac };
  for (const row of rows) {
    if (Number(row.at) >= before && Number(row.at) <= now) break;
    if (Number(row.sequence) >= head.sequence) break;
    if (!isNext(mac, row, place)) return { kind: 'not_intact', sequence: place.sequence + 1 };
    place = { sequence: place.sequence + 1, mac: row.mac };
    if (Number(row.at) < before) last = row;
  }
  const end = rows.length === BATCH ? rows.at(-1) : undefined;
  if (end && place.sequence === Number(end.sequence) && end !== last) {
    const [next] = yield* auditAfter(end.sequence, 1, { until: now + 1 });
    if (next && Number(next.at) < before) last = end;
  }
  if (!last) return { kind: 'none' };
  const through = Number(last.sequence);
  const until = Number(last.at);
  yield* query('DELETE FROM audit WHERE sequence <= ?', through);
  const ends: Head = { ...head, removed: through, removedMac: last.mac, removedUntil: until, removedAt: now };
  yield* writeHead(mac, { ...ends, isSealed: true });
  return { kind: 'removed', rows: through - head.removed, through, isMore: end !== undefined };
}

function isNext(mac: Mac, row: AuditRow, place: { sequence: number; mac: string }): boolean {
  const sequence = place.sequence + 1;
  const content = { ...row, sequence, at: Number(row.at) };
  return Number(row.sequence) === sequence && macOfRow(mac, place.mac, content) === row.mac;
}
