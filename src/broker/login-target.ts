/** What somebody means by `broker login X` or `broker add X`: which URL, and under which name it will be kept. */
import {
  type ConnectionName,
  formatConnectionName,
  nameFromUrl,
  parseConnectionName,
  requireConnectionName,
} from '../core/names.ts';
import { findPreset, findPresetByUrl, PRESETS, type Preset } from '../core/presets.ts';
import { BrokerError, quote } from '../errors.ts';
import { isLoopback } from '../oauth/http.ts';
import { findServer, findServersByUrl, type Server } from '../vault/servers.ts';
import type { Context } from './context.ts';

export interface LoginTarget {
  url: string;
  server: string;
  account: string | undefined;
  /** `server` or `server@account`. */
  connection: string;
  /** What is known about this server. */
  preset: Preset | undefined;
}

export interface TargetWords {
  /** URL of the MCP server, the name of a connection or server known already, or a preset. */
  target: string;
  name?: string | undefined;
  account?: string | undefined;
}

/** Throws `usage` for what is neither, for names that cannot be or are taken; `not_found` for an unknown name. */
export function resolveTarget({ vault }: Pick<Context, 'vault'>, words: TargetWords): Promise<LoginTarget> {
  return resolve(knownTo(vault), words);
}

/** The same where there is no vault yet, so that a mistake leaves none behind. */
export async function requireFirstTarget(words: TargetWords): Promise<void> {
  await resolve({ byName: async () => undefined, byUrl: async () => [] }, words);
}

/** Servers there are. */
interface Known {
  byName(name: string): Promise<Server | undefined>;
  /** Oldest first. */
  byUrl(url: string): Promise<Server[]>;
}

function knownTo(vault: Context['vault']): Known {
  return {
    byName: (name) => vault.run(() => findServer(name)),
    byUrl: (url) => vault.run(() => findServersByUrl(url)),
  };
}

async function resolve(known: Known, words: TargetWords): Promise<LoginTarget> {
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(words.target);
  if (isUrl) return resolveUrl(known, words);
  const parsed = parseConnectionName(words.target);
  const server = parsed && (await known.byName(parsed.server));
  const preset = server ? undefined : findPreset(parsed?.server ?? '');
  if (!parsed || !preset) return resolveName(words, parsed, server);
  return resolveUrl(known, { ...words, target: preset.urls[0], account: words.account ?? parsed.account });
}

/** What `broker add` is given. */
export interface NewTargetWords {
  /** `server` or `server@account`. */
  name: string;
  url: string;
}

/** Throws `usage` for a name or URL that cannot be, whatever is there already. */
export function requireNewTarget({ name, url }: NewTargetWords): void {
  requireConnectionName(name);
  readUrl(url);
}

/** The same for a connection that nobody signs in to. Throws `usage` for words that cannot be or a name that is taken. */
export async function resolveNewTarget(
  { vault }: Pick<Context, 'vault'>,
  words: NewTargetWords,
): Promise<LoginTarget> {
  requireNewTarget(words);
  const { server, account } = requireConnectionName(words.name);
  const url = readUrl(words.url);
  await requireFree(knownTo(vault), server, url, `broker add <name> --url ${url} …`);
  return withAccount(url, server, account);
}

async function resolveUrl(known: Known, { target, name, account }: TargetWords): Promise<LoginTarget> {
  const url = readUrl(target);
  const [same] = await known.byUrl(url);
  const preset = findPresetByUrl(url);
  const wanted = name ?? same?.name ?? preset?.name ?? nameFromUrl(new URL(url));
  if (wanted === undefined) {
    throw new BrokerError('usage', `no name can be made from ${new URL(url).hostname}`, {
      hint: `choose one: broker login ${url} --name <name>`,
    });
  }
  const { server, account: named } = requireConnectionName(wanted);
  await requireFree(known, server, url, `broker login ${url} --name <name>`);
  return withAccount(url, server, account ?? named);
}

/** Throws `usage` when the name stands for another URL. */
async function requireFree(known: Known, server: string, url: string, command: string): Promise<void> {
  const taken = await known.byName(server);
  if (!taken || taken.url === url) return;
  throw new BrokerError('usage', `the name ${server} is taken by ${taken.url ?? 'a program'}`, {
    hint: `choose another one: ${command}`,
  });
}

function resolveName(
  { target, name, account }: TargetWords,
  parsed: ConnectionName | undefined,
  server: Server | undefined,
): LoginTarget {
  if (!parsed || !server) {
    throw new BrokerError('not_found', `there is no connection, server or preset ${target}`, {
      hint:
        'for a first login give its URL: broker login https://…\n' +
        `or a preset: ${PRESETS.slice(0, 5)
          .map((each) => each.name)
          .join(', ')} … (docs/presets.md)\nbroker list shows what is connected`,
    });
  }
  if (name !== undefined && name !== parsed.server) {
    throw new BrokerError('usage', `${target} has its name already`, {
      hint: 'leave out --name, or give the URL to connect it under a second name',
    });
  }
  if (server.url === null) {
    throw new BrokerError('usage', `${target} is a program on this machine: nobody signs in to it`, {
      hint: `the secrets of its environment belong to other connections: broker show ${server.name}`,
    });
  }
  return withAccount(server.url, server.name, account ?? parsed.account);
}

function withAccount(url: string, server: string, account: string | undefined): LoginTarget {
  const connection = formatConnectionName({ server, account });
  requireConnectionName(connection);
  return { url, server, account, connection, preset: findPresetByUrl(url) };
}

function readUrl(text: string): string {
  const url = URL.parse(text);
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new BrokerError('usage', `${quote(text)} is not the URL of an MCP server`, {
      hint: 'it begins with https:// and is the MCP endpoint itself, such as https://coda.io/apis/mcp',
    });
  }
  if (url.protocol === 'http:' && !isLoopback(url.href)) {
    throw new BrokerError('usage', `${url.origin} is not encrypted`, {
      hint: 'a token sent there could be read on the way: use https:// (plain http only on this machine)',
    });
  }
  if (url.username !== '' || url.password !== '') {
    throw new BrokerError('usage', 'the URL has a user name or password inside', {
      hint: 'give it without them',
    });
  }
  url.hash = '';
  return url.href;
}
