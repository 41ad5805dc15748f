/**
 * The last resort for a token pair that the vault cannot take: a sealed file outside of it.
 *
 * It is written when saving has failed for a while, to the first directory that takes it, under the vault's own
 * key. Every opening of the vault looks for such files, takes them in, and removes them. The name says which
 * vault it belongs to, because temporary directories are shared.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseTokenSet, serialiseTokenSet } from '../core/token-set.ts';
import { findClient } from '../vault/clients.ts';
import { findConnection, type StoredConnection, sealTokenSet } from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import type { Vault } from '../vault/index.ts';
import { closeOlderRotations, isRestored } from '../vault/rotations.ts';
import type { Context, Rescue, UnsavedPair } from './context.ts';
import { type Place, placeLatePair } from './late-pair.ts';
import { writeLogin } from './login-save.ts';
import { putTokens } from './put-tokens.ts';

/** Content of a rescue file, sealed. */
interface RescuedPair extends Omit<UnsavedPair, 'tokens'> {
  /** As `serialiseTokenSet` wrote it. */
  tokens: string;
}

const FILE_NAME = /^mtb-rescue-.+\.jwe$/;

type Parts = Pick<Context, 'vault' | 'clock' | 'log'>;

/** Rescue files in these directories: written to the first that takes one, looked for in all. */
export function createRescue(parts: Parts, directories: string[]): Rescue {
  const { vault, log } = parts;
  const prefix = `mtb-rescue-${vault.sealer.vaultId}-`;
  const found = (rest: string) =>
    directories.flatMap(listFiles).filter((each) => basename(each).startsWith(prefix + rest));

  async function adopt(path: string): Promise<void> {
    const pair = await readPair(vault, path);
    if (!pair) return;
    const outcome = await takeIn(parts, pair);
    rmSync(path, { force: true });
    log.warn({ connection: pair.connection, path, outcome }, 'a token that had been put aside was looked at');
  }

  return {
    async write(pair) {
      const name = `${prefix}${pair.connectionId}-${pair.from}.jwe`;
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
    async adoptAll() {
      for (const path of found('')) {
        await adopt(path).catch((error: unknown) =>
          log.error({ err: error, path }, 'a token that was put aside could not be taken in'),
        );
      }
    },
    async adoptFor(connectionId) {
      for (const path of found(`${connectionId}-`)) await adopt(path);
    },
  };
}

/** Undefined: another process has just taken it in. */
async function readPair(vault: Vault, path: string): Promise<UnsavedPair | undefined> {
  if (!existsSync(path)) return undefined;
  const sealed = readFileSync(path, 'utf8');
  const rescued = JSON.parse(await vault.sealer.open(sealed, placeOf(basename(path)))) as RescuedPair;
  return { ...rescued, tokens: parseTokenSet(rescued.tokens) };
}

/** What became of a pair. `nothing`: there is nothing it belongs to any more. */
type TakenIn = Place | 'nothing';

/**
 * Without the connection's lease, which the process that put the pair aside may have died with: every write is
 * conditional on what was read, and who was overtaken looks again.
 */
async function takeIn(parts: Parts, pair: UnsavedPair): Promise<TakenIn> {
  for (;;) {
    const outcome = await tryTakeIn(parts, pair);
    if (outcome) return outcome;
  }
}

/** Undefined when somebody wrote in between. */
async function tryTakeIn({ vault, clock }: Parts, pair: UnsavedPair): Promise<TakenIn | undefined> {
  const { from, tokens, clientRowId, login, connection } = pair;
  const stored = await vault.run(() => findConnection(connection));
  if (!(await belongs(vault, pair, stored))) return 'nothing';
  const id = stored?.id ?? pair.connectionId;
  const isAhead =
    stored !== undefined && stored.generation !== from && !(await isBehind(vault, stored, from));
  const next = await sealTokenSet(vault.sealer, id, from + 1, tokens);
  const origin = { id, generation: from, clientRowId };
  const late = isAhead ? await placeLatePair(vault.sealer, stored, origin, tokens) : undefined;
  // The process that put it aside could save it after all, and died before it removed the file.
  if (late?.place === 'held') return 'held';
  return vault.transaction(function* (): Steps<TakenIn | undefined> {
    const now = clock.now();
    const current = yield* findConnection(connection);
    if (current?.sealed !== stored?.sealed || current?.state !== stored?.state) return undefined;
    if (late) yield* late.write(now);
    else if (login) yield* writeLogin(login, stored, id, next, now);
    else if (current) yield* putTokens(current, next, now);
    yield* closeOlderRotations(id, from + 1, now);
    yield* vault.audit.append({
      actor: 'broker',
      action: 'rescue',
      connection,
      outcome: late ? 'late' : 'ok',
      detail: { generation: from + 1, refresh_token: tokens.refreshToken?.fingerprint() ?? null },
    });
    return late?.place ?? 'current';
  });
}

/** Whether what is stored came from a backup that is older than the pair: nothing can be newer than the pair then. */
async function isBehind(vault: Vault, { id, generation }: StoredConnection, from: number): Promise<boolean> {
  return generation < from && (await vault.run(() => isRestored(id, generation)));
}

/** Whether its connection is still there, or may be made. */
async function belongs(
  vault: Vault,
  { login, from, connectionId, clientRowId }: UnsavedPair,
  stored: StoredConnection | undefined,
): Promise<boolean> {
  // A client nobody used any more may be gone.
  if (clientRowId && !(await vault.run(() => findClient(clientRowId)))) return false;
  if (!stored) return login !== undefined && from === 0;
  // Another connection may have that name, when the one it belongs to was logged out.
  return login !== undefined || stored.id === connectionId;
}

/** Written as a new file: in a shared directory somebody may have laid a link under our name. */
function tryWrite(path: string, text: string): boolean {
  try {
    rmSync(path, { force: true });
    writeFileSync(path, text, { flag: 'wx', mode: 0o600, flush: true });
    return true;
  } catch {
    // What is half written would look like one that is damaged.
    rmSync(path, { force: true });
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
