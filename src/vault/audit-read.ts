/**
 * Reading the audit trail a page at a time.
 *
 * Whoever has the file may have put anything into any column, so numbers are read as text: a number that is too large,
 * or none at all, must not end the very command that is to find it.
 */
import { query, type Steps, type Value } from './database.ts';

/** A row as it is stored. */
export interface AuditRow {
  /** A number, unless somebody interfered. */
  sequence: string;
  writer: string;
  /** Epoch ms, unless somebody interfered. */
  at: string;
  actor: string;
  action: string;
  connection: string | null;
  outcome: string;
  detail: string;
  mac: string;
}

/** Which rows. What is undefined is any. */
export interface AuditFilter {
  /** From then on, epoch ms. */
  since?: number | undefined;
  /** Before then, epoch ms. */
  until?: number | undefined;
  actor?: string | undefined;
  action?: string | undefined;
  connection?: string | undefined;
  outcome?: string | undefined;
  /** Only rows about a connection. */
  hasConnection?: boolean | undefined;
}

/** A row's place in time. */
export type Cursor = Pick<AuditRow, 'at' | 'sequence'>;

const COLUMNS = `CAST(audit.sequence AS TEXT) AS sequence, CAST(audit.at AS TEXT) AS at, audit.writer, audit.actor,
  audit.action, audit.connection, audit.outcome, audit.detail, audit.mac`;

/** Rows in the order they were written, after this sequence. */
export function auditAfter(
  sequence: string | undefined,
  limit: number,
  filter: AuditFilter = {},
): Steps<AuditRow[]> {
  const { conditions, values } = conditionsOf(filter);
  if (sequence !== undefined) {
    conditions.push('audit.sequence > ?');
    values.push(sequence);
  }
  return select(conditions, values, 'audit.sequence', limit);
}

export interface TimeRange {
  /** After this row, or before it when the newest come first. */
  beyond?: Cursor | undefined;
  /** From this row on. */
  from?: Cursor | undefined;
  /** No row that was written after this one. */
  upTo: string;
}

/** Rows by time, and those of the same instant as they were written. */
export function auditByTime(
  order: 'newest' | 'oldest',
  filter: AuditFilter,
  { beyond, from, upTo }: TimeRange,
  limit: number,
): Steps<AuditRow[]> {
  const { conditions, values } = conditionsOf(filter);
  conditions.push('audit.sequence <= ?');
  values.push(upTo);
  if (from) {
    conditions.push('(audit.at, audit.sequence) >= (?, ?)');
    values.push(from.at, from.sequence);
  }
  if (beyond) {
    conditions.push(`(audit.at, audit.sequence) ${order === 'newest' ? '<' : '>'} (?, ?)`);
    values.push(beyond.at, beyond.sequence);
  }
  const direction = order === 'newest' ? 'DESC' : 'ASC';
  return select(conditions, values, `audit.at ${direction}, audit.sequence ${direction}`, limit);
}

/** The sequence of the row written last, as text. */
export function* newestSequence(): Steps<string> {
  const [row] = yield* query<{ newest: string | null }>(
    'SELECT CAST(MAX(sequence) AS TEXT) AS newest FROM audit',
  );
  return row?.newest ?? '0';
}

function select(conditions: string[], values: Value[], order: string, limit: number): Steps<AuditRow[]> {
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  return query<AuditRow>(`SELECT ${COLUMNS} FROM audit ${where} ORDER BY ${order} LIMIT ${limit}`, ...values);
}

function conditionsOf({ since, until, hasConnection, ...columns }: AuditFilter) {
  const conditions: string[] = [];
  const values: Value[] = [];
  const add = (condition: string, value: Value | undefined) => {
    if (value === undefined) return;
    conditions.push(condition);
    values.push(value);
  };
  add('audit.at >= ?', since);
  add('audit.at < ?', until);
  for (const column of ['actor', 'action', 'connection', 'outcome'] as const)
    add(`audit.${column} = ?`, columns[column]);
  if (hasConnection) conditions.push('audit.connection IS NOT NULL');
  return { conditions, values };
}
