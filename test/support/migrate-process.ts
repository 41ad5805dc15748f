/** Migrates the vault named by the first argument, at the time given by the second: one of several processes at once. */
import { systemClock } from '../../src/clock.ts';
import { migrate } from '../../src/vault/migrate.ts';
import { openSqlite } from '../../src/vault/sqlite.ts';

const [path = '', now = '0'] = process.argv.slice(2);
const database = openSqlite(path, systemClock, true);
migrate(database, Number(now));
await database.close();
