/** The ways notices go: a program, a webhook, or both. */
import type { Clock } from '../clock.ts';
import type { FetchFor } from '../oauth/http.ts';
import type { NoticeWay } from '../vault/notices.ts';
import { runNoticeCommand } from './notify-command.ts';
import type { NoticeMessage, Sent } from './notify-message.ts';
import { sendWebhook, type WebhookSettings } from './notify-webhook.ts';

export interface NotifySettings {
  /** Run by `/bin/sh`. Undefined: no program. */
  command: string | undefined;
  webhook: WebhookSettings | undefined;
  /** How long a failing refresh may last before anybody is told. Default 15 minutes. */
  afterMs: number;
}

/** What sending needs besides its settings. */
export interface SendParts {
  clock: Clock;
  fetchFor: FetchFor;
}

/** The ways that are set up. */
export function waysOf({ command, webhook }: NotifySettings): NoticeWay[] {
  return [
    ...(command === undefined ? [] : ['command' as const]),
    ...(webhook === undefined ? [] : ['webhook' as const]),
  ];
}

/** One attempt on one way, over within 30 s. Never rejects. */
export async function send(
  { clock, fetchFor }: SendParts,
  { command, webhook }: NotifySettings,
  way: NoticeWay,
  message: NoticeMessage,
): Promise<Sent> {
  if (way === 'command' && command !== undefined) return runNoticeCommand(command, message);
  // The operator named the URL: it may be in the private network.
  if (way === 'webhook' && webhook !== undefined)
    return sendWebhook(fetchFor('private'), webhook, message, clock.now());
  return { isDelivered: false, failure: `no ${way} is set up` };
}
