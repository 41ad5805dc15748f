/**
 * Configuration of agent runtimes: which of them can use the broker in which way, and how a template becomes a
 * snippet. Pure: templates are files in their own language, in `runtimes/` of the package.
 *
 * A snippet never holds a secret. It names the variable that does.
 */
import { BrokerError } from '../errors.ts';
import type { Runtime, Way } from './runtime.ts';
import { RUNTIMES } from './runtime-list.ts';

export type { Runtime, Way } from './runtime.ts';
export { RUNTIMES } from './runtime-list.ts';

/** What a snippet is about. */
export interface SnippetFacts {
  connection: string;
  /** `http://host:port` or `unix:/path`. */
  daemonUrl: string;
  /** Undefined: not known. The gateway does not need it. */
  serverUrl: string | undefined;
}

/** Variable that holds the agent's key, in templates and in the environment. */
const KEY_VARIABLE = 'BROKER_AGENT_KEY';

/** Variable in which `broker exec` hands over the token. */
export const TOKEN_VARIABLE = 'MCP_ACCESS_TOKEN';

/** Throws `usage` with the nearest names. */
export function requireRuntime(name: string): Runtime {
  const found = RUNTIMES.find((runtime) => runtime.name === name);
  if (found) return found;
  const near = nearRuntimes(name);
  throw new BrokerError('usage', `there is no runtime "${name}" in the list`, {
    hint: `${near.length > 0 ? `near: ${near.join(', ')}\n` : ''}broker config lists all`,
  });
}

/** Names that resemble what was typed: part of it or the other way round, or two letters off. */
export function nearRuntimes(typed: string): string[] {
  const bare = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '');
  const wanted = bare(typed);
  if (wanted === '') return [];
  return RUNTIMES.filter(({ name, title }) =>
    [bare(name), bare(title)].some(
      (each) => each.includes(wanted) || wanted.includes(each) || distance(each, wanted) <= 2,
    ),
  ).map(({ name }) => name);
}

/** The way to go. Throws `usage` when the runtime cannot go it. */
export function requireWay(runtime: Runtime, wanted: Way | undefined): Way {
  const way = wanted ?? runtime.ways[0];
  if (runtime.ways.includes(way)) return way;
  const [usual, ...others] = runtime.ways;
  throw new BrokerError('usage', `${runtime.title} cannot be configured with --${way}`, {
    hint: `without that option it is configured for: ${usual}${others.length > 0 ? `; there is also --${others.join(', --')}` : ''}`,
  });
}

/** Name of the template file. */
export function templateOf({ name, format }: Runtime, way: Way): string {
  return `${name}${way === 'token' ? '' : '.bearer'}.${format}`;
}

/**
 * Puts the facts into a template. `{{fact}}` is a fact; a comment `include FILE` on a line of its own is another
 * template.
 *
 * Throws `usage` when a fact is needed that is not known, or a URL does not suit.
 */
export function fillIn(
  template: string,
  way: Way,
  facts: SnippetFacts,
  include: (file: string) => string,
): string {
  const whole = template.replace(/^(?:\/\/|#) include (\S+)$/gm, (_, file: string) =>
    include(file).trimEnd(),
  );
  const text = way === 'exec' ? whole.replaceAll(KEY_VARIABLE, TOKEN_VARIABLE) : whole;
  return text.replace(/\{\{(\w+)\}\}/g, (_, fact: string) => factOf(fact, way, facts)).trimEnd();
}

/** What to know besides the snippet, in single sentences: what to set first, traps last. */
export function remarks(runtime: Runtime, way: Way, facts: SnippetFacts): string[] {
  return [...wayRemarks(runtime, way, facts), ...(runtime.wayNotes?.[way] ?? []), ...runtime.notes];
}

function wayRemarks({ program, format }: Runtime, way: Way, facts: SnippetFacts): string[] {
  const { connection, daemonUrl } = facts;
  const key = `an agent that may use it gets its key with: broker agent add <agent> --allow ${connection}`;
  switch (way) {
    case 'exec':
      return [
        `start it with: broker exec ${connection} -- ${program ?? '<your program>'}`,
        'the token is a snapshot: for runs that are shorter than its life',
      ];
    case 'gateway':
      return [
        `set ${KEY_VARIABLE} to the key of an agent; ${key} --mode gateway`,
        'what it may use there: --tool-allow and --tool-deny of that command, and broker tools',
      ];
    case 'token': {
      // These run `broker` itself, which can also be the operator.
      const runsBroker = ['json', 'sh', 'mjs'].includes(format);
      const where = runsBroker ? ` and BROKER_URL to ${daemonUrl}` : '';
      return [`set ${KEY_VARIABLE} to the key of an agent${where}; ${key}`];
    }
  }
}

/** Name of the server in the runtime's own configuration: some take letters, digits, dash and underscore only. */
export function entryName(connection: string): string {
  return connection.replace(/[^A-Za-z0-9_-]/g, '-');
}

function factOf(fact: string, way: Way, facts: SnippetFacts): string {
  const { connection, daemonUrl, serverUrl } = facts;
  const path = encodeURIComponent(connection);
  switch (fact) {
    case 'name':
      return entryName(connection);
    case 'connection':
      return connection;
    case 'server_url':
      return requireServerUrl(connection, serverUrl);
    case 'url':
      return way === 'gateway'
        ? `${requireHttp(daemonUrl)}/mcp/${path}`
        : requireServerUrl(connection, serverUrl);
    case 'broker_url':
      return requireQuotable(daemonUrl);
    case 'token_url':
      return `${requireHttp(daemonUrl)}/v1/connections/${path}/token`;
    case 'headers_url':
      return `${requireHttp(daemonUrl)}/v1/connections/${path}/headers`;
    default:
      throw new TypeError(`no template knows the fact ${fact}`);
  }
}

function requireServerUrl(connection: string, serverUrl: string | undefined): string {
  if (serverUrl !== undefined) return asLiteral(serverUrl, '--server-url');
  throw new BrokerError('usage', `it is not known which server ${connection} is`, {
    hint: `give its URL with --server-url, or sign in first: broker login <url> --name ${connection}`,
  });
}

/** A daemon that code can call with any HTTP client. No slash at the end. */
function requireHttp(daemonUrl: string): string {
  if (!daemonUrl.startsWith('unix:')) return asLiteral(daemonUrl, '--url').replace(/\/+$/, '');
  throw new BrokerError('usage', 'this snippet reaches the daemon over http, not over a Unix socket', {
    hint: 'name an address the daemon listens on as well: --url http://127.0.0.1:8787',
  });
}

/** A daemon as the client library takes it, which knows Unix sockets too. */
function requireQuotable(daemonUrl: string): string {
  if (!daemonUrl.startsWith('unix:')) return requireHttp(daemonUrl);
  if (!/['"\\`$]|\p{Cc}/u.test(daemonUrl)) return daemonUrl;
  throw new BrokerError('usage', 'the path of the socket cannot stand between quotes', {
    hint: 'name an address the daemon listens on as well: --url http://127.0.0.1:8787',
  });
}

/** A URL as it may stand between quotes of any language. */
function asLiteral(text: string, option: string): string {
  const url = URL.parse(text);
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
    throw new BrokerError(
      'usage',
      `${option} is no http or https address without a name and password in it`,
      {
        hint: `${option} takes a whole address, such as https://mcp.example.com/mcp`,
      },
    );
  }
  const escapes: Record<string, string> = { "'": '%27', '"': '%22', '\\': '%5C', '`': '%60', $: '%24' };
  return url.href.replace(/['"\\`$]/g, (each) => escapes[each] as string);
}

/** Letters to change, add or leave out to make one word the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const change = (row[j] as number) + (letter === other ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
