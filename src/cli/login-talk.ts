/** What a person is told while a login goes on. */
import type { ConnectedEvent, DeviceCodeEvent, LoginEvent } from '../broker/login-events.ts';
import type { SshSession } from '../config.ts';
import { duration } from '../core/duration.ts';
import { readRedirectUri } from '../core/redirect.ts';
import { renderQrCode } from './qr-code.ts';
import { sshForwardHint } from './ssh-hint.ts';
import { say, succeed, warn } from './terminal.ts';

export interface LoginCircumstances {
  /** A browser is being started on this screen. */
  opensBrowser: boolean;
  canPaste: boolean;
  /** Whether the browser can come back to us. */
  isListening: boolean;
  /** Whether links are drawn too. */
  qr: boolean;
  /** Undefined: not over SSH. */
  ssh: SshSession | undefined;
}

/** Tells an event in words. */
export function tellLogin(event: LoginEvent, circumstances: LoginCircumstances): void {
  switch (event.event) {
    case 'discovered':
      say(`signing in at ${event.issuer}`);
      for (const note of event.notes ?? []) say(`  note: ${note}`);
      break;
    case 'registered':
      break;
    case 'authorization_url':
      tellLink(event.url, event.redirect_uri, circumstances);
      break;
    case 'device_code':
      tellCode(event, circumstances);
      break;
    case 'connected':
      tellConnected(event);
  }
}

function tellLink(url: string, redirectUri: string, circumstances: LoginCircumstances): void {
  const { opensBrowser, canPaste, isListening, qr, ssh } = circumstances;
  say(
    `\n${opensBrowser ? 'your browser should open; if not, open this link' : 'open this link in any browser'}:\n`,
  );
  say(`  ${url}\n`);
  if (qr) draw(url);
  if (isListening) say(`then come back here; waiting at ${redirectUri}`);
  const forward =
    isListening && ssh ? sshForwardHint(ssh.connection, ssh.user, readRedirectUri(redirectUri)) : undefined;
  if (forward !== undefined)
    say(`over SSH the browser finds its way back while this runs on its machine:\n  ${forward}`);
  if (!canPaste) return;
  say(
    isListening
      ? 'browser on another machine? after approving it will show a page that cannot be reached:'
      : 'after approving, the browser will show a page that may not be found:',
  );
  say('copy the whole address of that page and paste it here');
}

function tellCode(event: DeviceCodeEvent, { qr }: LoginCircumstances): void {
  say('\nopen this page on any device:\n');
  say(`  ${event.verification_uri}\n`);
  say(`and type in the code  ${event.user_code}\n`);
  if (qr) draw(event.verification_uri_complete ?? event.verification_uri);
  say(`waiting for you to approve; the code ends in ${duration(event.expires_in * 1000)}`);
}

/** Draws a link as a QR code. */
export function draw(text: string): void {
  const picture = renderQrCode(text, process.stderr.columns);
  if (picture === undefined) warn('the terminal is too narrow for a QR code of this link');
  else say(`${picture}\n`);
}

function tellConnected(event: ConnectedEvent): void {
  say();
  succeed(`${event.connection} is connected`);
  say(`  account        ${event.account ?? 'not told by the server'}`);
  say(`  scope          ${event.scope ?? 'not told by the server'}`);
  say(
    `  access token   ${event.expires_in === undefined ? 'expiry not told' : `ends in ${duration(event.expires_in * 1000)}`}`,
  );
  say(`  refresh token  ${event.refresh_token ? 'received; the broker keeps the login alive' : 'NONE'}`);
  for (const note of event.notes ?? []) say(`  note: ${note}`);
  if (!event.refresh_token) {
    warn('the server gave no refresh token: this login ends with its access token and nobody can renew it');
    say('  → ask the server’s operator for offline access, or try --scope with offline_access added');
  }
  say(`\nnext: broker agent add <name> --allow ${event.connection}`);
}

/** Tries; the link is printed anyway, and an opener that fails is no reason to stop. */
export async function openBrowser(url: string): Promise<void> {
  try {
    const { default: open } = await import('open');
    const child = await open(url);
    child.on('error', () => {});
    child.unref();
  } catch {
    warn('no browser could be started; open the link yourself');
  }
}
