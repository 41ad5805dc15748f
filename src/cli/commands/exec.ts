import { Command, InvalidArgumentError } from 'commander';
import type { TokenView } from '../../broker/token-view.ts';
import { childEnvironment } from '../../config.ts';
import { duration } from '../../core/duration.ts';
import { TOKEN_VARIABLE } from '../../core/runtimes.ts';
import { BrokerError, quote } from '../../errors.ts';
import { wholeNumber } from '../arguments.ts';
import { runChild } from '../child.ts';
import { fetchTokenAndTarget } from '../credentials.ts';
import { EXIT_INTERRUPTED } from '../exit-codes.ts';
import { openSession } from '../session.ts';
import { sayError, warn } from '../terminal.ts';

interface ExecOptions {
  env: string;
  minTtl: number;
}

/** A token that ends sooner than this may well end before the program does. */
const SHORT_LIFE_SECONDS = 600;

/** `broker exec`: runs a program with a token in its environment. */
export function execCommand(): Command {
  return new Command('exec')
    .description('run a program with a fresh access token in its environment')
    .usage('[options] <connection> -- <program> [arguments...]')
    .argument('<connection>')
    .argument('<program...>', 'the program and its arguments, after --')
    .option('--env <name>', 'variable that holds the token', variableName, TOKEN_VARIABLE)
    .option('--min-ttl <seconds>', 'how long the token should live at least', wholeNumber, SHORT_LIFE_SECONDS)
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
The URL of the server is in MCP_SERVER_URL. The token is a snapshot: a program that outlives it must ask again.
Agent key and master key are not handed on. Exits with the program's code (128 + number of a signal), 127 or 126 when
it is missing or cannot be run, 125 when there is no token.

Examples:
  broker exec coda -- ./nightly-report.sh
  broker exec github --env GITHUB_TOKEN -- gh api user`;

function variableName(value: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(value)) return value;
  throw new InvalidArgumentError('the name of a variable is letters, digits and underscores');
}

async function run(name: string, command: string[], options: ExecOptions, self: Command): Promise<void> {
  const session = openSession(self);
  const { token, target } = await fetchTokenAndTarget(session, name, { minTtlSeconds: options.minTtl });
  if (process.exitCode === EXIT_INTERRUPTED) return;
  for (const warning of [...(token.warnings ?? []), ...lifeWarning(token)]) warn(warning);
  const env = childEnvironment({ MCP_SERVER_URL: target.url, [options.env]: token.access_token });
  const { code, failure } = await runChild(command as [string, ...string[]], { env });
  if (failure !== undefined) sayError(notStarted(command[0] as string, failure));
  process.exitCode = code;
}

function lifeWarning({ connection, expires_in }: TokenView): string[] {
  if (expires_in !== undefined && expires_in >= SHORT_LIFE_SECONDS) return [];
  const end =
    expires_in === undefined
      ? `nobody knows when the token of ${connection} ends`
      : `the token of ${connection} ends in ${duration(expires_in * 1000)}`;
  return [`${end}, and the program has only this snapshot of it`];
}

function notStarted(program: string, failure: string): BrokerError {
  const what = failure === 'ENOENT' ? 'was not found' : `cannot be run (${failure})`;
  return new BrokerError('usage', `${quote(program)} ${what}`, {
    hint: 'it is started without a shell: give a program on the PATH or its whole path, and its arguments after --',
  });
}
