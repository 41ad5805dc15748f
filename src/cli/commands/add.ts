import { Command, Option } from 'commander';
import type { IdentityServerView, NewIdentityServer } from '../../broker/add-identity.ts';
import type { AddedView } from '../../broker/add-static.ts';
import { AUTH_METHODS } from '../../core/auth-methods.ts';
import { BrokerError } from '../../errors.ts';
import { collect, collectScopes, instant, readSecretFile } from '../arguments.ts';
import { asOperator, openSession } from '../session.ts';
import { resultJson, say, succeed } from '../terminal.ts';
import { type EnteredOptions, readEntered } from './add-entered.ts';
import { type MachineOptions, missing, readMachine } from './add-machine.ts';

interface AddOptions extends MachineOptions, EnteredOptions {
  url?: string;
  expires?: number;
  probe?: boolean;
  identity?: string;
  forward?: boolean;
  exchange?: boolean;
  json?: boolean;
}

/** `broker add`: a connection that nobody signs in to. */
export function addCommand(): Command {
  const command = new Command('add')
    .description('add a connection that nobody signs in to: a token, headers, or a machine’s own credentials')
    .argument('<name>')
    .addHelpText('after', EXAMPLES)
    .action(run);
  for (const option of OPTIONS) command.addOption(option);
  return command;
}

const option = (flags: string, description: string, group: string) =>
  new Option(flags, description).helpGroup(group);

const ENTERED = 'Entered by hand:';
const MACHINE = 'A machine’s own credentials:';
const IDENTITY = 'The identity of the user:';

const OPTIONS = [
  new Option('--url <url>', 'URL of the MCP server (not needed for one that is known)'),
  option('--bearer-file <file>', 'a token, such as a personal access token; - for stdin', ENTERED),
  option(
    '--header <name>',
    'a header; its value is the secret, or "Name: text {{token}}" (repeatable)',
    ENTERED,
  ).argParser(collect),
  option(
    '--value-file <file>',
    'the secret of the header before it; - for stdin (repeatable)',
    ENTERED,
  ).argParser(collect),
  option('--none', 'the server wants no credential', ENTERED),
  option(
    '--expires <when>',
    'when it ends, so that broker check can warn: 90d or 2027-01-31',
    ENTERED,
  ).argParser(instant),
  option('--probe', 'ask the server first, and store nothing it refuses', ENTERED),
  option('--client-credentials', 'with the client’s own id and secret or key', MACHINE),
  option(
    '--workload-token-file <file>',
    'with the token a platform keeps in this file (workload identity)',
    MACHINE,
  ),
  option(
    '--identity-token-file <file>',
    'with the ID token in this file (enterprise-managed authorization)',
    MACHINE,
  ),
  option('--identity-issuer <url>', 'the identity provider that issued it', MACHINE),
  option('--identity-client-id <id>', 'our client at the identity provider', MACHINE),
  option('--client-id <id>', 'OAuth client at the server', MACHINE),
  option('--client-secret-file <file>', 'its secret; - for stdin', MACHINE),
  option('--client-key-file <file>', 'its private key (PEM or JWK), for private_key_jwt', MACHINE),
  option('--auth-method <method>', 'how the client authenticates', MACHINE).choices(AUTH_METHODS),
  option('--scope <scope>', 'ask for this scope (repeatable)', MACHINE).argParser(collectScopes),
  option('--issuer <url>', 'the authorization server you vouch for, whatever is announced', MACHINE),
  option('--resource <uri>', 'the resource you vouch for, whatever is announced', MACHINE),
  option('--no-resource', 'leave out the resource parameter (RFC 8707)', MACHINE),
  option('--identity <server>', 'made from the users’ logins at this server, such as corp', IDENTITY),
  option('--forward', 'their access token goes there as it is, although it was issued for another', IDENTITY),
  option('--exchange', 'it is exchanged for one of this server first (RFC 8693)', IDENTITY),
  new Option('--json', 'as JSON'),
];

const EXAMPLES = `
Examples:
  broker add coda --url https://coda.io/apis/mcp --bearer-file token.txt --expires 90d
  broker add wiki --url https://wiki.example.com/mcp --header X-Api-Key --value-file key.txt
  broker add reports --url https://mcp.example.com/mcp --client-credentials --client-id abc --client-secret-file secret.txt
  broker add reports --url https://mcp.example.com/mcp --workload-token-file /var/run/secrets/tokens/mcp
  broker add internal --url https://internal.example.com/mcp --identity corp --exchange`;

async function run(name: string, options: AddOptions, command: Command): Promise<void> {
  const way = chooseWay(options);
  const session = openSession(command);
  // All that can be wrong with the words is told before anything is opened or made.
  const machine = way === 'machine' ? readMachine(options) : undefined;
  const entered = way === 'entered' ? readEntered(options) : undefined;
  const identity = way === 'identity' ? readIdentity(options) : undefined;
  await asOperator(session, { create: options.url !== undefined }, async (broker) => {
    const url = options.url ?? (await broker.urlOf(name));
    if (url === undefined) throw missing('--url <url>', 'the URL of the MCP server');
    if (identity) return tellIdentity(await broker.addIdentity({ name, url, ...identity }), options);
    const { expires: expiresAt, probe } = options;
    const view: AddedView = entered
      ? await broker.addStatic({ name, url, credential: entered, expiresAt, probe })
      : await broker.add({ name, url, ...(machine as NonNullable<typeof machine>) });
    if (options.json) return resultJson(view);
    succeed(`${view.name} is added${way === 'machine' ? ', and its first token is here' : ''}`);
    for (const note of view.notes ?? []) say(`  note: ${note}`);
    say(`\nnext: broker agent add <name> --allow ${view.name}`);
  }).catch((error: unknown) => {
    // Where there is no vault, no server is known either.
    const isUnknown =
      options.url === undefined && error instanceof BrokerError && error.code === 'vault_missing';
    throw isUnknown ? missing('--url <url>', 'the URL of the MCP server') : error;
  });
}

/** Exactly one way must be chosen. */
function chooseWay(options: AddOptions): 'machine' | 'entered' | 'identity' {
  const { bearerFile, header, none, identity, clientCredentials, workloadTokenFile, identityTokenFile } =
    options;
  const entered = [bearerFile, header, none].filter(Boolean).length;
  const machine = [clientCredentials, workloadTokenFile, identityTokenFile].filter(Boolean).length;
  if (entered + machine + (identity === undefined ? 0 : 1) !== 1) {
    throw new BrokerError('usage', 'say in one way how the connection gets its tokens', {
      hint:
        '--bearer-file <file>, --header <name> --value-file <file>, or --none\n' +
        '--client-credentials, --workload-token-file <file> or --identity-token-file <file>\n' +
        '--identity <server> with --forward or --exchange\na person signs in with: broker login <url>',
    });
  }
  if (entered === 0 && (options.expires !== undefined || options.probe)) {
    throw new BrokerError('usage', '--expires and --probe go with what is entered by hand', {
      hint: 'leave them out: what ends is known here, and the first token proves the rest',
    });
  }
  if (identity !== undefined) return 'identity';
  return machine === 1 ? 'machine' : 'entered';
}

function readIdentity(options: AddOptions): Omit<NewIdentityServer, 'name' | 'url'> {
  const { identity: source = '', forward, exchange, clientId, clientSecretFile } = options;
  if (Boolean(forward) === Boolean(exchange)) {
    throw new BrokerError('usage', 'say what becomes of the users’ tokens', {
      hint: '--exchange gets one of this server for each; --forward sends theirs as it is, although it was issued for another',
    });
  }
  return {
    ...{ source, clientId, scopes: options.scope },
    mode: forward ? 'forward' : 'exchange',
    clientSecret:
      clientSecretFile === undefined ? undefined : readSecretFile(clientSecretFile, '--client-secret-file'),
  };
}

function tellIdentity(view: IdentityServerView, { json, forward }: AddOptions): void {
  if (json) {
    resultJson(view);
    return;
  }
  succeed(`${view.server} is made from the logins at ${view.source}`);
  if (forward)
    say('  note: their access tokens are sent there as they are, although they were issued for another');
  for (const connection of view.connections) say(`  ${connection}`);
  say(`\nnext: broker agent add <name> --allow '${view.server}@*'`);
}
