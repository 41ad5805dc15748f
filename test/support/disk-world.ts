/** A process world for tests that take its disk away, with the questions they all ask in the end. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { unmountAll } from './failing-disk.ts';
import { createGate, isRefresh } from './gate.ts';
import type { CallAnswer } from './http-call.ts';
import {
  type ProcessWorld,
  type ProcessWorldOptions,
  type RunningDaemon,
  startProcessWorld,
} from './process-world.ts';
import { type LedgerEntry, refreshLedger } from './refresh-ledger.ts';
import { secretsSeenBy } from './secrets-seen.ts';
import { type StoredLogin, storedLogin } from './stored-login.ts';

/** A daemon that has presented a refresh token for an agent, and has no answer yet. */
export interface WaitingDaemon extends RunningDaemon {
  pid: number | undefined;
  /** What the agent gets in the end. */
  asked: Promise<CallAnswer>;
  /** Lets the answer of the server come. */
  answer(): void;
}

export interface DiskWorld extends ProcessWorld {
  vaultDirectory: string;
  /** The places for rescue files, first to last. */
  rescueDirectories: [config: string, runtime: string, temporary: string];
  /** Every refresh token issued so far. */
  ledger(): LedgerEntry[];
  /** The login in the vault. Rejects when there is none. */
  stored(): Promise<StoredLogin>;
  startWaitingDaemon(): Promise<WaitingDaemon>;
  /** Paths of files that hold a pair put aside, or what is left of one. */
  rescueFiles(): string[];
  /** A pair was put aside in `directory`, default the first one: in one file, for our eyes only, nothing in clear. */
  expectPutAside(directory?: string): void;
  /** The login is whole: what the server accepts is what we have. Nothing was presented twice, nothing lies about. */
  expectNothingLost(generation: number): Promise<void>;
  /** No secret that passed through the server is in `text`. */
  expectNoSecret(text: string): void;
}

/** Who is told how to close the world: the context of a test. */
export interface Owner {
  onTestFinished(close: () => Promise<void>): void;
}

/** Starts the world for one test. It is closed with the test, its mounts first, however the test ends. */
export async function startDiskWorld(
  { onTestFinished }: Owner,
  options: ProcessWorldOptions = {},
): Promise<DiskWorld> {
  const world = await startProcessWorld(options);
  const { env, path } = world.home;
  onTestFinished(async () => {
    unmountAll(path);
    await world.close();
  });
  // What is put aside there goes with the home.
  env.TMPDIR = env.HOME as string;
  const rescueDirectories: DiskWorld['rescueDirectories'] = [
    join(env.XDG_CONFIG_HOME as string, 'mcp-token-broker'),
    env.XDG_RUNTIME_DIR as string,
    env.TMPDIR,
  ];
  const ledger = () => refreshLedger(world.authorizationServer.requests);
  const rescueFiles = () =>
    rescueDirectories.flatMap((directory) =>
      readdirSync(directory)
        .filter((name) => name.startsWith('mtb-rescue-'))
        .map((name) => join(directory, name)),
    );

  async function stored(): Promise<StoredLogin> {
    const login = await storedLogin(world.home);
    if (!login) throw new Error('there is no login in the vault');
    return login;
  }

  function expectNoSecret(text: string): void {
    for (const [secret, field] of secretsSeenBy(world.authorizationServer))
      expect(text.includes(secret), `${field} in ${text}`).toBe(false);
  }

  return {
    ...world,
    vaultDirectory: dirname(world.vaultPath),
    rescueDirectories,
    ledger,
    stored,
    rescueFiles,
    expectNoSecret,
    async startWaitingDaemon() {
      world.expireAccessToken();
      const gate = createGate(isRefresh);
      world.authorizationServer.fail(gate.rule);
      const daemon = await world.startDaemon();
      const asked = daemon.ask();
      // Whoever looks at it sees how it failed.
      asked.catch(() => undefined);
      await gate.arrived;
      return { ...daemon, pid: daemon.process.process.pid, asked, answer: () => gate.open() };
    },
    expectPutAside(directory = rescueDirectories[0]) {
      const files = rescueFiles();
      expect(files.map(dirname)).toEqual([directory]);
      for (const file of files) {
        expect(statSync(file).mode & 0o777).toBe(0o600);
        const text = readFileSync(file, 'utf8');
        expect(text).toMatch(/^ey[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/);
        expectNoSecret(text);
      }
    },
    async expectNothingLost(generation) {
      const login = await stored();
      expect(login).toMatchObject({ generation, state: 'ok', spare: undefined });
      // A login that was replaced lives on at the server until it ends.
      const newest = ledger().filter((entry, _, { length }) => entry.login === ledger()[length - 1]?.login);
      const accepted = newest.filter(({ isAccepted }) => isAccepted).map(({ fingerprint }) => fingerprint);
      expect(accepted).toEqual([login.refreshToken]);
      expect(Math.max(...ledger().map(({ presentations }) => presentations))).toBeLessThanOrEqual(1);
      expect(rescueFiles()).toEqual([]);
      for (const { process } of world.processes) expectNoSecret(process.stderr());
    },
  };
}
