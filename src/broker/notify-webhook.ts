/**
 * Notices by HTTP, signed as Standard Webhooks has it, or unsigned for the hooks of chats, whose URL is the secret.
 *
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { createHmac } from 'node:crypto';
import { BrokerError, systemCode } from '../errors.ts';
import { type Fetch, isSafeUrl } from '../oauth/http.ts';
import type { Secret } from '../secret.ts';
import type { NoticeMessage, Sent } from './notify-message.ts';

export interface WebhookSettings {
  /** Whoever knows the URL of a chat's hook can write there, so it is treated like a secret. */
  url: Secret;
  /** Undefined: not signed. */
  secret: Secret | undefined;
}

/** Spec: 24 bytes at least. */
const MIN_SECRET_BYTES = 24;
const PREFIX = 'whsec_';
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** Throws `usage` for a URL or a secret that nothing may be sent with. */
export function requireWebhook({ url, secret }: WebhookSettings): void {
  if (!isSafeUrl(url.reveal())) {
    throw new BrokerError('usage', 'the URL of the webhook cannot be used', {
      hint: 'it wants an https URL without user name and password (plain http only on this machine)',
    });
  }
  if (secret === undefined || (signingKey(secret)?.byteLength ?? 0) >= MIN_SECRET_BYTES) return;
  throw new BrokerError(
    'usage',
    `the secret of the webhook is not ${PREFIX} and base64, or shorter than 24 bytes`,
    {
      hint: `make one with: echo "${PREFIX}$(openssl rand -base64 32)"`,
    },
  );
}

/** `v1,` and the HMAC-SHA256 of id, timestamp and body. */
export function signatureOf(secret: Secret, id: string, seconds: number, body: string): string {
  const key = signingKey(secret) ?? '';
  return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`;
}

/** `whsec_` and base64, or the text itself. Undefined: what follows `whsec_` is no base64. */
function signingKey(secret: Secret): Buffer | undefined {
  const text = secret.reveal();
  if (!text.startsWith(PREFIX)) return Buffer.from(text, 'utf8');
  const encoded = text.slice(PREFIX.length);
  return BASE64.test(encoded) ? Buffer.from(encoded, 'base64') : undefined;
}

/** One attempt. Redirects are not followed; any 2xx counts; the answer's body is not read. */
export async function sendWebhook(
  fetch: Fetch,
  { url, secret }: WebhookSettings,
  message: NoticeMessage,
  now: number,
): Promise<Sent> {
  const body = bodyOf(message, secret !== undefined);
  const seconds = Math.floor(now / 1000);
  const headers = {
    'content-type': 'application/json',
    'webhook-id': message.id,
    'webhook-timestamp': String(seconds),
    ...(secret === undefined ? {} : { 'webhook-signature': signatureOf(secret, message.id, seconds, body) }),
  };
  try {
    const {
      status,
      ok,
      headers: answered,
    } = await fetch(url.reveal(), {
      ...{ method: 'POST', headers, body, headersOnly: true },
    });
    if (ok) return { isDelivered: true };
    const retryAfter = Number(answered.get('retry-after') ?? Number.NaN);
    return {
      isDelivered: false,
      failure: `the webhook answered ${status}`,
      ...(status === 410 ? { isRefused: true } : {}),
      ...(retryAfter > 0 ? { retryAfterSeconds: retryAfter } : {}),
    };
  } catch (error) {
    // Only the code: a message may hold the URL.
    const code = systemCode(error) ?? (error as Error | undefined)?.name ?? 'unknown';
    return { isDelivered: false, failure: `the webhook could not be reached (${code})` };
  }
}

/**
 * The event, and `text` for chats. Chats know the outermost `type` for a purpose of their own, so what is not signed, as
 * no chat can check it, has it in `data` alone.
 */
function bodyOf({ type, timestamp, data }: NoticeMessage, isSigned: boolean): string {
  const { message } = data;
  return JSON.stringify({
    ...(isSigned ? { type } : {}),
    timestamp,
    data: { type, ...data },
    text: message.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  });
}
