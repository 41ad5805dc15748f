import { Command, Option } from 'commander';
import type { CheckView } from '../../broker/check.ts';
import { type NagiosAnswer, nagiosAnswer, nagiosFailure } from '../../core/check-nagios.ts';
import { worstOf } from '../../core/check-policy.ts';
import { prometheusText } from '../../core/check-prometheus.ts';
import { BrokerError } from '../../errors.ts';
import { durationMs } from '../arguments.ts';
import { exitCodeFor } from '../exit-codes.ts';
import { openSession } from '../session.ts';
import { result, resultJson, say, sayError } from '../terminal.ts';
import { writeTextfile } from '../textfile.ts';
import { findAll } from './check-findings.ts';
import { checkLine, checkTable } from './check-table.ts';
import { notifySettings } from './notify-options.ts';

interface CheckOptions {
  probe?: boolean;
  refresh?: boolean;
  warnWithin?: number;
  quiet?: boolean;
  json?: boolean;
  nagios?: boolean;
  prometheusFile?: string;
}

/** `broker check`: for cron, silent when all is well. */
export function checkCommand(): Command {
  return new Command('check')
    .description('how each connection is doing; for cron: silent when all is well')
    .argument('[connections...]', 'default: all')
    .option('--probe', 'call each server as that connection')
    .option('--refresh', 'spend one refresh each, to prove that it works')
    .option(
      '--warn-within <duration>',
      'warn of an end nearer than this (default: 14d; client secrets: 30d at least)',
      durationMs,
    )
    .option('--quiet', 'only the exit code')
    .option('--json', 'everything as JSON')
    .addOption(
      new Option('--nagios', 'one line and the exit code of a monitoring plugin').conflicts([
        'json',
        'quiet',
      ]),
    )
    .option(
      '--prometheus-file <file>',
      'write metrics there too, for the textfile collector of node_exporter',
    )
    .addHelpText('after', EXAMPLES)
    .action(async (names: string[], options: CheckOptions, command: Command) => {
      if (options.nagios) return answerNagios(() => run(names, options, command));
      const findings = await run(names, options, command);
      show(findings, options);
      process.exitCode = worstOf(findings.map((finding) => finding.exit_code));
    });
}

const EXAMPLES = `
On a terminal it shows a table; elsewhere nothing of what is fine, and one line for each that needs attention.

Exit codes: 0 fine, 1 attention soon, 75 provider down, 2 somebody must act, 3 no vault or daemon.
With --nagios: 0 OK, 1 WARNING, 2 CRITICAL (provider down, too), 3 UNKNOWN.
With BROKER_AGENT_KEY set it asks the daemon at BROKER_URL as that agent.

Examples:
  broker check                     all connections
  broker check coda --probe        one of them, and whether its server takes the credential
  0 * * * *  broker check          in a crontab: cron mails what it prints
  broker check --prometheus-file /var/lib/node_exporter/textfile/broker.prom`;

/** The findings, which are in the file too, where one is wanted: also when nobody could look. */
async function run(names: string[], options: CheckOptions, command: Command): Promise<CheckView[]> {
  const { probe, refresh, warnWithin: warnWithinMs, prometheusFile } = options;
  const write = (findings: CheckView[], exitCode: number) => {
    const now = Date.now();
    if (prometheusFile !== undefined)
      writeTextfile(prometheusFile, prometheusText({ findings, exitCode, at: now }));
  };
  const notify = await notifySettings(command);
  let findings: CheckView[];
  try {
    findings = await findAll(openSession(command), names, { probe, refresh, warnWithinMs, notify });
  } catch (error) {
    try {
      write([], exitCodeFor(error));
    } catch (unwritten) {
      if (unwritten instanceof BrokerError) sayError(unwritten);
    }
    throw error;
  }
  const exitCode = worstOf(findings.map(({ exit_code }) => exit_code));
  try {
    write(findings, exitCode);
  } catch (error) {
    // What was found is worth more than the file.
    if (!options.nagios) show(findings, options);
    throw error;
  }
  return findings;
}

function show(findings: CheckView[], { json, quiet }: CheckOptions): void {
  if (json) resultJson(findings);
  else if (quiet) return;
  else if (!process.stdout.isTTY) {
    for (const finding of findings) if (finding.exit_code !== 0) result(checkLine(finding));
  } else if (findings.length === 0)
    say('nothing is connected yet; begin with: broker login <url>, or broker add');
  else result(checkTable(findings, Date.now()));
}

/** Monitoring reads stdout alone, and knows four exit codes. */
async function answerNagios(work: () => Promise<CheckView[]>): Promise<void> {
  let answer: NagiosAnswer;
  try {
    answer = nagiosAnswer(await work(), Date.now());
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    answer = nagiosFailure(`${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`);
  }
  result(answer.line);
  process.exitCode = answer.exitCode;
}
