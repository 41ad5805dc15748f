/**
 * The seam between our SQL and a database.
 *
 * Work on the database is written as a generator of statements. A generator cannot await, so nothing foreign
 * can slip between the statements of a transaction, and the same text runs on a synchronous driver (SQLite)
 * and an asynchronous one (PostgreSQL). Work may be run again from its start after a lock conflict: it must
 * have no effect besides its statements.
 */

export type Value = string | number | null;

export interface Statement {
  /** SQL valid for SQLite and PostgreSQL, with `?` placeholders. */
  sql: string;
  parameters: Value[];
}

/** Statements in order; each `yield` gives back the rows of its statement. */
export type Steps<T> = Generator<Statement, T, unknown[]>;

export interface Database {
  /**
   * Runs the steps, each statement committed on its own: for reading, or for one write at most, because all of
   * them are run again when a lock stood in the way. Throws `vault_locked` when it does so for 10 s.
   */
  run<T>(steps: () => Steps<T>): Promise<T>;
  /**
   * Runs the steps as one transaction that holds the write lock from its beginning. Committed and synced to
   * disk when the promise resolves; nothing of it happened when it rejects.
   */
  transaction<T>(steps: () => Steps<T>): Promise<T>;
  close(): Promise<void>;
}

/** One statement, all its rows. */
export function* query<R>(sql: string, ...parameters: Value[]): Steps<R[]> {
  return (yield { sql, parameters }) as R[];
}

/** One statement, its first row or undefined. */
export function* first<R>(sql: string, ...parameters: Value[]): Steps<R | undefined> {
  const rows = yield* query<R>(sql, ...parameters);
  return rows[0];
}
