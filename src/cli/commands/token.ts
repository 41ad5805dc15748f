import { Command } from 'commander';
import { BrokerError } from '../../errors.ts';
import { wholeNumber } from '../arguments.ts';
import { fetchHeaders, fetchToken } from '../credentials.ts';
import { openSession, type Session } from '../session.ts';
import { result, resultJson, warn } from '../terminal.ts';

interface TokenOptions {
  minTtl?: number;
  rejectedGeneration?: number;
  header?: boolean;
  headersJson?: boolean;
  json?: boolean;
}

/** `broker token`: a fresh access token on stdout. */
export function tokenCommand(): Command {
  return new Command('token')
    .description('print a fresh access token')
    .argument('<connection>')
    .option('--min-ttl <seconds>', 'how long it should live at least', wholeNumber)
    .option('--rejected-generation <n>', 'the server refused the token of this generation', wholeNumber)
    .option('--header', 'as a header line')
    .option('--headers-json', 'as a JSON object of headers, as the headersHelper of Claude Code')
    .option('--json', 'with expiry, scope and generation')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, options: TokenOptions, command: Command) => {
      const session = openSession(command);
      if (options.json) return printToken(session, name, options, resultJson);
      if (options.header || options.headersJson) return printHeaders(session, name, options);
      return printToken(session, name, options, ({ access_token }) => result(access_token));
    });
}

const EXAMPLES = `
With BROKER_AGENT_KEY or BROKER_AGENT_KEY_FILE set it asks the daemon at BROKER_URL as that agent;
otherwise it opens the vault as the operator.

Examples:
  broker token coda
  broker token coda --min-ttl 300 --json
  broker token coda --header | curl -H @- https://coda.io/apis/mcp`;

type Token = Awaited<ReturnType<typeof fetchToken>>;

async function printToken(
  session: Session,
  name: string,
  { minTtl, rejectedGeneration }: TokenOptions,
  print: (token: Token) => void,
): Promise<void> {
  const token = await fetchToken(session, name, { minTtlSeconds: minTtl, rejectedGeneration });
  for (const warning of token.warnings ?? []) warn(warning);
  print(token);
}

async function printHeaders(session: Session, name: string, options: TokenOptions): Promise<void> {
  const { minTtl: minTtlSeconds, rejectedGeneration } = options;
  // The generation is the token's; headers come with whatever is current.
  if (rejectedGeneration !== undefined) await fetchToken(session, name, { rejectedGeneration });
  const { headers, warnings } = await fetchHeaders(session, name, { minTtlSeconds });
  for (const warning of warnings) warn(warning);
  if (options.headersJson) return resultJson(headers, { indent: false });
  const [first, ...others] = Object.entries(headers);
  if (!first || others.length > 0) {
    const count = first ? `${others.length + 1} headers, which make` : 'no header, which makes';
    throw new BrokerError('usage', `${name} has ${count} no single line`, {
      hint: `broker token ${name} --headers-json prints ${first ? 'them all' : '{}'}`,
    });
  }
  result(`${first[0]}: ${first[1]}`);
}
