import { DatabaseSync } from 'node:sqlite';

/** Rows of a vault's SQLite file as another process sees them: what is committed, and nothing else. */
export function rowsOf<R>(path: string, sql: string, ...parameters: (string | number)[]): R[] {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    return database.prepare(sql).all(...parameters) as R[];
  } finally {
    database.close();
  }
}

/** One connection's row, without its secrets. */
export interface ConnectionRow {
  id: string;
  name: string;
  state: string;
  code: string | null;
  generation: number;
  failures: number;
  next_attempt_at: number | null;
  spare: string | null;
  client_row_id: string;
}

/** The row of a connection as it is on disk. Throws when there is none. */
export function connectionRow(path: string, name = 'demo'): ConnectionRow {
  const [row] = rowsOf<ConnectionRow>(path, 'SELECT * FROM connections WHERE name = ?', name);
  if (!row) throw new Error(`no connection ${name} in the vault`);
  return row;
}

/** The journal of presented refresh tokens, oldest first. */
export function journal(
  path: string,
): { generation: number; attempt: number; outcome: string | null; finished_at: number | null }[] {
  return rowsOf(path, 'SELECT * FROM rotations ORDER BY generation, attempt');
}

/** The audit trail in short: actor, action, outcome. */
export function auditTrail(path: string): { actor: string; action: string; outcome: string }[] {
  return rowsOf(path, 'SELECT actor, action, outcome FROM audit ORDER BY at, rowid');
}
