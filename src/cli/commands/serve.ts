import { Command } from 'commander';
import { OPERATOR } from '../../broker/context.ts';
import { systemClock } from '../../clock.ts';
import { DEFAULT_LISTEN } from '../../config.ts';
import { BrokerError } from '../../errors.ts';
import { collect, fileMode } from '../arguments.ts';
import { openSession } from '../session.ts';
import { onStop } from '../signals.ts';
import { say, succeed, warn } from '../terminal.ts';
import { notifySettings } from './notify-options.ts';

interface ServeOptions {
  listen?: string[];
  publicUrl?: string;
  allowedHost?: string[];
  allowedOrigin?: string[];
  socketMode?: number;
  socketGroup?: string;
  tlsCert?: string;
  tlsKey?: string;
  insecureListen?: boolean;
  auditArguments?: boolean;
}

/** `broker serve`: the daemon. */
export function serveCommand(): Command {
  return new Command('serve')
    .description('the daemon: hand out fresh tokens to agents, and let them through to MCP servers')
    .option('--listen <address>', `where, such as ${DEFAULT_LISTEN} or unix:/path (repeatable)`, collect)
    .option('--public-url <url>', 'URL under which others reach it')
    .option('--allowed-host <host>', 'further Host header to answer to (repeatable)', collect)
    .option('--allowed-origin <origin>', 'web origin that may call (repeatable; default: none)', collect)
    .option('--socket-mode <mode>', 'mode of Unix sockets (default: 0600)', fileMode)
    .option('--socket-group <group>', 'group of Unix sockets, for agents under other users')
    .option('--tls-cert <file>', 'certificate, PEM')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--insecure-listen', 'allow other addresses than loopback without TLS')
    .option('--audit-arguments', 'write down what agents call tools with, not only a hash of it')
    .addHelpText(
      'after',
      '\nExamples:\n  broker serve\n  broker serve --listen 127.0.0.1:9000 --listen unix:/run/broker/broker.sock',
    )
    .action(async (options: ServeOptions, command: Command) => run(options, command));
}

async function run(options: ServeOptions, command: Command): Promise<void> {
  const { settings, log } = openSession(command);
  const { openBroker } = await import('../../broker/index.ts');
  const { startDaemon } = await import('../../daemon.ts');
  const { parseListenAddress } = await import('../../http/listen.ts');
  const notify = await notifySettings(command);
  const addresses = (options.listen ?? [DEFAULT_LISTEN]).map(parseListenAddress);
  const { promise: stopped, resolve: stop } = Promise.withResolvers<NodeJS.Signals>();
  onStop(stop);

  const broker = await openBroker({ settings, log, create: true, isResident: true });
  const daemon = await startDaemon(
    broker,
    {
      addresses,
      publicUrl: options.publicUrl,
      allowedHosts: options.allowedHost ?? [],
      allowedOrigins: options.allowedOrigin ?? [],
      socketMode: options.socketMode ?? 0o600,
      socketGroup: options.socketGroup,
      tls: readTls(options),
      insecureListen: options.insecureListen ?? false,
      auditArguments: options.auditArguments,
    },
    { clock: systemClock, log },
  ).catch(async (error: unknown) => {
    await broker.close();
    throw error;
  });
  try {
    for (const url of daemon.urls) succeed(`listening on ${url}`);
    tellConnections(await broker.list(OPERATOR));
    if (notify) broker.notices.start(notify);

    const signal = await stopped;
    say(`${signal}: finishing what was begun`);
  } finally {
    await daemon.close();
  }
  say('stopped');
}

function tellConnections(
  connections: { name: string; state: string; cause?: string; next_step?: string }[],
): void {
  if (connections.length === 0) say('nothing is connected yet; sign in with: broker login <url>');
  for (const { name, state, cause, next_step } of connections) {
    if (next_step === undefined) say(`  ${name}: ${state}`);
    else warn(`${name}: ${state}${cause === undefined ? '' : ` (${cause})`} → ${next_step}`);
  }
}

function readTls({ tlsCert, tlsKey }: ServeOptions): { cert: string; key: string } | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert !== undefined && tlsKey !== undefined) return { cert: tlsCert, key: tlsKey };
  throw new BrokerError('usage', 'TLS wants both a certificate and its key', {
    hint: 'give --tls-cert and --tls-key',
  });
}
