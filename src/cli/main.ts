/** The command line: the tree of commands, and the one place where an error becomes words and an exit code. */
import { Command, CommanderError, Option } from 'commander';
import { environmentName } from '../config.ts';
import { BrokerError, systemCode } from '../errors.ts';
import { LOG_FORMATS, LOG_LEVELS } from '../log.ts';
import { addCommand } from './commands/add.ts';
import { agentCommand } from './commands/agent.ts';
import { auditCommand } from './commands/audit.ts';
import { backupCommand } from './commands/backup.ts';
import { checkCommand } from './commands/check.ts';
import { clientMetadataCommand } from './commands/client-metadata.ts';
import { completeCommand, completionCommand } from './commands/completion.ts';
import { configCommand } from './commands/config.ts';
import { doctorCommand } from './commands/doctor.ts';
import { execCommand } from './commands/exec.ts';
import { keyCommand } from './commands/key.ts';
import { listCommand } from './commands/list.ts';
import { loginCommand } from './commands/login.ts';
import { logoutCommand } from './commands/logout.ts';
import { manCommand } from './commands/man.ts';
import { migrateCommand } from './commands/migrate.ts';
import { notifyCommand } from './commands/notify.ts';
import { withNotifyOptions } from './commands/notify-options.ts';
import { pushCommand } from './commands/push.ts';
import { refreshCommand } from './commands/refresh.ts';
import { restoreCommand } from './commands/restore.ts';
import { serveCommand } from './commands/serve.ts';
import { showCommand } from './commands/show.ts';
import { tokenCommand } from './commands/token.ts';
import { toolsCommand } from './commands/tools.ts';
import { EXIT_INTERNAL, EXIT_NOT_STARTED, EXIT_USAGE, exitCodeFor } from './exit-codes.ts';
import { fillOptions, isOnlyTyped, optionName } from './option-sources.ts';
import { endStatus, startStatus } from './status-line.ts';
import { resultJson, say, sayError, switchColourOff } from './terminal.ts';
import { readVersion } from './version.ts';

/** Runs the command line and sets the exit code. Never rejects. */
export async function main(argv: string[]): Promise<void> {
  process.stdout.on('error', (error) => {
    if (systemCode(error) !== 'EPIPE') process.exit(EXIT_INTERNAL);
    // `broker list | head`: who no longer reads wants no complaint. What is still going on is stopped in order.
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(0);
  });
  // Nobody listens to words any more: that is no reason to fail.
  process.stderr.on('error', () => {});
  // Node's own printing of a crash would show causes too, which may hold tokens.
  process.on('uncaughtException', (error) => {
    say(internalError(error));
    process.exit(EXIT_INTERNAL);
  });
  // A command that waits for what can never come must not look like success.
  process.once('beforeExit', reportUnfinished);
  const program = buildProgram();
  try {
    await program.parseAsync(argv);
  } catch (error) {
    // What stands behind `--` is meant for another program.
    const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
    const code = report(error, wantsJson || own.includes('--json'));
    process.exitCode = code !== 0 && program.args[0] === 'exec' ? EXIT_NOT_STARTED : code;
  }
  endStatus();
  process.removeListener('beforeExit', reportUnfinished);
}

function reportUnfinished(): void {
  say(internalError(new Error('the command stopped before it was done')));
  process.exitCode = EXIT_INTERNAL;
}

/** The tree of commands. */
export function buildProgram(): Command {
  const program = new Command('broker')
    .description('MCP OAuth for agents with no browser: sign in once, every agent gets a fresh token.')
    .version(readVersion(), '-V, --version')
    .option('--home <directory>', 'where the data is kept')
    .option('--config <file>', 'config file (JSON, option names to values)')
    .option('--database <file>', 'the SQLite file, if not broker.db in the home')
    .option('--master-key-file <file>', 'key that opens the vault, if not made by the broker itself')
    .option('--ca-file <file>', 'further certificate authorities to trust (PEM)')
    .addOption(new Option('--log-level <level>', 'what to log on stderr').choices(LOG_LEVELS).default('warn'))
    .addOption(
      new Option('--log-format <format>', 'how: auto is pretty on a terminal, else JSON lines')
        .choices(LOG_FORMATS)
        .default('auto'),
    )
    .option('--no-color', 'no colours')
    .addHelpText('after', EXAMPLES)
    .hook('preAction', (_program, command) => prepareOptions(command));
  const groups: [title: string, commands: Command[]][] = [
    [
      'Connections:',
      [loginCommand(), addCommand(), listCommand(), showCommand(), refreshCommand(), logoutCommand()],
    ],
    [
      'Agents and their tokens:',
      [agentCommand(), toolsCommand(), tokenCommand(), execCommand(), pushCommand(), configCommand()],
    ],
    [
      'The daemon, and whether all is well:',
      [
        withNotifyOptions(serveCommand()),
        withNotifyOptions(checkCommand()),
        ...[notifyCommand(), doctorCommand(), auditCommand()],
      ],
    ],
    ['The vault:', [keyCommand(), backupCommand(), restoreCommand(), migrateCommand()]],
    ['Besides:', [clientMetadataCommand(), completionCommand(), manCommand(program)]],
  ];
  for (const [title, commands] of groups)
    for (const command of commands) program.addCommand(command.helpGroup(title));
  program.addHelpCommand(
    new Command('help').argument('[command]').description('the help of a command').helpGroup('Besides:'),
  );
  program.addCommand(completeCommand(program), { hidden: true });
  prepareCommands(program);
  return program;
}

const EXAMPLES = `
Examples:
  broker login https://coda.io/apis/mcp      sign in once
  broker agent add docs-bot --allow coda     make a key for an agent
  broker serve                               hand out tokens on http://127.0.0.1:8787
  broker check                               for cron: silent when all is well

Every option can also be set as BROKER_<OPTION> or in the config file.
Exit codes: 0 fine, 1 attention soon, 2 login required or unusable, 3 vault or daemon, 64 usage,
70 internal, 75 try later, 77 refused, 130 interrupted.`;

/** Whether the running command answers in JSON, so that its failure does too. */
let wantsJson = false;

function prepareOptions(command: Command): void {
  fillOptions(command);
  const { color, json } = command.optsWithGlobals<{ color: boolean; json?: boolean }>();
  if (!color) switchColourOff();
  wantsJson = json === true;
  if (!HAND_OVER.has(command.name())) startStatus(wordsOf(command).join(' '));
}

/** `broker agent add`. */
function wordsOf(command: Command): string[] {
  return [...(command.parent ? wordsOf(command.parent) : []), command.name()];
}

/** Commands that leave the terminal to others, or say nothing for as long as they run. */
const HAND_OVER = new Set(['exec', 'push', 'audit', 'complete']);

/** Help that names the environment variables, and commander's own errors as exceptions. */
function prepareCommands(command: Command): void {
  command.exitOverride().showHelpAfterError('(add --help for what is possible)');
  for (const option of command.options) {
    if (option.long && option.long !== '--version' && !isOnlyTyped(command, option))
      option.env(environmentName(optionName(option)));
  }
  for (const child of command.commands) prepareCommands(child);
}

/** Says what went wrong and gives back the exit code. */
function report(error: unknown, asJson: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof BrokerError) {
    if (asJson) {
      const { code, message, hint } = error;
      resultJson(
        { event: 'error', code, message, ...(hint === undefined ? {} : { hint }) },
        { indent: false },
      );
    }
    sayError(error);
    return exitCodeFor(error);
  }
  say(internalError(error));
  return EXIT_INTERNAL;
}

function internalError(error: unknown): string {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `internal error: ${what}\n  → this is a fault of the broker; please report it with the lines above`;
}
