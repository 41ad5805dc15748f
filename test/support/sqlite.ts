import { join } from 'node:path';
import { openSqlite, type SqliteDatabase } from '../../src/vault/sqlite.ts';
import { createHome } from './home.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';

/** An empty SQLite file without migrations. */
export interface TestDatabase {
  database: SqliteDatabase;
  clock: ManualClock;
  path: string;
  /** A second connection to the same file, as another process would have. Closed by `close` too. */
  openAgain(): SqliteDatabase;
  /** Closes everything and deletes the file. */
  close(): Promise<void>;
}

/** Creates an empty database in a directory of its own. */
export async function openTestDatabase(): Promise<TestDatabase> {
  const home = await createHome();
  const clock = createManualClock();
  const path = join(home.path, 'vault', 'broker.db');
  const opened = [openSqlite(path, clock, true)];
  return {
    database: opened[0] as SqliteDatabase,
    clock,
    path,
    openAgain() {
      const database = openSqlite(path, clock, false);
      opened.push(database);
      return database;
    },
    async close() {
      await Promise.all(opened.map((database) => database.close()));
      await home.remove();
    },
  };
}
