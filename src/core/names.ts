/**
 * Names of connections and agents, and the patterns that select them.
 *
 * A connection is `server` or `server@account`. A pattern's `*` never crosses the `@`: `notion@*` is every
 * account of notion, `*` is every connection without an account, `coda` is not `coda@alice`.
 */
import { BrokerError } from '../errors.ts';

const SERVER_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const ACCOUNT = /^[A-Za-z0-9._+-]{1,64}$/;

/** Host labels that say nothing about whose server it is. */
const GENERIC_LABELS = new Set(['mcp', 'www', 'api', 'docs']);

export interface ConnectionName {
  server: string;
  account: string | undefined;
}

/** `coda` or `coda@alice` taken apart; undefined when it is neither. */
export function parseConnectionName(name: string): ConnectionName | undefined {
  const at = name.indexOf('@');
  const server = at === -1 ? name : name.slice(0, at);
  const account = at === -1 ? undefined : name.slice(at + 1);
  if (!SERVER_NAME.test(server)) return undefined;
  if (account !== undefined && !ACCOUNT.test(account)) return undefined;
  return { server, account };
}

/** The same, for names somebody typed. Throws `usage` when the name is not one. */
export function requireConnectionName(name: string): ConnectionName {
  const parsed = parseConnectionName(name);
  if (parsed) return parsed;
  throw new BrokerError('usage', `"${name}" is not a connection name`, {
    hint: 'a name is lower-case letters, digits, dot, dash or underscore, optionally followed by @account',
  });
}

/** The name put together again. */
export function formatConnectionName({ server, account }: ConnectionName): string {
  return account === undefined ? server : `${server}@${account}`;
}

/** Agents are named like servers. */
export function isAgentName(name: string): boolean {
  return SERVER_NAME.test(name);
}

/** A pattern is a connection name in which `*` may stand anywhere. */
export function isConnectionPattern(pattern: string): boolean {
  return parseConnectionName(pattern.replaceAll('*', 'x')) !== undefined;
}

/** Whether `name` is selected by `pattern`. Case matters in accounts; `*` does not cross `@`. */
export function matchesPattern(pattern: string, name: string): boolean {
  if (!pattern.includes('*')) return pattern === name;
  const literal = pattern.split('*').map((part) => part.replace(/[.+\\^$|()[\]{}?-]/g, '\\$&'));
  return new RegExp(`^${literal.join('[^@]*')}$`).test(name);
}

/**
 * The name a login gets when nobody chose one: the host's first label after dropping `mcp.`, `www.`, `api.`
 * and `docs.`. Undefined for an address or `localhost`, which say nothing: those need `--name`.
 */
export function nameFromUrl(url: URL): string | undefined {
  const host = url.hostname.toLowerCase();
  if (host === 'localhost' || host.startsWith('[') || /^[\d.]+$/.test(host)) return undefined;
  const labels = host.split('.');
  while (labels.length > 2 && GENERIC_LABELS.has(labels[0] as string)) labels.shift();
  const label = labels[0] as string;
  return SERVER_NAME.test(label) ? label : undefined;
}
