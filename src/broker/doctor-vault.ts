/** Examines what the broker itself stands on: its key, its files and its clock. Nothing is made or mended. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import type { Clock } from '../clock.ts';
import type { Settings } from '../config.ts';
import {
  clockAgainstVault,
  failed,
  failedBy,
  fine,
  type Outcome,
  skipped,
  warning,
} from '../core/diagnosis.ts';
import { BrokerError, systemCode } from '../errors.ts';
import { listConnections } from '../vault/connections.ts';
import { openVault, type Vault } from '../vault/index.ts';
import { listKeys } from '../vault/keys.ts';

/** The vault, if it opens, and what was found on the way. */
export interface VaultFindings {
  /** The caller's to close. */
  vault: Vault | undefined;
  key: Outcome;
  files: Outcome;
  clock: Outcome;
}

/** Never throws for what can be wrong with a vault. */
export async function examineVault(settings: Settings, clock: Clock): Promise<VaultFindings> {
  const { database: path, masterKey } = settings;
  try {
    const vault = await openVault({ path, masterKey, clock, create: false });
    try {
      return {
        vault,
        key: fine(`${vault.masterKey.source} opens the vault`),
        files: examineFiles(path, vault),
        clock: clockAgainstVault(await newestInstant(vault), clock.now()),
      };
    } catch (error) {
      await vault.close();
      throw error;
    }
  } catch (error) {
    const outcome = failedBy(error);
    const clockOutcome = skipped('the vault could not be opened');
    if (outcome.code?.startsWith('key_')) {
      return { vault: undefined, key: outcome, files: examineFiles(path, undefined), clock: clockOutcome };
    }
    const key = skipped('the vault could not be opened: see files');
    return { vault: undefined, key, files: outcome, clock: clockOutcome };
  }
}

/** Secrets are sealed, names and times are not: others need not see even those. */
const FOR_OTHERS = 0o077;

interface SeenFile {
  path: string;
  /** Whether we write there. */
  isOurs: boolean;
  wantedMode: string;
}

/** @param vault undefined: it did not open, and only what the file system tells is known */
function examineFiles(path: string, vault: Vault | undefined): Outcome {
  const keyFile = vault && isAbsolute(vault.masterKey.source) ? [vault.masterKey.source] : [];
  const files: SeenFile[] = [
    { path: dirname(path), isOurs: true, wantedMode: '700' },
    { path, isOurs: true, wantedMode: '600' },
    // Its mode was judged when it was read: its group may read it.
    ...keyFile.map((each) => ({ path: each, isOurs: false, wantedMode: '600' })),
  ];
  try {
    const unwritable = files.find((file) => file.isOurs && whyUnwritable(file.path) !== undefined);
    if (unwritable) {
      return failed(
        `${unwritable.path} cannot be written (${whyUnwritable(unwritable.path)})`,
        'check its permissions, and that its file system is not mounted read-only',
        'vault_unavailable',
      );
    }
    vault?.requireSpace();
    return files.map(looseness).find((each) => each !== undefined) ?? fine(files.map(inWords).join(', '));
  } catch (error) {
    if (error instanceof BrokerError) return failedBy(error);
    return failed(
      `the files of the vault could not be looked at (${systemCode(error)})`,
      `check ${dirname(path)}`,
    );
  }
}

function whyUnwritable(path: string): string | undefined {
  try {
    accessSync(path, constants.W_OK);
    return undefined;
  } catch (error) {
    return systemCode(error);
  }
}

function looseness({ path, isOurs, wantedMode }: SeenFile): Outcome | undefined {
  const { mode, uid } = statSync(path);
  const us = process.getuid?.();
  if (us === undefined || !isOurs) return undefined;
  if (uid !== us) {
    return warning(
      `${path} belongs to another user (uid ${uid}, this is ${us})`,
      `run the broker's commands as that user, or: chown ${us} ${path}`,
    );
  }
  if ((mode & FOR_OTHERS) === 0) return undefined;
  return warning(`${path} is open to other users (mode ${octal(mode)})`, `chmod ${wantedMode} ${path}`);
}

function inWords({ path }: SeenFile): string {
  return `${path} ${octal(statSync(path).mode)}`;
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}

/** When the vault was written last, as far as it says. */
async function newestInstant(vault: Vault): Promise<number> {
  const { keys, connections } = await vault.run(function* () {
    return { keys: yield* listKeys(), connections: yield* listConnections() };
  });
  return Math.max(
    ...keys.map(({ createdAt }) => createdAt),
    ...connections.flatMap(({ receivedAt, since, lastUsedAt }) => [receivedAt, since, lastUsedAt ?? 0]),
  );
}
