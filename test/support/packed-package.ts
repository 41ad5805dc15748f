import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));

/** What a finished program left behind. */
export interface ProgramResult {
  /** -1 when it did not end by itself. */
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs any program to its end, 25 seconds at most, with `PATH` and nothing else but `env` in its environment. */
export function runProgram(
  file: string,
  args: string[],
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Promise<ProgramResult> {
  const options = { cwd, env: { PATH: process.env.PATH ?? '', ...env }, timeout: 25_000 };
  return new Promise((resolve) => {
    execFile(file, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

/** Packs what is built, and unpacks it where somebody would have it who installed it. Returns that folder, to be deleted. */
export async function installPackage(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'broker-package-'));
  const home = { HOME: folder };
  const pack = ['pack', '--ignore-scripts', '--pack-destination', folder];
  const { stdout, stderr } = await runProgram('npm', pack, { cwd: CHECKOUT, env: home });
  const [tarball] = /^\S+\.tgz$/m.exec(stdout) ?? [];
  if (tarball === undefined) throw new Error(`nothing was packed: ${stderr}`);
  const installed = join(folder, 'node_modules', 'mcp-token-broker');
  mkdirSync(installed, { recursive: true });
  const unpack = ['-xzf', join(folder, tarball), '-C', installed, '--strip-components=1'];
  const unpacked = await runProgram('tar', unpack, { cwd: folder });
  if (unpacked.code !== 0) throw new Error(`the package was not unpacked: ${unpacked.stderr}`);
  return folder;
}
