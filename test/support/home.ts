import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A throwaway place for one broker. */
export interface Home {
  /** The directory that holds everything below. */
  path: string;
  /**
   * A clean environment for a child process: nothing of ours but `PATH`, and where Node keeps compiled code.
   * `BROKER_HOME` does not exist yet.
   */
  env: Record<string, string>;
  /** Deletes the directory and all in it. */
  remove(): Promise<void>;
}

/** Compiled code of the program, kept between its many starts: a sixth of each. Nothing else is in it. */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/broker-tests', import.meta.url));

/** Creates a home in the system's temporary directory. Its path is short enough for Unix sockets. */
export async function createHome(): Promise<Home> {
  const path = await mkdtemp(join(tmpdir(), 'broker-'));
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: join(path, 'home'),
    XDG_DATA_HOME: join(path, 'data'),
    XDG_CONFIG_HOME: join(path, 'config'),
    XDG_RUNTIME_DIR: join(path, 'run'),
    BROKER_HOME: join(path, 'vault'),
    NODE_COMPILE_CACHE: COMPILE_CACHE,
  };
  for (const directory of [env.HOME, env.XDG_DATA_HOME, env.XDG_CONFIG_HOME, env.XDG_RUNTIME_DIR]) {
    await mkdir(directory, { mode: 0o700 });
  }
  return { path, env, remove: () => rm(path, { recursive: true, force: true }) };
}
