import { Command } from 'commander';
import { OPERATOR } from '../../broker/context.ts';
import type { TokenView } from '../../broker/tokens.ts';
import { wholeNumber } from '../arguments.ts';
import { callDaemon } from '../daemon-client.ts';
import { asOperator, openSession, type Session } from '../session.ts';
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
    .option('--headers-json', 'as a JSON object of headers')
    .option('--json', 'with expiry, scope and generation')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, options: TokenOptions, command: Command) => {
      const token = await fetchToken(openSession(command), name, options);
      for (const warning of token.warnings ?? []) warn(warning);
      const value = `Bearer ${token.access_token}`;
      if (options.json) resultJson(token);
      else if (options.headersJson) resultJson({ Authorization: value }, { indent: false });
      else result(options.header ? `Authorization: ${value}` : token.access_token);
    });
}

const EXAMPLES = `
With BROKER_AGENT_KEY or BROKER_AGENT_KEY_FILE set it asks the daemon at BROKER_URL as that agent;
otherwise it opens the vault as the operator.

Examples:
  broker token coda
  broker token coda --min-ttl 300 --json
  curl -H "$(broker token coda --header)" https://coda.io/apis/mcp`;

async function fetchToken(session: Session, name: string, options: TokenOptions): Promise<TokenView> {
  const { minTtl, rejectedGeneration } = options;
  const { agentKey, daemonUrl } = session.settings;
  if (agentKey) {
    return callDaemon<TokenView>(
      { agentKey, daemonUrl },
      'POST',
      `/v1/connections/${encodeURIComponent(name)}/token`,
      {
        ...(minTtl === undefined ? {} : { min_ttl: minTtl }),
        ...(rejectedGeneration === undefined ? {} : { rejected_generation: rejectedGeneration }),
      },
    );
  }
  const { toTokenView } = await import('../../broker/tokens.ts');
  return asOperator(session, { create: false }, async (broker) => {
    const token = await broker.token(OPERATOR, name, { minTtlSeconds: minTtl, rejectedGeneration });
    return toTokenView(token, Date.now());
  });
}
