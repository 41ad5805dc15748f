/**
 * What a token endpoint answered, made into what we keep.
 *
 * Real servers leave out, misspell or null almost every field, so this reads leniently: only `access_token` is
 * demanded. Unknown expiry stays unknown; inventing one either burns rotations or serves dead tokens.
 */
import { printable } from '../errors.ts';
import { Secret } from '../secret.ts';
import { inheritAccount, jwtClaims, readAccountIdentity } from './account.ts';

/** A lifetime beyond a hundred years is rubbish, and would overflow a date. */
const MAX_LIFETIME_SECONDS = 100 * 365 * 86_400;

/** Longer lists of scopes are rubbish. */
const MAX_SCOPE_LENGTH = 2000;

export interface TokenSet {
  accessToken: Secret;
  /** Undefined when the server issued none: then the login ends with the access token. */
  refreshToken: Secret | undefined;
  /** As the server spelled it. Undefined: not told, taken as Bearer. */
  tokenType: string | undefined;
  /** Scope as granted, space separated. Undefined: as requested (RFC 6749 §5.1). */
  scope: string | undefined;
  /** Epoch ms of the answer. */
  receivedAt: number;
  /** Epoch ms. Undefined: unknown. */
  accessExpiresAt: number | undefined;
  /** What is known of the refresh token's life. Absent: there is none, or nothing is known. */
  refreshLife?: RefreshLife;
  /** Whom the token belongs to, if the answer told. */
  accountIdentity: string | undefined;
  /** OpenID Connect ID token, as it came last. Absent: none came. */
  idToken?: Secret;
  /** Headers in place of a token: the whole credential is made of them. Absent for tokens. */
  headers?: CredentialHeaders;
}

/** The life of a refresh token. Instants are epoch ms. */
export interface RefreshLife {
  /** When it first came. A server that does not rotate keeps the same one for long. */
  receivedAt: number;
  /** Its end, as the server told. Absent: not told. */
  expiresAt?: number;
  /** Whether a refresh has put that end off before. Absent: not seen. */
  isProlonged?: true;
}

/**
 * Reads a token response (RFC 6749 §5.1).
 *
 * @param body parsed JSON of the answer
 * @param receivedAt epoch ms
 * @returns undefined when there is no `access_token` in it
 */
export function readTokenSet(body: Record<string, unknown>, receivedAt: number): TokenSet | undefined {
  const accessToken = text(body.access_token);
  if (accessToken === undefined) return undefined;
  const refreshToken = text(body.refresh_token);
  const lifetime = seconds(body.expires_in);
  const idToken = text(body.id_token);
  return {
    accessToken: new Secret(accessToken),
    refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
    tokenType: text(body.token_type),
    scope: readScope(body.scope),
    receivedAt,
    accessExpiresAt:
      lifetime === undefined ? jwtExpiry(accessToken, receivedAt) : receivedAt + Math.round(lifetime * 1000),
    accountIdentity: readAccountIdentity(idToken === undefined ? undefined : jwtClaims(idToken), body),
    ...readRefreshLife(body, receivedAt),
    ...(idToken === undefined ? {} : { idToken: new Secret(idToken) }),
  };
}

/** No RFC has a word for the end of a refresh token; servers that tell it use one of two. */
function readRefreshLife(body: Record<string, unknown>, receivedAt: number): { refreshLife?: RefreshLife } {
  const lifetime = seconds(body.refresh_token_expires_in) ?? seconds(body.refresh_expires_in);
  if (lifetime === undefined && text(body.refresh_token) === undefined) return {};
  const expiresAt = lifetime === undefined ? {} : { expiresAt: receivedAt + Math.round(lifetime * 1000) };
  return { refreshLife: { receivedAt, ...expiresAt } };
}

/** A token set that is over before it begins: its first tokens are still to be asked for. */
export function nothingYet(now: number, told: Partial<TokenSet> = {}): TokenSet {
  return {
    accessToken: new Secret(''),
    refreshToken: undefined,
    tokenType: undefined,
    scope: undefined,
    receivedAt: now,
    accessExpiresAt: now,
    accountIdentity: undefined,
    ...(told.refreshToken ? { refreshLife: { receivedAt: now } } : {}),
    ...told,
  };
}

/** Header names and values, as a call carries them. */
export type CredentialHeaders = readonly (readonly [name: string, value: Secret])[];

/** What a call carries to prove itself. Empty: nothing is needed. */
export function headersOf(tokens: TokenSet): CredentialHeaders {
  return tokens.headers ?? [['Authorization', new Secret(`Bearer ${tokens.accessToken.reveal()}`)]];
}

/** A refresh answer without a refresh token keeps the old one (RFC 6749 §6); likewise scope and account. */
export function inheritTokenSet(fresh: TokenSet, previous: TokenSet): TokenSet {
  return {
    ...fresh,
    refreshToken: fresh.refreshToken ?? previous.refreshToken,
    scope: fresh.scope ?? previous.scope,
    accountIdentity: inheritAccount(fresh, previous),
    ...inheritRefreshLife(fresh, previous),
    ...(fresh.idToken || !previous.idToken ? {} : { idToken: previous.idToken }),
  };
}

/** An end that is told anew a little later is the same end: servers count in whole seconds, and answers travel. */
const SAME_END_MS = 60_000;

/**
 * What is known of the refresh token after an answer. The same token goes on ageing; the end told last counts, and is
 * forgotten with its token.
 */
export function inheritRefreshLife(
  fresh: Pick<TokenSet, 'refreshToken' | 'refreshLife'>,
  previous: Pick<TokenSet, 'refreshToken' | 'refreshLife'>,
): { refreshLife?: RefreshLife } {
  const before = previous.refreshLife;
  const isSame =
    fresh.refreshToken === undefined ||
    fresh.refreshToken.fingerprint() === previous.refreshToken?.fingerprint();
  const told = fresh.refreshLife?.expiresAt;
  const receivedAt = (isSame ? before : fresh.refreshLife)?.receivedAt;
  if (receivedAt === undefined) return fresh.refreshLife ? { refreshLife: fresh.refreshLife } : {};
  const expiresAt = told ?? (isSame ? before?.expiresAt : undefined);
  const isPutOff =
    told !== undefined && before?.expiresAt !== undefined && told - before.expiresAt > SAME_END_MS;
  const isProlonged = told === undefined || before?.expiresAt === undefined ? before?.isProlonged : isPutOff;
  return {
    refreshLife: {
      receivedAt,
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(isProlonged ? { isProlonged } : {}),
    },
  };
}

/** A token set as text, secrets included: to be sealed, never stored as it is. */
export function serialiseTokenSet(tokens: TokenSet): string {
  return JSON.stringify({
    ...tokens,
    accessToken: tokens.accessToken.reveal(),
    refreshToken: tokens.refreshToken?.reveal(),
    idToken: tokens.idToken?.reveal(),
    headers: tokens.headers?.map(([name, value]) => [name, value.reveal()]),
  });
}

/** The reverse of `serialiseTokenSet`. */
export function parseTokenSet(text: string): TokenSet {
  const fields = JSON.parse(text) as Omit<
    TokenSet,
    'accessToken' | 'refreshToken' | 'idToken' | 'headers'
  > & {
    accessToken: string;
    refreshToken?: string;
    idToken?: string;
    headers?: [string, string][];
  };
  return {
    accessToken: new Secret(fields.accessToken),
    refreshToken: fields.refreshToken === undefined ? undefined : new Secret(fields.refreshToken),
    tokenType: fields.tokenType,
    scope: fields.scope,
    receivedAt: fields.receivedAt,
    accessExpiresAt: fields.accessExpiresAt,
    accountIdentity: fields.accountIdentity,
    ...(fields.refreshLife === undefined ? {} : { refreshLife: fields.refreshLife }),
    ...(fields.idToken === undefined ? {} : { idToken: new Secret(fields.idToken) }),
    ...(fields.headers
      ? { headers: fields.headers.map(([name, value]) => [name, new Secret(value)] as const) }
      : {}),
  };
}

/** Whether agents can use the token as `Authorization: Bearer`. A missing type counts as Bearer. */
export function isBearer(tokenType: string | undefined): boolean {
  return tokenType === undefined || tokenType.toLowerCase() === 'bearer';
}

function jwtExpiry(accessToken: string, receivedAt: number): number | undefined {
  const exp = jwtClaims(accessToken)?.exp;
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return undefined;
  const lifetime = seconds(exp - receivedAt / 1000);
  return lifetime === undefined ? undefined : receivedAt + Math.round(lifetime * 1000);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Positive seconds, also as a numeric string. Anything else (0, negative, rubbish, more than a century) is unknown. */
function seconds(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value;
  return typeof number === 'number' && number > 0 && number <= MAX_LIFETIME_SECONDS ? number : undefined;
}

/** A space separated string; some servers send a list. */
function readScope(value: unknown): string | undefined {
  const joined = Array.isArray(value) ? value.filter((item) => typeof item === 'string').join(' ') : value;
  const scope = text(joined);
  return scope === undefined ? undefined : text(printable(scope, MAX_SCOPE_LENGTH));
}
