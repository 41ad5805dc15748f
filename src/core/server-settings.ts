/**
 * How one server differs from what servers usually do. Set at a login, or found out by a fallback that worked; kept
 * until another login says otherwise.
 */
import { BrokerError, quote } from '../errors.ts';
import type { Grant } from './grant.ts';
import type { Program } from './program.ts';
import type { RecoveryPolicy } from './recovery.ts';

export interface ServerSettings {
  /** What to do when the answer to a refresh was lost. Default `retry`. */
  recovery: RecoveryPolicy;
  /** OAuth error codes by which this server says `invalid_grant`. Default none. */
  deadTokenErrors: readonly string[];
  /** The one issuer an operator vouches for, whatever the server announces. Default null: what it announces. */
  pinnedIssuer: string | null;
  /** The resource an operator vouches for, in place of the one the server names. Default null. */
  pinnedResource: string | null;
  /** Whether requests name the resource (RFC 8707). Default `send`; a few servers refuse the parameter. */
  resourceParameter: 'send' | 'omit';
  /** Whether a refresh repeats the granted scope. Default `omit` (RFC 6749 §6); a few servers demand it. */
  refreshScope: 'omit' | 'send';
  /** How client id and secret are put into HTTP Basic. Default `form` (RFC 6749 §2.3.1); `raw` does not encode. */
  basicEncoding: 'form' | 'raw';
  /** Whether PKCE must be announced. Default `announced`; `assumed`: an operator knows that it works all the same. */
  pkce: 'announced' | 'assumed';
  /** Scopes an operator chose in place of what the server suggests. Default none. */
  scopes: readonly string[];
  /** Further parameters of the authorization request, such as `access_type`. Default none. */
  authorizationParameters: Readonly<Record<string, string>>;
  /** Where URLs learned from this server may lead: a public one never into the private network. Default `public`. */
  network: Network;
  /** How long the server keeps a refresh token that nobody uses. Default null: unknown. */
  idleLimitMs: number | null;
  /** What a tool's error says when the login has ended, at servers that answer 200 then. Default none. */
  endedLoginTexts: readonly string[];
  /** How a machine gets its tokens. Default null: a person signs in. */
  grant: Grant | null;
  /** How MCP is spoken with it. Default `http`. */
  transport: Transport;
  /** The program that is the server, with `stdio`. Default null: the server is at a URL. */
  program: Program | null;
}

/** `http`: Streamable HTTP. `sse`: the transport before it (2024-11-05). `stdio`: a program on this machine. */
export type Transport = 'http' | 'sse' | 'stdio';

/** `private`: anywhere but to metadata services of clouds. `public`: to public addresses only. */
export type Network = 'public' | 'private';

/** What a login may say of them. Undefined: as it was. */
export type SettingsWishes = { [K in keyof ServerSettings]?: ServerSettings[K] | undefined };

export const DEFAULT_SETTINGS: ServerSettings = {
  recovery: 'retry',
  deadTokenErrors: [],
  pinnedIssuer: null,
  pinnedResource: null,
  resourceParameter: 'send',
  refreshScope: 'omit',
  basicEncoding: 'form',
  pkce: 'announced',
  scopes: [],
  authorizationParameters: {},
  network: 'public',
  idleLimitMs: null,
  endedLoginTexts: [],
  grant: null,
  transport: 'http',
  program: null,
};

/** With a shorter one nothing could be kept alive: refresh tokens of that kind are those of people who sit there. */
const SHORTEST_IDLE_LIMIT_MS = 10 * 60_000;

/** Parameters of the authorization request that are ours to set. */
const OUR_PARAMETERS = new Set([
  ...['client_id', 'redirect_uri', 'response_type', 'response_mode', 'scope', 'resource', 'state', 'nonce'],
  ...['code_challenge', 'code_challenge_method', 'request', 'request_uri'],
]);

/** Throws `usage` for wishes that cannot be. */
export function requirePossible({
  pinnedIssuer,
  pinnedResource,
  authorizationParameters,
  idleLimitMs,
}: SettingsWishes): void {
  if (typeof idleLimitMs === 'number' && idleLimitMs < SHORTEST_IDLE_LIMIT_MS) {
    throw new BrokerError('usage', 'an idle limit is 10 minutes or more', {
      hint: '--idle-limit takes how long the server keeps an unused refresh token, such as 30d',
    });
  }
  if (typeof pinnedIssuer === 'string' && URL.parse(pinnedIssuer) === null) {
    throw new BrokerError('usage', `${quote(pinnedIssuer)} is no issuer`, {
      hint: '--issuer takes the https URL that the server’s metadata names as issuer',
    });
  }
  if (
    typeof pinnedResource === 'string' &&
    (URL.parse(pinnedResource) === null || pinnedResource.includes('#'))
  ) {
    throw new BrokerError('usage', `${quote(pinnedResource)} is no resource`, {
      hint: '--resource takes an absolute URI without fragment (RFC 8707)',
    });
  }
  const taken = Object.keys(authorizationParameters ?? {}).find((name) => OUR_PARAMETERS.has(name));
  if (taken === undefined) return;
  throw new BrokerError('usage', `the parameter ${taken} is set by the broker`, {
    hint: 'scopes are chosen with --scope, the resource with --resource, the redirect URI with --redirect-uri',
  });
}

/** The settings among the wishes, without those left open. */
export function wishedSettings(wishes: SettingsWishes): Partial<ServerSettings> {
  const named = Object.keys(DEFAULT_SETTINGS) as (keyof ServerSettings)[];
  return Object.fromEntries(
    named.filter((name) => wishes[name] !== undefined).map((name) => [name, wishes[name]]),
  );
}

/** The settings that differ from the default. */
export function unusualSettings(settings: Partial<ServerSettings>): Partial<ServerSettings> {
  const isUsual = ([name, value]: [string, unknown]) =>
    JSON.stringify(value) === JSON.stringify(DEFAULT_SETTINGS[name as keyof ServerSettings]);
  return Object.fromEntries(Object.entries(settings).filter((each) => !isUsual(each)));
}
