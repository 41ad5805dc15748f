/**
 * The chain of the audit trail: one for all writers, so that one sealed row, the head, answers for all of it.
 *
 * A row's MAC covers the row and the MAC before it. The head says which row is the last, and up to which row
 * retention has removed what was there; its seal is a MAC of another kind than that of any row, so nothing found in
 * the table can be made into one. Whoever has the file but not the audit key can neither write a row nor move an end.
 */
import { first, query, type Steps } from './database.ts';

/** A MAC under the audit key, base64url. */
export type Mac = (text: string) => string;

/** A row without its MAC, as it is covered by it. */
export interface AuditContent {
  /** 1 for the first row of the vault. */
  sequence: number;
  /** The process that wrote it. */
  writer: string;
  /** Epoch ms. */
  at: number;
  actor: string;
  action: string;
  connection: string | null;
  outcome: string;
  /** JSON. */
  detail: string;
}

/** The MAC of a row that comes after the row with the MAC `previous`, which is empty before the first. */
export function macOfRow(mac: Mac, previous: string, row: AuditContent): string {
  const { sequence, writer, at, actor, action, connection, outcome, detail } = row;
  const fields = [sequence, writer, at, actor, action, connection, outcome, detail];
  return mac(JSON.stringify(['audit', previous, ...fields]));
}

/** Both ends of the chain. */
export interface Head {
  /** The last row. 0: there was none yet. */
  sequence: number;
  /** Its MAC. */
  mac: string;
  /** Rows up to this one were removed by retention. 0: none. */
  removed: number;
  /** The MAC of the last row removed, from which the chain goes on. */
  removedMac: string;
  /** When the last row removed was written, epoch ms. Null: none was removed. */
  removedUntil: number | null;
  /** When rows were removed the last time, epoch ms. Null: never. */
  removedAt: number | null;
}

/** The head as it is stored. */
export interface StoredHead extends Head {
  /** False: somebody else than a broker changed it. It never becomes true again, whatever is appended. */
  isSealed: boolean;
}

/** Numbers as text: whatever somebody put there must not end the command that is to find it. */
interface HeadRow {
  sequence: string;
  mac: string;
  removed: string;
  removed_mac: string;
  removed_until: string | null;
  removed_at: string | null;
  seal: string;
}

/** The head of a vault in which nothing has happened yet. */
const EMPTY: Head = {
  sequence: 0,
  mac: '',
  removed: 0,
  removedMac: '',
  removedUntil: null,
  removedAt: null,
};

/** Makes the head, together with the vault: one that is missing later was taken away, and one that is there stays. */
export function* insertHead(mac: Mac): Steps<void> {
  yield* query(
    `INSERT INTO audit_head (id, sequence, mac, removed, removed_mac, removed_until, removed_at, seal)
     VALUES (1, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
    ...[...valuesOf(EMPTY), sealOf(mac, EMPTY)],
  );
}

/** The head. Undefined: somebody took it away. */
export function* readHead(mac: Mac): Steps<StoredHead | undefined> {
  const row = yield* first<HeadRow>(`SELECT ${HEAD_COLUMNS} FROM audit_head`);
  return row && toHead(mac, row);
}

/** The head, and the highest sequence there is: another one than the head's only where somebody interfered. */
export function* readEnd(mac: Mac): Steps<{ head: StoredHead | undefined; last: number }> {
  const row = yield* first<{ last: string | null } & (HeadRow | { sequence: null })>(
    `SELECT (SELECT CAST(MAX(audit.sequence) AS TEXT) FROM audit) AS last, ${HEAD_COLUMNS}
     FROM (SELECT 1 AS id) AS the_one LEFT JOIN audit_head ON audit_head.id = the_one.id`,
  );
  return {
    head: row && row.sequence !== null ? toHead(mac, row as HeadRow) : undefined,
    last: Number.isSafeInteger(Number(row?.last)) ? Number(row?.last) : 0,
  };
}

/** Writes the head. One that was not sealed before stays so: what somebody else changed must not be made good. */
export function* writeHead(mac: Mac, head: StoredHead): Steps<void> {
  yield* query(
    `UPDATE audit_head SET sequence = ?, mac = ?, removed = ?, removed_mac = ?, removed_until = ?, removed_at = ?,
       seal = ?`,
    ...[...valuesOf(head), head.isSealed ? sealOf(mac, head) : ''],
  );
}

const HEAD_COLUMNS = `CAST(audit_head.sequence AS TEXT) AS sequence, audit_head.mac,
  CAST(audit_head.removed AS TEXT) AS removed, audit_head.removed_mac,
  CAST(audit_head.removed_until AS TEXT) AS removed_until, CAST(audit_head.removed_at AS TEXT) AS removed_at,
  audit_head.seal`;

function toHead(mac: Mac, row: HeadRow): StoredHead {
  const head: Head = {
    sequence: Number(row.sequence),
    mac: row.mac,
    removed: Number(row.removed),
    removedMac: row.removed_mac,
    removedUntil: row.removed_until === null ? null : Number(row.removed_until),
    removedAt: row.removed_at === null ? null : Number(row.removed_at),
  };
  return { ...head, isSealed: row.seal === sealOf(mac, head) };
}

function sealOf(mac: Mac, head: Head): string {
  return mac(JSON.stringify(['audit head', ...valuesOf(head)]));
}

function valuesOf(head: Head): (string | number | null)[] {
  const { sequence, mac, removed, removedMac, removedUntil, removedAt } = head;
  return [sequence, mac, removed, removedMac, removedUntil, removedAt];
}
