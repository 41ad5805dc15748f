import { Command, InvalidArgumentError, Option } from 'commander';
import type { Broker } from '../../broker/index.ts';
import { systemClock } from '../../clock.ts';
import { DEFAULT_LISTEN } from '../../config.ts';
import { DEFAULT_AUTH_FAILURES, formatRate, parseRate, type RateLimit } from '../../core/rate-limit.ts';
import { BrokerError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { collect, fileMode } from '../arguments.ts';
import { openSession } from '../session.ts';
import { onStop } from '../signals.ts';
import { tellSystemd } from '../systemd.ts';
import { say, succeed } from '../terminal.ts';
import { readVersion } from '../version.ts';
import { DEFAULT_KEEP_MS, keptFor } from './audit-options.ts';
import { notifySettings } from './notify-options.ts';
import { probeRequired, requireNames, tellConnections } from './serve-connections.ts';

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
  require?: string[];
  auditKeep?: number;
  authFailures: RateLimit | null;
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
    .option('--require <connection>', 'do not start unless it works (repeatable)', collect)
    .option('--audit-keep <duration>', 'how long what happened is kept (default: 400d; or forever)', keptFor)
    .addOption(
      new Option('--auth-failures <rate>', 'wrong keys an address may send, or none for no limit')
        .argParser(readAuthFailures)
        .default(DEFAULT_AUTH_FAILURES, formatRate(DEFAULT_AUTH_FAILURES)),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  broker serve\n  broker serve --listen 127.0.0.1:9000 --listen unix:/run/broker/broker.sock\n  broker serve --require coda',
    )
    .action(async (options: ServeOptions, command: Command) => run(options, command));
}

function readAuthFailures(value: string): RateLimit | null {
  if (value === 'none') return null;
  if (/^0+\//.test(value)) throw new InvalidArgumentError('write a rate such as 10/m, or none for no limit');
  return parseRate(value);
}

async function run(options: ServeOptions, command: Command): Promise<void> {
  const { settings, log } = openSession(command);
  const { openBroker } = await import('../../broker/index.ts');
  const { startDaemon } = await import('../../daemon.ts');
  const { parseListenAddress } = await import('../../http/listen.ts');
  const { createPrometheus } = await import('../../broker/prometheus.ts');
  const { require: required = [], auditKeep: keepMs = DEFAULT_KEEP_MS, authFailures } = options;
  requireNames(required);
  const notify = await notifySettings(command);
  const addresses = (options.listen ?? [DEFAULT_LISTEN]).map(parseListenAddress);
  const { promise: stopped, resolve: stop } = Promise.withResolvers<NodeJS.Signals>();
  onStop(stop);

  const prometheus = createPrometheus({ version: readVersion(), ofProcess: true });
  const broker = await openBroker({
    ...{ settings, log, create: true, isResident: true, authFailures, metrics: prometheus.metrics },
    auditKeepMs: Number.isFinite(keepMs) ? keepMs : undefined,
  });
  const refusal = await whatIsMissing(broker, log, required, stopped);
  if (refusal !== undefined) {
    process.exitCode = refusal;
    return;
  }
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
    { clock: systemClock, log, prometheus },
  ).catch(async (error: unknown) => {
    await broker.close();
    throw error;
  });
  try {
    for (const url of daemon.urls) succeed(`listening on ${url}`);
    await tellConnections(broker, log);
    if (notify) broker.notices.start(notify);
    await tellSystemd('READY=1', settings);

    const signal = await stopped;
    say(`${signal}: finishing what was begun`);
    await tellSystemd('STOPPING=1', settings);
  } finally {
    await daemon.close();
  }
  say('stopped');
}

/** Why it does not start, as an exit code; 0 when it is told to stop before it has. The vault is closed then. */
async function whatIsMissing(
  broker: Broker,
  log: Log,
  names: readonly string[],
  stopped: Promise<NodeJS.Signals>,
): Promise<number | undefined> {
  if (names.length === 0) return undefined;
  const asked = probeRequired(broker, log, names).then((code) => (code === 0 ? undefined : code));
  let refusal: number | undefined = 0;
  try {
    refusal = await Promise.race([asked, stopped.then(() => 0)]);
    return refusal;
  } finally {
    if (refusal !== undefined) await broker.close();
  }
}

function readTls({ tlsCert, tlsKey }: ServeOptions): { cert: string; key: string } | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert !== undefined && tlsKey !== undefined) return { cert: tlsCert, key: tlsKey };
  throw new BrokerError('usage', 'TLS wants both a certificate and its key', {
    hint: 'give --tls-cert and --tls-key',
  });
}
