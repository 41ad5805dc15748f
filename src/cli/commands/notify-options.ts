/** Options by which people are told, the same for the daemon, the check of cron and the test. */
import type { Command } from 'commander';
import type { Broker } from '../../broker/index.ts';
import type { NotifySettings } from '../../broker/notify-ways.ts';
import { DEFAULT_NOTIFY_AFTER_MS } from '../../core/notice-policy.ts';
import { BrokerError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import { durationMs, readOneSecretFromStdin, readSecretFile } from '../arguments.ts';
import { warn } from '../terminal.ts';

interface NotifyOptions {
  notifyCommand?: string;
  notifyWebhook?: string;
  notifyWebhookFile?: string;
  notifySecretFile?: string;
  notifyUnsigned?: boolean;
  notifyAfter?: number;
}

/** Adds the options to a command. */
export function withNotifyOptions(command: Command): Command {
  return command
    .option('--notify-command <command>', 'run by /bin/sh for each notice, which it gets as JSON on stdin')
    .option('--notify-webhook <url>', 'call this URL for each notice')
    .option(
      '--notify-webhook-file <file>',
      'the same with the URL in a file, for one that nobody else may know',
    )
    .option('--notify-secret-file <file>', 'sign what the webhook gets with this secret (Standard Webhooks)')
    .option('--notify-unsigned', 'do not sign it: for the hooks of chats, whose URL is the secret')
    .option(
      '--notify-after <duration>',
      'tell of a refresh that fails when it has for so long (default: 15m)',
      durationMs,
    );
}

/**
 * What the options ask for. Undefined: to tell nobody.
 *
 * Throws `usage` for what cannot be, such as a webhook that is neither signed nor said to be unsigned.
 */
export async function notifySettings(command: Command): Promise<NotifySettings | undefined> {
  const options = command.opts<NotifyOptions>();
  const { notifyCommand, notifyWebhook, notifyWebhookFile, notifySecretFile } = options;
  refuseLeftovers(options);
  const isTyped = command.getOptionValueSource('notifyWebhook') === 'cli';
  if (notifyWebhook !== undefined && isTyped && options.notifyUnsigned) refuseTypedSecret(notifyWebhook);
  if (notifyCommand === undefined && notifyWebhook === undefined && notifyWebhookFile === undefined)
    return undefined;
  readOneSecretFromStdin([notifyWebhookFile, notifySecretFile]);
  const url =
    notifyWebhookFile === undefined
      ? notifyWebhook === undefined
        ? undefined
        : new Secret(notifyWebhook)
      : readSecretFile(notifyWebhookFile, '--notify-webhook-file');
  const secret =
    notifySecretFile === undefined ? undefined : readSecretFile(notifySecretFile, '--notify-secret-file');
  const webhook = url && { url, secret };
  if (webhook) (await import('../../broker/notify-webhook.ts')).requireWebhook(webhook);
  return { command: notifyCommand, webhook, afterMs: options.notifyAfter ?? DEFAULT_NOTIFY_AFTER_MS };
}

/** Tells what a check finds. That it could not be delivered is said, and is no finding. */
export async function tellPeople(broker: Broker, settings: NotifySettings): Promise<void> {
  try {
    for (const { connection, way, failure } of await broker.notices.tellNow(settings))
      warn(`nobody could be told of ${connection} by ${way}: ${failure}`);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    warn(`nobody could be told: ${error.message}`);
  }
}

/** Throws `usage` for options that contradict each other, or mean nothing without another. */
function refuseLeftovers(options: NotifyOptions): void {
  const { notifyCommand, notifyWebhook, notifyWebhookFile, notifySecretFile, notifyUnsigned } = options;
  const hasWebhook = notifyWebhook !== undefined || notifyWebhookFile !== undefined;
  if (notifyCommand?.trim() === '') refuse('the notify command is empty', 'give the command to run');
  if (notifyWebhook !== undefined && notifyWebhookFile !== undefined)
    refuse('the webhook is named twice', 'give either --notify-webhook or --notify-webhook-file');
  if (!hasWebhook && (notifySecretFile !== undefined || notifyUnsigned))
    refuse(
      'there is no webhook to be signed or not',
      'name it with --notify-webhook or --notify-webhook-file',
    );
  if (notifySecretFile !== undefined && notifyUnsigned)
    refuse('a webhook is either signed or not', 'give either --notify-secret-file or --notify-unsigned');
  if (hasWebhook && notifySecretFile === undefined && !notifyUnsigned) {
    refuse(
      'a webhook wants a secret to sign with',
      'give --notify-secret-file, or --notify-unsigned for the hook of a chat\n' +
        'make a secret with: echo "whsec_$(openssl rand -base64 32)" > webhook.secret',
    );
  }
}

/** The command line is shown to every user of the machine. */
function refuseTypedSecret(webhook: string): void {
  const host = URL.parse(webhook)?.hostname ?? '';
  if (host === 'localhost' || host === '[::1]' || host.startsWith('127.')) return;
  refuse(
    'the URL of an unsigned webhook is a secret, and everybody on this machine can read a command line',
    'put it into a file and give --notify-webhook-file, or set BROKER_NOTIFY_WEBHOOK',
  );
}

function refuse(message: string, hint: string): never {
  throw new BrokerError('usage', message, { hint });
}
