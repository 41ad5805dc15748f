/**
 * A server that wants more rights than the login has says so with `insufficient_scope` (RFC 6750 §3.1). Only a person
 * can grant them: so the answer to it is a login with these scopes, never a retry.
 */
import { type BearerChallenge, readBearerChallenge } from './challenge.ts';
import { type Connection, wideningCommand } from './connection.ts';
import { isScopeToken } from './scope.ts';

export interface StepUp {
  /** What to ask for: all that was granted, and what the server wants besides. */
  scopes: string[];
  /** The exact command; of a connection without a person the part of it that is new. */
  nextStep: string;
}

/** More than this many scopes is rubbish. */
const MAX_SCOPES = 100;

/**
 * What a refusal asks for. Undefined when it is no matter of scope, or the server does not name any that is missing.
 *
 * @param status of the server's answer
 * @param wwwAuthenticate header of the server's answer; undefined: none
 */
export function stepUpFor(
  connection: Pick<Connection, 'name' | 'scope' | 'kind' | 'derivedFrom'>,
  status: number,
  wwwAuthenticate: string | undefined,
): StepUp | undefined {
  const challenge = readBearerChallenge(wwwAuthenticate ?? '');
  if (!challenge || !isAboutScope(status, challenge)) return undefined;
  const granted = connection.scope?.split(' ').filter(Boolean) ?? [];
  const wanted = (challenge.scope?.split(/\s+/) ?? []).filter(isScopeToken).slice(0, MAX_SCOPES);
  const scopes = [...new Set([...granted, ...wanted])];
  if (scopes.length === new Set(granted).size) return undefined;
  return { scopes, nextStep: wideningCommand(connection, shellQuoted(scopes.join(' '))) };
}

function isAboutScope(status: number, { error }: BearerChallenge): boolean {
  return status === 403
    ? error === undefined || error === 'insufficient_scope'
    : error === 'insufficient_scope';
}

/** The text as one word for a shell. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
