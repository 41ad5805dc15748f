/**
 * Checking the audit trail: a walk along the chain from where retention left it to its sealed head, a page at a time,
 * beside whatever the daemon writes and removes meanwhile.
 *
 * What cannot be seen here: an earlier state of rows and head together, which is what an old copy of the file is. So
 * the end of the chain can be noted elsewhere, and given again.
 */
import { createHash } from 'node:crypto';
import { type Mac, macOfRow, readHead, type StoredHead } from './audit-chain.ts';
import { type AuditFault, createFaults, type Place } from './audit-faults.ts';
import { type AuditRow, auditAfter } from './audit-read.ts';
import type { Database } from './database.ts';

export interface AuditNote {
  sequence: number;
  /** `digestOf` the row's MAC, which covers all rows before it too. */
  digest: string;
}

export interface VerifyOptions {
  /** What somebody noted of the chain before. */
  noted?: AuditNote | undefined;
  /** Rows there must have been at least, those that retention removed included. */
  atLeast?: number | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface AuditVerification {
  /** Rows read. */
  rows: number;
  /** Undefined: there is none. */
  first: Pick<AuditRow, 'at'> | undefined;
  last: Pick<AuditRow, 'at'> | undefined;
  head: StoredHead | undefined;
  /** At most twenty, in the order of the chain. Empty: it is as it was written. */
  faults: AuditFault[];
  faultCount: number;
  /** Whether the row noted was removed by retention, so that it cannot be compared. */
  isNotedRemoved: boolean;
}

const PAGE = 1000;

/** Names the end of a chain in few characters. */
export function digestOf(rowMac: string): string {
  return createHash('sha256').update(rowMac).digest('hex').slice(0, 16);
}

/** Walks the whole chain. */
export async function verifyAudit(
  database: Pick<Database, 'run' | 'transaction'>,
  mac: Mac,
  { noted, atLeast, onProgress = () => {} }: VerifyOptions = {},
): Promise<AuditVerification> {
  const faults = createFaults();
  const start = await database.run(() => readHead(mac));
  let place: Place = {
    sequence: start?.removed ?? 0,
    at: start?.removedUntil ?? null,
    macs: [start?.removedMac ?? ''],
  };
  let head = start;
  let rows = 0;
  let isEnd = false;
  let first: AuditRow | undefined;
  let last: AuditRow | undefined;
  let digest: string | undefined;

  function compareWithNote(row: AuditRow): void {
    if (String(noted?.sequence) === row.sequence) digest = digestOf(row.mac);
  }

  /** A gap may be what retention has removed since the walk began. */
  async function skipRemoved(row: AuditRow): Promise<void> {
    if (Number(row.sequence) <= place.sequence + 1) return;
    const now = await database.run(() => readHead(mac));
    if (now?.isSealed && now.removed > place.sequence && now.removed < Number(row.sequence))
      place = { sequence: now.removed, at: now.removedUntil, macs: [now.removedMac] };
  }

  while (!isEnd) {
    const page = await nextPage();
    for (const row of page) {
      await skipRemoved(row);
      compareWithNote(row);
      place = faults.judge(mac, row, place);
      first ??= row;
      last = row;
    }
    rows += page.length;
    onProgress(rows, (start?.sequence ?? 0) - (start?.removed ?? 0));
  }

  /** The last page is read together with the head, which moves while others write. */
  async function nextPage(): Promise<AuditRow[]> {
    const after = last?.sequence;
    const page = await database.run(() => auditAfter(after, PAGE));
    // Something that is no number, which nothing comes after.
    if (page.at(-1)?.sequence === after) isEnd = true;
    if (page.length === PAGE) return page;
    return database.transaction(function* () {
      const rest = yield* auditAfter(after, PAGE);
      head = yield* readHead(mac);
      if (rest.length < PAGE) isEnd = true;
      return rest;
    });
  }

  faults.judgeHead(head, place);
  if (atLeast !== undefined && (head?.sequence ?? 0) < atLeast)
    faults.add({ kind: 'shorter_than_noted', sequence: place.sequence, at: place.at });
  const isNotedRemoved = noted !== undefined && noted.sequence <= (head?.removed ?? 0);
  if (noted && !isNotedRemoved) {
    const kind = noted.sequence > (head?.sequence ?? 0) ? 'shorter_than_noted' : 'not_as_noted';
    if (digest !== noted.digest) faults.add({ kind, sequence: noted.sequence, at: null });
  }
  await findMoved(database, mac, faults.first());
  return { rows, first, last, head, faults: faults.list, faultCount: faults.count(), isNotedRemoved };
}

/** Looks further on for the row that should stand at the first bad place. It is one, so a second walk is no matter. */
async function findMoved(
  database: Pick<Database, 'run'>,
  mac: Mac,
  fault: AuditFault | undefined,
): Promise<void> {
  if (fault?.expected === undefined || !['edited', 'missing'].includes(fault.kind)) return;
  const { previous, rowMac } = fault.expected;
  let after: string | undefined = String(fault.sequence);
  while (after !== undefined) {
    const from: string = after;
    const page: AuditRow[] = await database.run(() => auditAfter(from, PAGE));
    for (const row of page) {
      const belongs = macOfRow(mac, previous, { ...row, sequence: fault.sequence, at: Number(row.at) });
      if (belongs !== row.mac && belongs !== rowMac) continue;
      fault.kind = 'out_of_order';
      fault.standsAt = Number(row.sequence);
      return;
    }
    const next = page.at(-1)?.sequence;
    after = next === from ? undefined : next;
  }
}
