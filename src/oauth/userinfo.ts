/** Whose an access token is, as the server that issued it tells (OpenID Connect Core 1.0 §5.3). */
import { readAccountIdentity } from '../core/account.ts';
import { quote } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { describeRefusal, networkError, parseObject } from './failure.ts';
import { abortable, type Fetch, isSafeUrl } from './http.ts';

export interface UserinfoRequest {
  /** From the metadata of the server that issued the token. */
  endpoint: unknown;
  accessToken: Secret;
  /** `sub` of the ID token. Undefined: there was none to compare with. */
  subject: string | undefined;
  fetch: Fetch;
}

export type Userinfo =
  | { accountIdentity: string }
  /** Why nobody knows, for people. */
  | { reason: string };

/** A person waits, and what they came for is here already. */
const DEADLINE_MS = 5_000;

/**
 * Asks once. Never throws: nothing depends on it but a name.
 *
 * @see OpenID Connect Core 1.0 §5.3.2: an answer for another `sub` than the ID token's must not be used
 */
export async function askUserinfo(request: UserinfoRequest): Promise<Userinfo> {
  const { endpoint, accessToken, subject, fetch } = request;
  if (typeof endpoint !== 'string' || !isSafeUrl(endpoint))
    return { reason: 'its userinfo endpoint is not safe to call' };
  try {
    const headers = { accept: 'application/json', authorization: `Bearer ${accessToken.reveal()}` };
    const response = await abortable(fetch, AbortSignal.timeout(DEADLINE_MS))(endpoint, { headers });
    const text = await response.text();
    if (response.status !== 200) return { reason: `it answered ${describeRefusal(response.status, text)}` };
    return read(parseObject(text), subject);
  } catch (error) {
    return { reason: networkError(error, endpoint).message };
  }
}

function read(claims: Record<string, unknown> | undefined, subject: string | undefined): Userinfo {
  const sub = claims?.sub;
  if (typeof sub !== 'string' || sub === '') return { reason: 'it answered without saying who it is (sub)' };
  if (subject !== undefined && sub !== subject)
    return { reason: `it answered for somebody else (${quote(sub)}, not ${quote(subject)})` };
  return { accountIdentity: readAccountIdentity(claims) ?? sub };
}
