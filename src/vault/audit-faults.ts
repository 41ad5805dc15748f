/** What is wrong with the audit trail, row by row and at its end. */
import { type Mac, macOfRow, type StoredHead } from './audit-chain.ts';
import type { AuditRow } from './audit-read.ts';

export type FaultKind =
  /** The row is not the one that was written. */
  | 'edited'
  | 'missing'
  /** The row stands elsewhere. */
  | 'out_of_order'
  /** Rows at the end are missing. */
  | 'cut_off'
  /** Nobody of us wrote it: it is a copy, or invented. */
  | 'added'
  /** The record of where the chain begins and ends is not the one that was written. */
  | 'head_edited'
  | 'head_missing'
  /** The chain ends before a row that was noted elsewhere, or does not come to as many. */
  | 'shorter_than_noted'
  /** The row that was noted elsewhere is another one. */
  | 'not_as_noted';

export interface AuditFault {
  kind: FaultKind;
  /** The first row concerned. */
  sequence: number;
  /** The last one; several in a row are one fault. Undefined: it is only one. */
  through?: number;
  /** Who is said to have written it. Undefined: it is not there. */
  writer?: string;
  /** When it was written as it says; of rows that are not there, when the one before was. Null: not known. */
  at: number | null;
  /** Where the row that belongs here stands. */
  standsAt?: number;
  /** What to look for to find that. */
  expected?: { previous: string; rowMac: string | undefined };
}

/** How far the walk has come. */
export interface Place {
  sequence: number;
  at: number | null;
  /**
   * What the MAC of the last row may be: after one that was edited, what is written there or what it should be. Empty:
   * nobody knows, because the row is missing.
   */
  macs: string[];
}

export interface Faults {
  readonly list: AuditFault[];
  count(): number;
  /** The first that concerns rows. */
  first(): AuditFault | undefined;
  add(fault: AuditFault): void;
  /** Checks a row that comes after `place`, and goes on to it. */
  judge(mac: Mac, row: AuditRow, place: Place): Place;
  /** Checks the end of the chain. */
  judgeHead(head: StoredHead | undefined, place: Place): void;
}

const MOST_LISTED = 20;

export function createFaults(): Faults {
  const list: AuditFault[] = [];
  let count = 0;
  let latest: AuditFault | undefined;

  function add(fault: AuditFault): void {
    const end = latest && (latest.through ?? latest.sequence);
    if (latest?.kind === fault.kind && fault.kind === 'edited' && end === fault.sequence - 1) {
      latest.through = fault.sequence;
      return;
    }
    latest = fault;
    count += 1;
    if (list.length < MOST_LISTED) list.push(fault);
  }

  function judge(mac: Mac, row: AuditRow, place: Place): Place {
    const sequence = Number(row.sequence);
    const at = Number.isNaN(Number(row.at)) ? null : Number(row.at);
    const { writer } = row;
    if (!Number.isSafeInteger(sequence) || sequence <= place.sequence) {
      add({ kind: 'added', sequence, writer, at });
      return place;
    }
    if (sequence > place.sequence + 1) {
      const [previous] = place.macs;
      const expected = previous === undefined ? {} : { expected: { previous, rowMac: undefined } };
      const through = sequence - 1 > place.sequence + 1 ? { through: sequence - 1 } : {};
      add({ kind: 'missing', sequence: place.sequence + 1, ...through, at: place.at, ...expected });
      // Whether this one was written so, only the one before it could tell.
      return { sequence, at, macs: [row.mac] };
    }
    const possible = place.macs.map((previous) =>
      macOfRow(mac, previous, { ...row, sequence, at: Number(row.at) }),
    );
    if (possible.includes(row.mac) && String(Number(row.at)) === row.at)
      return { sequence, at, macs: [row.mac] };
    const [previous = ''] = place.macs;
    add({ kind: 'edited', sequence, writer, at, expected: { previous, rowMac: row.mac } });
    return { sequence, at, macs: [row.mac, ...possible] };
  }

  function judgeHead(head: StoredHead | undefined, place: Place): void {
    const { sequence = place.sequence, mac = '', isSealed = false } = head ?? {};
    if (!isSealed) {
      add({ kind: head ? 'head_edited' : 'head_missing', sequence, at: place.at });
      return;
    }
    if (sequence > place.sequence) {
      const through = sequence > place.sequence + 1 ? { through: sequence } : {};
      add({ kind: 'cut_off', sequence: place.sequence + 1, ...through, at: place.at });
    } else if (sequence < place.sequence) {
      add({ kind: 'added', sequence: sequence + 1, through: place.sequence, at: place.at });
    } else if (!place.macs.includes(mac) && count === 0) {
      add({ kind: 'edited', sequence, at: place.at });
    }
  }

  return {
    list,
    count: () => count,
    first: () => list[0],
    add,
    judge,
    judgeHead,
  };
}
