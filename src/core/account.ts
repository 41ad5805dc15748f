/**
 * Whose a login is, as a provider tells: by a name that people know, or only by its own number for them (`sub`).
 *
 * Nothing here is verified by a signature: what comes over TLS from the token endpoint we asked needs none (OpenID
 * Connect Core 1.0 §3.1.3.7).
 */
import { printable, quote } from '../errors.ts';
import type { Secret } from '../secret.ts';

/** What a token set says about its account. */
export interface AccountFacts {
  /** Undefined: it was not told. */
  accountIdentity: string | undefined;
  idToken?: Secret;
}

/** Names for a person or workspace, the most recognisable first. */
const NAMES = ['email', 'preferred_username', 'username', 'login', 'name', 'workspace_name'] as const;

/** The best name in the first source that has one, its `sub` without. Undefined: none has either. */
export function readAccountIdentity(...sources: (Record<string, unknown> | undefined)[]): string | undefined {
  const identity = sources.map(identityIn).find((each) => each !== undefined);
  return identity === undefined ? undefined : printable(identity);
}

function identityIn(source: Record<string, unknown> | undefined): string | undefined {
  const names = NAMES.filter((each) => each !== 'email' || !isUnverified(source?.email_verified));
  return [...names, 'sub'].map((each) => text(source?.[each])).find((each) => each !== undefined);
}

/** Anybody could have typed in such an address. */
function isUnverified(verified: unknown): boolean {
  return verified === false || verified === 'false';
}

/** `sub` of the ID token (OpenID Connect Core 1.0 §2). Undefined: none came. */
export function subjectOf({ idToken }: Pick<AccountFacts, 'idToken'>): string | undefined {
  return idToken && text(jwtClaims(idToken.reveal())?.sub);
}

/** When the ID token ends, epoch ms. Undefined: none came, or it does not say. */
export function idTokenEndsAt({ idToken }: Pick<AccountFacts, 'idToken'>): number | undefined {
  const exp = idToken && jwtClaims(idToken.reveal())?.exp;
  return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : undefined;
}

/** Whether a name is known, and not the bare `sub` alone. */
export function isNamed(facts: AccountFacts): boolean {
  const subject = subjectOf(facts);
  return facts.accountIdentity !== undefined && facts.accountIdentity !== printable(subject ?? '');
}

/** Whether this is the account that an operator demands, by its name or its `sub`. */
export function belongsTo(facts: AccountFacts, expected: string): boolean {
  const subject = subjectOf(facts);
  return facts.accountIdentity === expected || (subject !== undefined && printable(subject) === expected);
}

/**
 * The account after a refresh. A refresh cannot change whose login it is: the name of the sign-in stays, also when
 * somebody is called another by now, but for a first name, or another `sub`.
 */
export function inheritAccount(fresh: AccountFacts, previous: AccountFacts): string | undefined {
  if (previous.accountIdentity === undefined) return fresh.accountIdentity;
  const [now, before] = [subjectOf(fresh), subjectOf(previous)];
  const isAnother = now !== undefined && before !== undefined && now !== before;
  if (isAnother || (!isNamed(previous) && isNamed(fresh))) return fresh.accountIdentity;
  return previous.accountIdentity;
}

/** In a sentence: whose login it is, and whose it should be. */
export function describeMismatch(accountIdentity: string | undefined, expected: string): string {
  return accountIdentity === undefined
    ? `the server does not tell whose login this is, so nobody knows whether it is ${quote(expected)}`
    : `the server signed in ${quote(accountIdentity)}, not ${quote(expected)}`;
}

/** Claims of a JWT without checking its signature: a hint, never a proof. Undefined: not a JWT. */
export function jwtClaims(token: string): Record<string, unknown> | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1] as string, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
