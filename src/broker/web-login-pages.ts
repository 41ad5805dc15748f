/** What people read in the browser when a login ends at the daemon. No terminal is theirs, and nothing secret is told. */
import type { CallbackPage } from '../oauth/callback-page.ts';
import { isCancelled, type WebLogin } from '../vault/web-logins.ts';
import type { ConnectedEvent } from './login-events.ts';

const START_AGAIN = 'Go back to where you began, and start again there.';

/** The same for a `state` that never was, that is forgotten, and that belongs elsewhere. */
export const UNKNOWN: CallbackPage = {
  isSuccess: false,
  title: 'There is no login that waits for this',
  text: `The link is unknown or too old. ${START_AGAIN}`,
};

export const ENDED: CallbackPage = {
  isSuccess: false,
  title: 'This link has ended',
  text: `Nothing was connected. ${START_AGAIN}`,
};

export const CANCELLED: CallbackPage = {
  isSuccess: false,
  title: 'This login was cancelled',
  text: `Nothing was connected. ${START_AGAIN}`,
};

/** Nothing is lost yet. */
export const BUSY: CallbackPage = {
  isSuccess: false,
  title: 'The broker is busy',
  text: 'Your login was not used yet. Load this page again in a moment.',
};

/** Says whose account it is now, so that a wrong one is noticed. */
export function connectedPage({ connection, account }: ConnectedEvent): CallbackPage {
  return {
    isSuccess: true,
    title: `${connection} is connected${as(account)}`,
    text: 'You can close this page.',
  };
}

/** @param message safe to show: foreign words in it are quoted already */
export function failedPage({ code, message }: { code: string; message: string }): CallbackPage {
  const remedy = code === 'account_mismatch' ? 'Sign out at the server first. ' : '';
  return {
    isSuccess: false,
    title: 'The login did not succeed',
    text: `${sentence(message)} ${remedy}${START_AGAIN}`,
  };
}

/** For whoever comes again: what has become of it, and that nothing more happened. */
export function usedPage(login: WebLogin): CallbackPage {
  if (isCancelled(login)) return CANCELLED;
  const { connection, endedAt, error, accountIdentity } = login;
  const outcome =
    endedAt === null
      ? 'Its login is not finished yet.'
      : error === null
        ? `It connected ${connection}${as(accountIdentity)}. You can close this page.`
        : `${sentence(error.message)} ${START_AGAIN}`;
  return {
    isSuccess: false,
    title: 'This answer was used already',
    text: `Nothing was done again. ${outcome}`,
  };
}

function as(account: string | null | undefined): string {
  return account ? ` as ${account}` : '';
}

function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}
