/** `broker add --command`: an MCP server that is a program on this machine. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { Option } from 'commander';
import { environmentPath } from '../../config.ts';
import { DEFAULT_IDLE_END_MS, PROCESS_MODES, type ProcessMode, type Program } from '../../core/program.ts';
import { BrokerError, quote } from '../../errors.ts';
import { collect, collectPair, durationMs } from '../arguments.ts';

export interface ProgramOptions {
  command?: string;
  arg?: string[];
  env?: Record<string, string>;
  cwd?: string;
  process?: ProcessMode;
  idleEnd?: number;
}

export const PROGRAM_OPTIONS = [
  new Option('--command <program>', 'the program; its whole path is looked up now'),
  new Option('--arg <argument>', 'an argument for it (repeatable)').argParser(collect),
  new Option(
    '--env <name=value>',
    'a variable of its environment, which holds nothing else; {{NAME}} in the value is the secret of the connection NAME, any other value is plain configuration that broker show tells (repeatable)',
  ).argParser(collectPair),
  new Option('--cwd <directory>', 'where it works (default: here)'),
  new Option('--process <mode>', 'one for each session, or one shared by all (default: session)').choices(
    PROCESS_MODES,
  ),
  new Option('--idle-end <duration>', 'when a process nobody uses is ended (default: 30m)').argParser(
    durationMs,
  ),
];

/** What was said of the program. Throws `usage` for what cannot be started. */
export function readProgram(options: ProgramOptions): Program {
  const {
    command = '',
    arg = [],
    env = {},
    process: processes = 'session',
    idleEnd = DEFAULT_IDLE_END_MS,
  } = options;
  const cwd = resolve(options.cwd ?? '.');
  if (!statSync(cwd, { throwIfNoEntry: false })?.isDirectory())
    throw refused(`${quote(cwd)} is no directory`, '--cwd takes the directory the program works in');
  if (idleEnd < 1000) throw refused('a process cannot be ended at once', 'such as --idle-end 30m');
  return { command: findCommand(command), args: arg, cwd, env, processes, idleEndMs: idleEnd };
}

/** As a shell finds it: a path as it is, a name on the PATH. */
function findCommand(command: string): string {
  const candidates = command.includes('/')
    ? [resolve(command)]
    : environmentPath()
        .split(delimiter)
        .filter(Boolean)
        .map((directory) => resolve(join(directory, command)));
  const found = candidates.filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
  const runnable = found.find(isExecutable);
  if (runnable !== undefined && command !== '') return runnable;
  const [first] = found;
  throw first === undefined || command === ''
    ? refused(`the program ${quote(command)} was not found`, 'give its path, or a name on your PATH')
    : refused(`${quote(first)} may not be run`, `make it executable: chmod +x ${first}`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function refused(message: string, hint: string): BrokerError {
  return new BrokerError('usage', message, { hint });
}
