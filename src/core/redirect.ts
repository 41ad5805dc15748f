/**
 * What a redirect URI says about where the browser will come back: to a listener of ours on this machine, or to a
 * page that is somebody else's.
 *
 * The text is kept to the letter, because many servers compare it so; host, port and path are as a browser reads it.
 */
import { BrokerError, quote } from '../errors.ts';

/** Hosts we can listen on; browsers take `localhost` to either of the other two. */
export const LOOPBACK_HOSTS = ['127.0.0.1', '[::1]', 'localhost'] as const;
export type LoopbackHost = (typeof LOOPBACK_HOSTS)[number];

interface CommonParts {
  /** As it was given. This goes to the server, nothing rebuilt from the parts. */
  uri: string;
  /** Without query. */
  path: string;
}

/** One that we can listen for: http to this machine, with a port. */
export interface LoopbackRedirect extends CommonParts {
  isLoopback: true;
  host: LoopbackHost;
  port: number;
}

/** One that others serve: an https page. The person brings what arrives there. */
export interface ForeignRedirect extends CommonParts {
  isLoopback: false;
  host: string;
  /** Undefined: 443. */
  port: number | undefined;
}

export type RedirectUri = LoopbackRedirect | ForeignRedirect;

/**
 * Reads a redirect URI. Throws `usage` for what nobody should be redirected to: no URL, plain http to another host,
 * a scheme of an app, a fragment, a user name, a loopback address without port.
 *
 * @see RFC 6749 §3.1.2, RFC 8252 §7.3
 */
export function readRedirectUri(text: string): RedirectUri {
  const url = URL.parse(text);
  // A browser drops or mends these in silence, and then the text is not the address any more.
  if (url === null || /[\p{Cc}\p{Cf}\s\\]/u.test(text)) {
    throw refused(text, 'is no URL', 'give it whole, such as http://127.0.0.1:41234/callback');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw refused(
      text,
      `has the scheme ${quote(url.protocol.slice(0, -1))}, for which nobody listens here`,
      'register http://127.0.0.1:41234/callback, or an https page whose address can be copied',
    );
  }
  const [, authority] = /^https?:\/\/([^/?#]+)/i.exec(text) ?? [];
  if (authority === undefined) {
    throw refused(text, 'is no URL', 'two slashes belong between scheme and host');
  }
  if (authority.includes('@')) {
    throw refused(text, 'holds a user name', 'leave out what stands before the @');
  }
  if (text.includes('#')) {
    throw refused(text, 'has a fragment', 'leave out the # and what follows (RFC 6749 §3.1.2)');
  }
  const host = LOOPBACK_HOSTS.find((each) => each === url.hostname);
  if (url.protocol === 'https:') {
    const port = url.port === '' ? undefined : Number(url.port);
    return { uri: text, isLoopback: false, host: url.hostname, port, path: url.pathname };
  }
  if (host === undefined) {
    throw refused(
      text,
      'is plain http to another machine, where others could read the code',
      `use https, or http to ${LOOPBACK_HOSTS.join(', ')} (RFC 8252 §7.3)`,
    );
  }
  // Not url.port, which is empty for 80 too.
  const port = Number(/:(\d+)$/.exec(authority)?.[1] ?? 0);
  if (port === 0) {
    throw refused(text, 'names no port', `say where to listen, such as http://${host}:41234${url.pathname}`);
  }
  return { uri: text, isLoopback: true, host, port, path: url.pathname };
}

function refused(text: string, why: string, hint: string): BrokerError {
  const shown = text.replace(/^([a-z]+:[/\\]*)[^/?#\\]*@/i, '$1…@');
  return new BrokerError('usage', `the redirect URI ${quote(shown)} ${why}`, { hint });
}
