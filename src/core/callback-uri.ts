/** Where browsers come back to the daemon after a login that was begun for somebody else. */
import { LOOPBACK_HOSTS } from './redirect.ts';

/** Route of the daemon, below whatever path its public URL has. */
export const CALLBACK_ROUTE = '/oauth/callback';

/**
 * The redirect URI of a daemon that is reached at `baseUrl`. Undefined where no browser should bring a code: neither
 * https nor this machine, or no plain URL of a place (user name, query, fragment).
 *
 * @see RFC 8252 §7.3, OAuth 2.1 §2.3.1: plain http is for loopback alone
 */
export function callbackUriAt(baseUrl: string): string | undefined {
  const url = URL.parse(baseUrl);
  if (url === null || /[?#]/.test(baseUrl) || url.username !== '' || url.password !== '') return undefined;
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isThisMachine(url))) return undefined;
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}${CALLBACK_ROUTE}`;
}

/** The redirect URI of a daemon without public URL, from where it listens. Undefined: nowhere on loopback TCP. */
export function callbackUriAmong(listening: readonly string[]): string | undefined {
  const here = listening.find((each) => {
    const url = URL.parse(each);
    return url !== null && /^https?:$/.test(url.protocol) && isThisMachine(url);
  });
  return here === undefined ? undefined : callbackUriAt(here);
}

function isThisMachine({ hostname }: URL): boolean {
  return LOOPBACK_HOSTS.some((each) => each === hostname);
}
