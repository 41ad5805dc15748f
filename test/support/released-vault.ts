/**
 * Vaults as releases have left them: SQL text with a fake master key at its head, written by the release itself
 * (`node test/fixtures/vaults/make.ts`), never changed again, and opened by every later program.
 *
 * What is sealed is bound to its row, not to an address. So the addresses of servers stand in the text as placeholders,
 * in whose place a later test writes those of its own.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { OPERATOR } from '../../src/broker/context.ts';
import { Secret } from '../../src/secret.ts';
import type { FaultRule } from './fault.ts';
import { isRefresh } from './gate.ts';
import { signIn } from './sign-in.ts';
import { startWorld, type World } from './world.ts';

/** Any 43 characters of base64url are a key. */
const FAKE_KEY = 'fake-master-key-of-a-vault-made-for-tests'.padEnd(43, '-');
const KEY_LINE = /^-- master key: (\S+)$/m;

/** What a vault holds: `demo` was signed in and refreshed once, `static` was entered by hand, `bot` may use both. */
export const HELD = {
  accessToken: 'fake-access-token-of-a-release',
  refreshToken: 'fake-refresh-token-of-a-release',
  bearer: 'fake-bearer-token-of-a-release',
} as const;

/** What belongs to a moment. */
const LEFT_OUT = new Set(['cache', 'leases', 'logins', 'sessions']);

const placeholders = ({ authorizationServer, mcp }: World): [string, string][] => [
  [new URL(authorizationServer.issuer).origin, 'http://as.placeholder'],
  [new URL(mcp.url).origin, 'http://mcp.placeholder'],
];

/** Answers refreshes with these tokens. */
export const answering =
  (access_token: string, refresh_token: string): FaultRule =>
  (request) =>
    isRefresh(request)
      ? {
          status: 200,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ access_token, refresh_token, token_type: 'Bearer', expires_in: 3600 }),
        }
      : undefined;

/** Makes a vault with the present program; its text. */
export async function makeReleasedVault(): Promise<string> {
  const world = await startWorld();
  try {
    writeKey(world, FAKE_KEY);
    const broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    world.authorizationServer.fail(answering(HELD.accessToken, HELD.refreshToken));
    await broker.refresh(OPERATOR, 'demo');
    const credential = { kind: 'bearer', token: new Secret(HELD.bearer) } as const;
    await broker.addStatic({ name: 'static', url: 'https://mcp.example.com/mcp', credential });
    await broker.agents.add({
      ...{ name: 'bot', allow: ['demo', 'static'], modes: ['token'], admin: false, expiresAt: null },
    });
    await broker.close();
    const text = dump(world.vaultPath);
    const neutral = placeholders(world).reduce((all, [real, name]) => all.replaceAll(real, name), text);
    return `-- master key: ${FAKE_KEY}\n${neutral}`;
  } finally {
    await world.close();
  }
}

/** Puts a vault of an earlier release in the place of the world's, with its key. */
export function putReleasedVault(world: World, text: string): void {
  const [, key = ''] = KEY_LINE.exec(text) ?? [];
  writeKey(world, key);
  mkdirSync(dirname(world.vaultPath), { mode: 0o700 });
  const database = new DatabaseSync(world.vaultPath, { enableForeignKeyConstraints: false });
  database.exec(placeholders(world).reduce((all, [real, name]) => all.replaceAll(name, real), text));
  database.close();
}

function writeKey({ settings }: World, key: string): void {
  mkdirSync(dirname(settings.masterKey.defaultFile), { recursive: true, mode: 0o700 });
  writeFileSync(settings.masterKey.defaultFile, `${key}\n`, { mode: 0o600 });
}

/** Everything in the file as SQL. */
function dump(path: string): string {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const all = database
      .prepare('SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid')
      .all();
    const lines = all.flatMap(({ type, name, sql }) => [
      `${sql};`,
      ...(type === 'table' && !LEFT_OUT.has(String(name)) ? rowsAsSql(database, String(name)) : []),
    ]);
    return `${lines.join('\n')}\n`;
  } finally {
    database.close();
  }
}

function rowsAsSql(database: DatabaseSync, table: string): string[] {
  const columns = database
    .prepare(`PRAGMA table_info(${table})`)
    .all()
    .map(({ name }) => String(name));
  const literals = columns.map((name) => `quote(${name})`).join(" || ', ' || ");
  const rows = database.prepare(`SELECT ${literals} AS literals FROM ${table}`).all();
  return rows.map((row) => `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${row.literals});`);
}
