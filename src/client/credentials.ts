/** What to send for a connection: a bearer token, or for those that have none its headers; and where it may go. */
import type { Answer, Daemon } from './daemon.ts';
import { BrokerClientError, hasNoBearer } from './errors.ts';
import { createTokens, type Token } from './tokens.ts';

/** Names and values as fetch takes them (RFC 9110 §5.1, §5.5); checked here, because its own error shows the value. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Headers that prove who we are. */
export interface Credential {
  headers: Record<string, string>;
  /** Of the token. Undefined: these headers have no generation. */
  generation: number | undefined;
  /** What it was issued for. */
  resource: string;
}

export interface Credentials {
  /** What to send now. */
  current(): Promise<Credential>;
  /** Something newer than what was refused. Undefined: what was refused is as new as can be. */
  replace(refused: Credential): Promise<Credential | undefined>;
  /** Throws `resource_mismatch` when `credential` is for another server than the one at `url`. */
  requireOwn(credential: Credential, url: URL): Promise<void>;
}

/** Credentials of the daemon's connection. */
export function createCredentials(daemon: Daemon): Credentials {
  const tokens = createTokens(daemon);
  let fixed: Credential | undefined;
  let asking: Promise<Credential> | undefined;
  /** Origins of the server, besides the one its resource tells. */
  let place: { resource: string; origins: (string | undefined)[] } | undefined;

  /** Headers have no end anybody knows, so they are kept until they are refused. */
  function askHeaders(): Promise<Credential> {
    asking ??= Promise.all([daemon.ask('/headers'), daemon.ask('')])
      .then(([answer, { resource, url }]) => {
        const named = String(resource ?? url ?? '');
        place = { resource: named, origins: [originOf(resource), originOf(url)] };
        fixed = { headers: readHeaders(answer, daemon), generation: undefined, resource: named };
        return fixed;
      })
      .finally(() => {
        asking = undefined;
      });
    return asking;
  }

  async function tokenOrHeaders(ask: () => Promise<Token>): Promise<Credential> {
    try {
      return bearer(await ask());
    } catch (error) {
      if (hasNoBearer(error)) return askHeaders();
      throw error;
    }
  }

  async function current(): Promise<Credential> {
    return fixed ?? (await (asking ?? tokenOrHeaders(tokens.current)));
  }

  return {
    current,
    async replace(refused) {
      const { generation } = refused;
      if (generation === undefined) {
        if (fixed === refused) fixed = undefined;
        const next = await current();
        return JSON.stringify(next.headers) === JSON.stringify(refused.headers) ? undefined : next;
      }
      try {
        return await tokenOrHeaders(() => tokens.replace(generation));
      } catch (error) {
        // Refreshed a moment ago, and refused all the same: what the server says about it tells more.
        if (error instanceof BrokerClientError && error.code === 'rate_limited') return undefined;
        throw error;
      }
    },
    async requireOwn(credential, url) {
      const { resource } = credential;
      if (originOf(resource) === url.origin) return;
      if (place?.resource !== resource) {
        const server = await daemon.ask('');
        place = { resource, origins: [originOf(server.url)] };
      }
      if (place.origins.includes(url.origin)) return;
      throw new BrokerClientError(
        'resource_mismatch',
        `${daemon.connection} is a connection to ${resource || 'another server'}: its credential is not sent to ${url.origin}`,
        {
          connection: daemon.connection,
          nextStep: 'use the connection of that server, or a fetch without one',
        },
      );
    },
  };
}

function bearer({ accessToken, generation, resource }: Token): Credential {
  return { headers: { authorization: `Bearer ${accessToken}` }, generation, resource };
}

function readHeaders(answer: Answer, daemon: Daemon): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(answer)) {
    if (typeof value !== 'string' || !HEADER_NAME.test(name) || !HEADER_VALUE.test(value))
      throw daemon.strange(200);
    headers[name] = value;
  }
  return headers;
}

/** Undefined for what is no web address, such as `urn:example:api`. */
function originOf(url: unknown): string | undefined {
  if (typeof url !== 'string' || !/^https?:/i.test(url) || !URL.canParse(url)) return undefined;
  return new URL(url).origin;
}
