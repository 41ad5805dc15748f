import { Command } from 'commander';
import type { CheckView } from '../../broker/check.ts';
import type { ConnectionView } from '../../broker/connections.ts';
import { OPERATOR } from '../../broker/context.ts';
import type { NotifySettings } from '../../broker/notify-ways.ts';
import { worstOf } from '../../core/check-policy.ts';
import { BrokerError } from '../../errors.ts';
import { durationMs } from '../arguments.ts';
import { callDaemon } from '../daemon-client.ts';
import { asOperator, openSession, type Session } from '../session.ts';
import { paint, result, resultJson } from '../terminal.ts';
import { notifySettings, tellPeople } from './notify-options.ts';

interface CheckOptions {
  refresh?: boolean;
  warnWithin?: number;
  quiet?: boolean;
  json?: boolean;
}

/** `broker check`: for cron, silent when all is well. */
export function checkCommand(): Command {
  return new Command('check')
    .description('for cron: says what needs attention, and nothing when all is well')
    .argument('[connections...]', 'default: all')
    .option('--refresh', 'spend one refresh each, to prove that it works')
    .option(
      '--warn-within <duration>',
      'warn of an end nearer than this (default: 14d; client secrets: 30d at least)',
      durationMs,
    )
    .option('--quiet', 'only the exit code')
    .option('--json', 'everything as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (names: string[], options: CheckOptions, command: Command) => {
      const notify = await notifySettings(command);
      const findings = await checkAll(openSession(command), names, options, notify);
      if (options.json) resultJson(findings);
      else if (!options.quiet)
        for (const finding of findings) if (finding.exit_code !== 0) result(line(finding));
      process.exitCode = worstOf(findings.map((finding) => finding.exit_code));
    });
}

const EXAMPLES = `
Exit codes: 0 fine, 1 attention soon, 75 provider down, 2 somebody must act, 3 no vault or daemon.
With BROKER_AGENT_KEY set it asks the daemon at BROKER_URL as that agent.

Example, hourly by cron (which mails what it prints):
  0 * * * *  broker check`;

async function checkAll(
  session: Session,
  names: string[],
  options: CheckOptions,
  notify: NotifySettings | undefined,
): Promise<CheckView[]> {
  const { agentKey, daemonUrl } = session.settings;
  const { refresh, warnWithin: warnWithinMs } = options;
  if (agentKey) {
    const daemon = { agentKey, daemonUrl };
    const all = async () =>
      (await callDaemon<{ connections: ConnectionView[] }>(daemon, 'GET', '/v1/connections')).connections;
    const body = {
      ...(refresh === undefined ? {} : { refresh }),
      ...(warnWithinMs === undefined ? {} : { warn_within: Math.round(warnWithinMs / 1000) }),
    };
    return each(names, all, (name) =>
      callDaemon<CheckView>(daemon, 'POST', `/v1/connections/${encodeURIComponent(name)}/check`, body),
    );
  }
  return asOperator(session, { create: false }, async (broker) => {
    const findings = await each(
      names,
      () => broker.list(OPERATOR),
      (name) => broker.check(OPERATOR, name, { refresh, warnWithinMs }),
    );
    if (notify) await tellPeople(broker, notify);
    return findings;
  });
}

/** Every connection is checked, also when one of them is unknown. */
async function each(
  names: string[],
  all: () => Promise<ConnectionView[]>,
  check: (name: string) => Promise<CheckView>,
): Promise<CheckView[]> {
  const wanted = names.length > 0 ? names : (await all()).map(({ name }) => name);
  const findings: CheckView[] = [];
  for (const name of wanted) findings.push(await check(name).catch((error: unknown) => unknown(name, error)));
  return findings;
}

function unknown(name: string, error: unknown): CheckView {
  if (!(error instanceof BrokerError) || error.code !== 'not_found') throw error;
  return {
    connection: name,
    state: 'not_found',
    exit_code: 2,
    message: error.message,
    ...(error.hint === undefined ? {} : { next_step: error.hint }),
  };
}

function line({ connection, exit_code, message, next_step }: CheckView): string {
  const mark = exit_code === 1 ? paint('yellow', 'soon') : paint('red', exit_code === 75 ? 'down' : 'act ');
  return `${mark}  ${connection}: ${message}${next_step === undefined ? '' : ` → ${next_step.split('\n')[0]}`}`;
}
