/** `broker login --link`: a link for somebody else. It returns at once; the daemon takes the answer. */
import { OPERATOR } from '../broker/context.ts';
import type { LoginRequest } from '../broker/login.ts';
import type { LoginEvent } from '../broker/login-events.ts';
import { DEFAULT_DAEMON_URL } from '../config.ts';
import { callbackUriAt } from '../core/callback-uri.ts';
import { duration } from '../core/duration.ts';
import { BrokerError, quote } from '../errors.ts';
import { draw } from './login-talk.ts';
import { asOperator, type Session } from './session.ts';
import { result, resultJson, say, warn } from './terminal.ts';

export interface LinkOptions {
  /** Where the daemon is reached. Default: where it listens when nobody says otherwise. */
  publicUrl?: string;
  qr?: boolean;
  json?: boolean;
}

/** Begins the login and prints its link, on stdout. Throws `usage`, and what `WebLogins.begin` throws. */
export async function printLink(
  session: Session,
  request: LoginRequest,
  { publicUrl = DEFAULT_DAEMON_URL, qr, json }: LinkOptions,
): Promise<void> {
  const redirectUri = callbackUriAt(publicUrl);
  if (redirectUri === undefined) {
    throw new BrokerError('usage', `no browser can safely come back to ${quote(publicUrl)}`, {
      hint: 'give the https URL of the daemon, such as --public-url https://broker.example.com (http only on this machine)',
    });
  }
  const onEvent = (event: LoginEvent) => {
    if (json) resultJson(event, { indent: false });
    else if (event.event === 'discovered') for (const note of event.notes ?? []) say(`note: ${note}`);
  };
  await asOperator(session, { create: true }, async (broker) => {
    const begun = await broker.webLogins.begin(
      OPERATOR,
      { ...request, redirectUri },
      { onEvent, notify: (message) => warn(message) },
    );
    const { id, authorization_url: url, expires_at } = begun;
    if (json) return onEvent({ event: 'authorization_url', id, url, redirect_uri: redirectUri, expires_at });
    const { connection } = await broker.webLogins.show(OPERATOR, id);
    result(url);
    if (qr) draw(url);
    say(
      `whoever opens it connects ${connection}; it ends in ${duration(Date.parse(expires_at) - Date.now())}`,
    );
    say(`the browser comes back to the daemon at ${redirectUri}`);
    say(`how it went: broker show ${connection}`);
  });
}
