import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { type CredentialKind, hasBearer } from '../../core/credential-kind.ts';
import { requireConnectionName } from '../../core/names.ts';
import { findPreset } from '../../core/presets.ts';
import {
  fillIn,
  RUNTIMES,
  remarks,
  requireRuntime,
  requireWay,
  templateOf,
  type Way,
} from '../../core/runtimes.ts';
import { BrokerError } from '../../errors.ts';
import { fetchTarget } from '../credentials.ts';
import { openSession, type Session } from '../session.ts';
import { result, resultJson, say, table, warn } from '../terminal.ts';

interface ConfigOptions {
  connection?: string;
  url?: string;
  serverUrl?: string;
  gateway?: boolean;
  exec?: boolean;
  json?: boolean;
}

/** `broker config`: ready configuration for an agent runtime on stdout; where it goes, and its traps, on stderr. */
export function configCommand(): Command {
  return new Command('config')
    .description('print ready configuration for an agent runtime; without one, list them')
    .argument('[runtime]')
    .option('--connection <connection>', 'the connection it is to use')
    .option('--url <url>', 'where the daemon is (default: http://127.0.0.1:8787)')
    .option('--server-url <url>', 'URL of the MCP server (default: the one of the connection)')
    .option('--gateway', 'through the gateway of the daemon, so that the runtime holds no token')
    .option('--exec', 'for a program that broker exec starts')
    .option('--json', 'as JSON, with notes and sources')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  broker config
  broker config claude-code --connection coda
  broker config codex --connection coda --exec >> ~/.codex/config.toml`;

async function run(name: string | undefined, options: ConfigOptions, command: Command): Promise<void> {
  if (name === undefined) return list(options);
  const runtime = requireRuntime(name);
  const way = requireWay(runtime, wantedWay(options));
  const connection = requireConnection(options);
  const session = openSession(command);
  const daemonUrl = options.url ?? session.settings.daemonUrl;
  const serverUrl =
    options.serverUrl ?? (way === 'gateway' ? undefined : await lookUp(session, connection, way));
  const facts = { connection, daemonUrl, serverUrl };
  const snippet = fillIn(readTemplate(templateOf(runtime, way)), way, facts, readTemplate);
  const notes = remarks(runtime, way, facts);
  if (options.json) {
    const { format, place, sources } = runtime;
    return resultJson({ runtime: name, way, format, place, snippet, notes, sources });
  }
  result(snippet);
  say(`for ${runtime.title}: ${runtime.place}`);
  for (const note of notes) say(`- ${note}`);
}

function list({ json }: ConfigOptions): void {
  const short = RUNTIMES.map(({ name, title, ways, place }) => ({ name, title, ways, place }));
  const rows = short.map(({ name, title, ways, place }) => [name, title, ways.join(' '), place]);
  if (json) resultJson(short);
  else result(table(['RUNTIME', 'NAME', 'WAYS', 'WHERE IT GOES'], rows));
}

function wantedWay({ gateway, exec }: ConfigOptions): Way | undefined {
  if (gateway && exec) {
    throw new BrokerError('usage', '--gateway and --exec are two ways', { hint: 'give one of them' });
  }
  if (gateway) return 'gateway';
  return exec ? 'exec' : undefined;
}

function requireConnection({ connection }: ConfigOptions): string {
  if (connection === undefined) {
    throw new BrokerError('usage', 'the configuration needs a connection', {
      hint: 'name it with --connection; broker list shows what there is',
    });
  }
  requireConnectionName(connection);
  return connection;
}

/** URL of the connection's server, else of the preset of that name: configuration may be written before the login. */
async function lookUp(session: Session, connection: string, way: Way): Promise<string | undefined> {
  try {
    const { url, kind } = await fetchTarget(session, connection);
    if (way === 'exec') requireBearer(connection, kind);
    return url;
  } catch (error) {
    const isAbsent =
      error instanceof BrokerError &&
      ['not_found', 'vault_missing', 'daemon_unreachable'].includes(error.code);
    if (!isAbsent) throw error;
    const url = findPreset(requireConnectionName(connection).server)?.urls[0];
    if (url !== undefined) warn(`${error.message}; ${url} is where such a server usually is`);
    return url;
  }
}

/** `broker exec` hands on a bearer token and nothing else. */
function requireBearer(connection: string, kind: string | undefined): void {
  if (kind === undefined || hasBearer(kind as CredentialKind)) return;
  throw new BrokerError(
    'usage',
    `${connection} has no token for broker exec to hand on (its kind is ${kind})`,
    {
      hint: 'leave out --exec, or use --gateway',
    },
  );
}

function readTemplate(file: string): string {
  return readFileSync(new URL(`../../../runtimes/${file}`, import.meta.url), 'utf8');
}
