/**
 * Keeps web pages away from a local API.
 *
 * A page can make a browser call 127.0.0.1, and by DNS rebinding under a name of its own. Such calls carry an
 * `Origin`, or a `Host` that is not ours; both are refused before anything else is looked at.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { RequestHandler } from 'express';
import { BrokerError } from '../errors.ts';
import { requestIdHeader } from '../request-context.ts';

export interface GuardOptions {
  /** Values of `Host` that are us; `name:*` is any port of that name. Undefined: not checked, as on a Unix socket. */
  hosts: Set<string> | undefined;
  /** Values of `Origin` allowed by name. */
  origins: Set<string>;
}

/** Refuses foreign hosts and web pages, and marks every answer as not to be stored. */
export function guard(options: GuardOptions): RequestHandler {
  return (request, response, next) => {
    response.set({ ...SAFE_HEADERS, ...requestIdHeader() });
    requireLocal(request.headers, options);
    next();
  };
}

/** Of every answer. */
export const SAFE_HEADERS = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

/** Throws `forbidden` for foreign hosts and web pages. */
export function requireLocal(headers: IncomingHttpHeaders, { hosts, origins }: GuardOptions): void {
  const host = headers.host?.toLowerCase() ?? '';
  if (hosts && !hosts.has(host) && !hosts.has(host.replace(/:\d+$/, ':*'))) {
    throw new BrokerError('forbidden', 'this Host is not served here', {
      hint: 'call the address the daemon listens on, or allow the name with: broker serve --allowed-host <name>',
    });
  }
  const { origin } = headers;
  if (origin !== undefined && !origins.has(origin)) {
    throw new BrokerError('forbidden', 'calls from web pages are refused', {
      hint: 'leave out the Origin header, or allow it with: broker serve --allowed-origin <origin>',
    });
  }
}
