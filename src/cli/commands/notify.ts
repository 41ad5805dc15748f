import { Command } from 'commander';
import type { DeliveryView, NoticeView, TestView } from '../../broker/notice-services.ts';
import { systemClock } from '../../clock.ts';
import { parseConnectionName } from '../../core/names.ts';
import { BrokerError, quote } from '../../errors.ts';
import { EXIT_TRY_LATER } from '../exit-codes.ts';
import { asOperator, openSession } from '../session.ts';
import { paint, relative, result, resultJson, say, succeed, table, warn } from '../terminal.ts';
import { notifySettings, withNotifyOptions } from './notify-options.ts';

/** `broker notify`: how people are told. */
export function notifyCommand(): Command {
  return new Command('notify')
    .description('how people are told when a connection needs them, and what they were told')
    .addHelpText('after', '\nExamples:\n  broker notify test\n  broker notify list')
    .addCommand(testCommand())
    .addCommand(listCommand());
}

function testCommand(): Command {
  const test = new Command('test')
    .description('send a test notice now, in each way that is set up')
    .option('--connection <name>', 'whose notice to pretend', 'test')
    .option('--json', 'as JSON');
  return withNotifyOptions(test).addHelpText('after', TEST_EXAMPLES).action(runTest);
}

const TEST_EXAMPLES = `
Exit codes: 0 delivered, 75 not delivered, 64 nothing is set up.

Examples:
  broker notify test --notify-command 'mail -s "$BROKER_NOTICE_MESSAGE" ops@example.com'
  broker notify test --notify-webhook https://ops.example.com/hooks/broker --notify-secret-file webhook.secret
  broker notify test --notify-webhook-file chat-hook.url --notify-unsigned`;

function listCommand(): Command {
  return new Command('list')
    .description('what people were told in the last 90 days, the newest first')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  broker notify list --json')
    .action(async ({ json }: { json?: boolean }, command: Command) => {
      const notices = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.notices.list(),
      );
      if (json) return resultJson(notices);
      if (notices.length === 0) return say('nobody was told anything yet');
      result(table(['TOLD', 'KIND', 'DELIVERED', 'NOTICE'], notices.map(row)));
    });
}

async function runTest(
  { connection, json }: { connection: string; json?: boolean },
  command: Command,
): Promise<void> {
  if (parseConnectionName(connection) === undefined) {
    throw new BrokerError('usage', `${quote(connection)} is no name of a connection`, {
      hint: 'any name will do, whether or not it is connected, such as coda',
    });
  }
  const settings = await notifySettings(command);
  if (settings === undefined) {
    throw new BrokerError('usage', 'no way to tell people is set up', {
      hint:
        'give --notify-command, --notify-webhook or --notify-webhook-file\n' +
        'or set them for all commands, in the config file or as BROKER_NOTIFY_…',
    });
  }
  const { settings: own } = openSession(command);
  const { networks } = await import('../../broker/index.ts');
  const { testNotices } = await import('../../broker/notice-services.ts');
  const tests = await testNotices({ clock: systemClock, fetchFor: networks(own) }, settings, connection);
  if (json) resultJson(tests);
  else for (const test of tests) tell(test);
  if (tests.some(({ delivered }) => !delivered)) process.exitCode = EXIT_TRY_LATER;
}

function tell({ way, delivered, failure }: TestView): void {
  if (delivered) succeed(`${way}: the test was delivered`);
  else warn(`${way}: the test was not delivered: ${failure}`);
}

function row({ told_at, kind, deliveries, message }: NoticeView): string[] {
  return [relative(told_at, Date.now()), kind, deliveries.map(delivery).join(', '), message];
}

function delivery({ way, outcome, attempts, next_attempt_at }: DeliveryView): string {
  if (outcome === 'delivered') return paint('green', way);
  if (outcome !== 'pending') return `${way} (${outcome})`;
  const next = next_attempt_at === undefined ? '' : `, again ${relative(next_attempt_at, Date.now())}`;
  return paint('red', `${way} (${attempts} ${attempts === 1 ? 'attempt' : 'attempts'} failed${next})`);
}
