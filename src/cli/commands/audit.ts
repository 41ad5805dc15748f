import { Command } from 'commander';
import type { AuditEntry, AuditQuery } from '../../broker/audit-entries.ts';
import type { Broker } from '../../broker/index.ts';
import { BrokerError } from '../../errors.ts';
import { EXIT_INTERRUPTED } from '../exit-codes.ts';
import { asOperator, openSession } from '../session.ts';
import { onStop } from '../signals.ts';
import { result, resultJson, say } from '../terminal.ts';
import { entryLine } from './audit-line.ts';
import { entryLimit, pastInstant } from './audit-options.ts';
import { pruneCommand } from './audit-prune.ts';
import { verifyCommand } from './audit-verify.ts';

interface AuditOptions extends Omit<AuditQuery, 'limit'> {
  limit?: number;
  follow?: boolean;
  json?: boolean;
}

/** What fits on a screen. */
const DEFAULT_LIMIT = 50;

/** `broker audit`: what happened, and who did it. */
export function auditCommand(): Command {
  return new Command('audit')
    .description(
      'what happened: who did what to which connection, and how it ended; newest last, times in UTC',
    )
    .option('--since <when>', 'from then on: 24h ago, a day (UTC), or an RFC 3339 instant', pastInstant)
    .option('--until <when>', 'before then', pastInstant)
    .option('--agent <name>', 'what this agent did')
    .option('--connection <name>', 'about this connection, or those of a pattern such as notion@*')
    .option('--action <action>', 'such as login, refresh, token, call, agent.add')
    .option('--outcome <outcome>', 'ok, or the code of a refusal or failure')
    .option('--limit <count>', 'the newest so many, or all (default: 50 on a terminal, else all)', entryLimit)
    .option('--follow', 'go on with what happens from now on, until Ctrl-C')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', EXAMPLES)
    .action(run)
    .addCommand(verifyCommand())
    .addCommand(pruneCommand());
}

const EXAMPLES = `
Examples:
  broker audit                                        the newest 50
  broker audit --since 24h --connection 'notion@*'
  broker audit --agent crm --outcome forbidden --json
  broker audit --follow
  broker audit verify                                 whether anybody changed it`;

async function run({ limit, follow, json, ...query }: AuditOptions, command: Command): Promise<void> {
  if (follow && query.until !== undefined) {
    throw new BrokerError('usage', '--follow waits for what is to come, and --until ends before', {
      hint: 'leave one of them out',
    });
  }
  const show = json
    ? (entry: AuditEntry) => resultJson(entry, { indent: false })
    : (entry: AuditEntry) => result(entryLine(entry));
  const stop = new AbortController();
  const release = onStop(() => stop.abort());
  try {
    await asOperator(openSession(command), { create: false, watchesSignals: true }, async (broker) => {
      const isShort = process.stdout.isTTY || (follow && query.since === undefined);
      const most = limit ?? (isShort ? DEFAULT_LIMIT : Number.POSITIVE_INFINITY);
      const wanted: AuditQuery = { ...query, limit: Number.isFinite(most) ? most : undefined };
      const upTo = await list(broker, wanted, show, stop.signal);
      if (!follow) return;
      for await (const entry of broker.audit.follow(wanted, upTo, stop.signal)) show(entry);
    });
  } finally {
    release();
  }
  // Who no longer reads wants no complaint, and following has no other end.
  const isRead = !process.stdout.destroyed;
  if (stop.signal.aborted && isRead && !follow) process.exitCode = EXIT_INTERRUPTED;
}

/** Shows what has happened; the last row it looked at. */
async function list(
  broker: Broker,
  query: AuditQuery,
  show: (entry: AuditEntry) => void,
  stopping: AbortSignal,
): Promise<string> {
  const { entries, isCut, upTo } = await broker.audit.entries(query);
  if (isCut) say(`the newest ${query.limit} of more; --limit all shows every one`);
  let isEmpty = true;
  for await (const entry of entries) {
    if (stopping.aborted) return upTo;
    isEmpty = false;
    show(entry);
  }
  if (isEmpty) say('nothing of that kind has happened');
  return upTo;
}
