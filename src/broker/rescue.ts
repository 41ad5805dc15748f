/**
 * The last resort for a token pair that the vault cannot take: a sealed file outside of it.
 *
 * It is written when saving has failed for a while, to the first directory that takes it, under the vault's own
 * key. Every opening of the vault looks for such files, takes them in, and removes them. The name says which
 * vault it belongs to, because temporary directories are shared.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseTokenSet, serialiseTokenSet } from '../core/token-set.ts';
import type { Log } from '../log.ts';
import { findClient } from '../vault/clients.ts';
import {
  findConnection,
  openTokenSet,
  replaceTokenSet,
  type StoredConnection,
  saveSpare,
  sealSpare,
  sealTokenSet,
} from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import type { Vault } from '../vault/index.ts';
import { closeOlderRotations } from '../vault/rotations.ts';
import type { Context, LoginFacts, Rescue, UnsavedPair } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import { storeLogin } from './login-save.ts';

/** Content of a rescue file, sealed. */
interface RescuedPair extends Omit<UnsavedPair, 'tokens'> {
  /** As `serialiseTokenSet` wrote it. */
  tokens: string;
}

const FILE_NAME = /^mtb-rescue-.+\.jwe$/;

/** Writes rescue files to the first of these directories that takes one. */
export function createRescue(vault: Vault, directories: string[], log: Log): Rescue {
  return {
    async write(pair) {
      const name = `mtb-rescue-${vault.sealer.vaultId}-${pair.connectionId}-${pair.from}.jwe`;
      const content: RescuedPair = { ...pair, tokens: serialiseTokenSet(pair.tokens) };
      const sealed = await vault.sealer.seal(JSON.stringify(content), placeOf(name));
      for (const directory of directories) {
        const path = join(directory, name);
        if (!tryWrite(path, sealed)) continue;
        log.error(
          { connection: pair.connection, path },
          'a new token that the vault cannot take was put aside',
        );
        return path;
      }
      log.error({ connection: pair.connection }, 'a new token could be saved nowhere; it is in memory only');
      return undefined;
    },
    remove: (path) => rmSync(path, { force: true }),
  };
}

/** Takes in what earlier processes put aside for this vault. A file that cannot be taken in stays where it is. */
export async function adoptRescued(context: Context, directories: string[]): Promise<void> {
  const prefix = `mtb-rescue-${context.vault.sealer.vaultId}-`;
  for (const path of directories.flatMap(listFiles).filter((each) => basename(each).startsWith(prefix))) {
    try {
      await adopt(context, path);
      rmSync(path, { force: true });
      context.log.warn({ path }, 'a token that was put aside was taken in, or belongs to nothing any more');
    } catch (error) {
      context.log.error({ err: error, path }, 'a token that was put aside could not be taken in');
    }
  }
}

async function adopt(context: Context, path: string): Promise<void> {
  const { vault } = context;
  const sealed = readFileSync(path, 'utf8');
  const rescued = JSON.parse(await vault.sealer.open(sealed, placeOf(basename(path)))) as RescuedPair;
  const pair: UnsavedPair = { ...rescued, tokens: parseTokenSet(rescued.tokens) };
  await withLease(context, leaseOf(pair.connection), async () => {
    const stored = await vault.run(() => findConnection(pair.connection));
    const current = stored && (await openTokenSet(vault.sealer, stored));
    // The process that put it aside could save it after all, and died before it removed the file.
    if (current && current.refreshToken?.fingerprint() === pair.tokens.refreshToken?.fingerprint()) return;
    if (stored) return adoptInto(context, stored, pair);
    // Logged out meanwhile, there is nothing it could belong to.
    if (pair.login && pair.from === 0) await adoptLogin(context, pair, pair.login);
  });
}

/** Takes the place of the token set it came after, or becomes the spare of a newer one. */
async function adoptInto(context: Context, stored: StoredConnection, pair: UnsavedPair): Promise<void> {
  const { vault, clock } = context;
  const { from, tokens, login } = pair;
  const { id } = stored;
  if (login && stored.generation === from) return adoptLogin(context, pair, login);
  // Of a connection of that name which was logged out, or of another client: it would be refused here.
  if (login ? login.clientRowId !== stored.clientRowId : id !== pair.connectionId) return;
  const next = await sealTokenSet(vault.sealer, id, from + 1, tokens);
  const spare = await sealSpare(vault.sealer, id, from, tokens);
  await vault.transaction(function* () {
    const isReplaced = yield* replaceTokenSet(id, from, next);
    if (!isReplaced) yield* saveSpare(id, spare, from);
    yield* closeOlderRotations(id, from + 1, clock.now());
    yield* record(vault, pair, isReplaced ? 'ok' : 'late');
  });
}

async function adoptLogin(context: Context, pair: UnsavedPair, login: LoginFacts): Promise<void> {
  const { vault } = context;
  // A client nobody used any more may be gone.
  if (!(await vault.run(() => findClient(login.clientRowId)))) return;
  await storeLogin(context, login, pair.tokens, pair.connectionId);
  await vault.transaction(() => record(vault, pair, 'ok'));
}

function record(vault: Vault, { connection, from, tokens }: UnsavedPair, outcome: string): Steps<void> {
  const detail = { generation: from + 1, refresh_token: tokens.refreshToken?.fingerprint() ?? null };
  return vault.audit.append({ actor: 'broker', action: 'rescue', connection, outcome, detail });
}

/** Written as a new file: in a shared directory somebody may have laid a link under our name. */
function tryWrite(path: string, text: string): boolean {
  try {
    rmSync(path, { force: true });
    writeFileSync(path, text, { flag: 'wx', mode: 0o600, flush: true });
    return true;
  } catch {
    return false;
  }
}

const placeOf = (name: string) => ({ table: 'rescue', row: name, column: 'tokens', generation: 0 });

function listFiles(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => FILE_NAME.test(name))
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}
