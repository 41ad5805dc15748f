import { Command, Option } from 'commander';
import type { AddedMachineView } from '../../broker/add.ts';
import type { IdentityServerView, NewIdentityServer } from '../../broker/add-identity.ts';
import type { AddedView } from '../../broker/add-static.ts';
import type { Addition } from '../../broker/add-words.ts';
import { requireConnectionName } from '../../core/names.ts';
import { BrokerError, printable } from '../../errors.ts';
import { readSecretFile } from '../arguments.ts';
import { asOperator, openSession, type Session } from '../session.ts';
import { resultJson, say, succeed } from '../terminal.ts';
import { type EnteredOptions, readEntered } from './add-entered.ts';
import { type MachineOptions, missing, readMachine } from './add-machine.ts';
import { addWays, refuseForeign, type Way } from './add-options.ts';
import { type ProgramOptions, readProgram } from './add-program.ts';

interface AddOptions extends MachineOptions, EnteredOptions, ProgramOptions {
  url?: string;
  transport?: 'http' | 'sse';
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
    .description(
      'add a connection that nobody signs in to: a token, headers, a machine’s own credentials, or a program',
    )
    .argument('<name>')
    .option('--url <url>', 'URL of the MCP server (not needed for one that is known)')
    .addOption(
      new Option(
        '--transport <transport>',
        'http, or sse for servers that only speak the older HTTP+SSE (default: found out at the first call)',
      ).choices(['http', 'sse']),
    )
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(run);
  addWays(command);
  return command;
}

const EXAMPLES = `
Examples:
  broker add coda --url https://coda.io/apis/mcp --bearer-file token.txt --expires 90d
  broker add wiki --url https://wiki.example.com/mcp --header X-Api-Key --value-file key.txt
  broker add reports --url https://mcp.example.com/mcp --client-credentials --client-id abc --client-secret-file secret.txt
  broker add reports --url https://mcp.example.com/mcp --workload-token-file /var/run/secrets/tokens/mcp
  broker add internal --url https://internal.example.com/mcp --identity corp --exchange
  broker add coda-local --command node --arg server.js --env CODA_API_TOKEN={{coda}}
  broker add old --url https://mcp.example.com/sse --transport sse --bearer-file token.txt`;

async function run(name: string, options: AddOptions, command: Command): Promise<void> {
  requireConnectionName(name);
  const way = chooseWay(options);
  refuseForeign(command, way);
  const session = openSession(command);
  if (way === 'program') return addProgram(session, name, options);
  // All that can be wrong with the words is told before anything is opened or made.
  const addition = readAddition(way, { name, url: options.url ?? '' }, options);
  if (options.url !== undefined) {
    const { requireAddable } = await import('../../broker/add-words.ts');
    await requireAddable(session.settings, addition);
  }
  await asOperator(session, { create: options.url !== undefined && way !== 'identity' }, async (broker) => {
    const url = options.url ?? (await broker.urlOf(name));
    if (url === undefined) throw missing('--url <url>', 'the URL of the MCP server');
    if (addition.way === 'identity')
      return tellIdentity(await broker.addIdentity({ ...addition.wanted, url }), options);
    if (addition.way === 'machine')
      return tellMachine(await broker.add({ ...addition.wanted, url }), options);
    tellAdded(await broker.addStatic({ ...addition.wanted, url }), options, '');
  }).catch((error: unknown) => {
    // Where there is no vault, no server is known either.
    const isUnknown =
      options.url === undefined && error instanceof BrokerError && error.code === 'vault_missing';
    throw isUnknown ? missing('--url <url>', 'the URL of the MCP server') : error;
  });
}

function readAddition(
  way: Addition['way'],
  target: { name: string; url: string },
  options: AddOptions,
): Addition {
  const { expires: expiresAt, probe, transport } = options;
  switch (way) {
    case 'machine':
      return { way, wanted: { ...target, transport, ...readMachine(options) } };
    case 'identity':
      return { way, wanted: { ...target, ...readIdentity(options) } };
    case 'entered':
      return { way, wanted: { ...target, credential: readEntered(options), expiresAt, probe, transport } };
  }
}

async function addProgram(session: Session, name: string, options: AddOptions): Promise<void> {
  const program = readProgram(options);
  await asOperator(session, { create: true }, async (broker) =>
    tellAdded(await broker.addProgram({ name, program }), options, ', a program behind the gateway'),
  );
}

function tellAdded(view: AddedView, { json, command }: AddOptions, what: string): void {
  if (json) {
    resultJson(view);
    return;
  }
  succeed(`${view.name} is added${what}`);
  for (const note of view.notes ?? []) say(`  note: ${note}`);
  const mode = command === undefined ? '' : ' --mode gateway';
  say(`\nnext: broker agent add <name> --allow ${view.name}${mode}`);
}

/** Exactly one way must be chosen. */
function chooseWay(options: AddOptions): Way {
  const { bearerFile, header, none, identity, clientCredentials, workloadTokenFile, identityTokenFile } =
    options;
  const entered = [bearerFile, header, none].filter(Boolean).length;
  const machine = [clientCredentials, workloadTokenFile, identityTokenFile].filter(Boolean).length;
  const isProgram = options.command !== undefined;
  if (entered + machine + (identity === undefined ? 0 : 1) + (isProgram ? 1 : 0) !== 1) {
    throw new BrokerError('usage', 'say in one way how the connection gets its tokens', {
      hint:
        '--bearer-file <file>, --header <name> --value-file <file>, or --none\n' +
        '--client-credentials, --workload-token-file <file> or --identity-token-file <file>\n' +
        '--identity <server> with --forward or --exchange\n--command <program>, for a server that is one\na person signs in with: broker login <url>',
    });
  }
  if (isProgram && options.url !== undefined) {
    throw new BrokerError('usage', 'a program has no URL', {
      hint: 'leave out --url: programs are spoken with over stdin and stdout',
    });
  }
  if (isProgram) return 'program';
  if (identity !== undefined) return 'identity';
  return machine === 1 ? 'machine' : 'entered';
}

function readIdentity(options: AddOptions): Omit<NewIdentityServer, 'name' | 'url'> {
  const { identity: source = '', forward, exchange, clientId, clientSecretFile, clientKeyFile } = options;
  if (Boolean(forward) === Boolean(exchange)) {
    throw new BrokerError('usage', 'say what becomes of the users’ tokens', {
      hint: '--exchange gets one of this server for each; --forward sends theirs as it is, although it was issued for another',
    });
  }
  if (clientSecretFile !== undefined && clientKeyFile !== undefined) {
    throw new BrokerError('usage', 'a client has one secret or one key, not both', {
      hint: 'leave out --client-secret-file or --client-key-file',
    });
  }
  const secret = (file: string | undefined, flag: string) =>
    file === undefined ? undefined : readSecretFile(file, flag);
  return {
    ...{ source, clientId, scopes: options.scope, authMethod: options.authMethod },
    mode: forward ? 'forward' : 'exchange',
    clientSecret: secret(clientSecretFile, '--client-secret-file'),
    clientKey: secret(clientKeyFile, '--client-key-file'),
  };
}

function tellMachine(view: AddedMachineView, { json }: AddOptions): void {
  const { name, client_id, issuer, client_jwks, is_key_new } = view;
  if (json) {
    resultJson(view);
    return;
  }
  succeed(`${name} is added, ${is_key_new ? 'and has a key of its own' : 'and its first token is here'}`);
  if (client_jwks) {
    const whose = `the client ${printable(client_id ?? '')} at ${printable(issuer ?? '')}`;
    say(`\n${is_key_new ? 'register this public key for' : 'the public key is as it was for'} ${whose}:\n`);
    say(`  ${JSON.stringify(client_jwks)}`);
  }
  if (is_key_new)
    say(`\nwhen it is registered: broker refresh ${name}\n(broker show ${name} tells the key again)`);
  else say(`\nnext: broker agent add <name> --allow ${name}`);
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
