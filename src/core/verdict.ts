/**
 * What an answer to a refresh means for the grant: the one table that decides whether a login lives.
 *
 * Decided by status and OAuth error code, never by message text. Only a definite `invalid_grant` can end a
 * grant; firewalls, captive portals and tired load balancers cannot.
 */

/** How a refresh request ended, as `oauth/refresh.ts` observed it. */
export type RefreshAnswer =
  /** An HTTP answer arrived whole. `body` is undefined when it was not a JSON object. */
  | {
      kind: 'answer';
      status: number;
      body: Record<string, unknown> | undefined;
      retryAfterSeconds: number | undefined;
    }
  /** The request provably never reached the server: DNS, connect, TLS handshake. */
  | { kind: 'not_sent'; code: string }
  /** Bytes may have left, and no whole answer came back: timeout, reset, truncated body. */
  | { kind: 'no_answer'; code: string };

export type Verdict =
  /** The body holds an access token. */
  | { verdict: 'success' }
  /** The server did not act on the refresh token: presenting it again is safe. */
  | { verdict: 'not_processed'; code: string; retryAfterSeconds: number | undefined }
  /** The server may or may not have rotated: the journal row stays open. */
  | { verdict: 'unknown'; code: string; retryAfterSeconds: number | undefined }
  /** The server says the grant is dead. */
  | { verdict: 'final'; code: string }
  /** The server does not know our client any more. The grant itself is not judged. */
  | { verdict: 'client_invalid'; code: string }
  /** The server understood us and refuses for a reason a retry will not change. */
  | { verdict: 'config_error'; code: string };

/** An error code we do not know is told as it is, if it looks like one. */
const PLAIN_CODE = /^[A-Za-z0-9_.-]{1,64}$/;

/** OAuth's own words for the same (RFC 6749 §4.1.2.1). */
const TEMPORARY_ERRORS = new Set(['server_error', 'temporarily_unavailable']);

/** Statuses that mean "try later, I did nothing". */
const NOT_PROCESSED_STATUSES = new Set([408, 425, 429, 503]);

/**
 * Judges one answer to a refresh request.
 *
 * @param deadTokenErrors codes by which this server says `invalid_grant`
 * @see RFC 6749 §5.2, RFC 6749 §6
 */
export function judgeRefresh(answer: RefreshAnswer, deadTokenErrors: readonly string[] = []): Verdict {
  switch (answer.kind) {
    case 'not_sent':
      return { verdict: 'not_processed', code: answer.code, retryAfterSeconds: undefined };
    case 'no_answer':
      return { verdict: 'unknown', code: answer.code, retryAfterSeconds: undefined };
    case 'answer':
      return judgeAnswer(answer, deadTokenErrors);
  }
}

function judgeAnswer(
  answer: Extract<RefreshAnswer, { kind: 'answer' }>,
  deadTokenErrors: readonly string[],
): Verdict {
  const { status, body, retryAfterSeconds } = answer;
  const error = typeof body?.error === 'string' ? body.error : undefined;
  // A pair that was answered is never discarded, whatever stands beside it.
  if (status >= 200 && status < 300 && typeof body?.access_token === 'string' && body.access_token !== '') {
    return { verdict: 'success' };
  }
  if (
    error !== undefined &&
    deadTokenErrors.includes(error) &&
    status < 500 &&
    (status < 300 || status >= 400)
  ) {
    return { verdict: 'final', code: error };
  }
  // "Later" is said by the status, whatever error stands beside it, but for the one that is definite.
  if (NOT_PROCESSED_STATUSES.has(status) && (error !== 'invalid_grant' || status >= 500)) {
    const code = error !== undefined && TEMPORARY_ERRORS.has(error) ? error : `http_${status}`;
    return { verdict: 'not_processed', code, retryAfterSeconds };
  }
  // Some servers report failures inside a 200.
  if (error !== undefined && (status < 300 || status >= 400)) {
    const verdict = judgeOAuthError(error, status, retryAfterSeconds);
    if (verdict) return verdict;
  }
  return {
    verdict: 'unknown',
    code:
      (status < 300 || (status >= 400 && status < 500)) && error !== undefined && PLAIN_CODE.test(error)
        ? error
        : body === undefined
          ? `http_${status}_not_json`
          : `http_${status}`,
    retryAfterSeconds,
  };
}

/** Verdict for an OAuth error code; undefined for one we do not know on a status that speaks for itself. */
function judgeOAuthError(
  error: string,
  status: number,
  retryAfterSeconds: number | undefined,
): Verdict | undefined {
  switch (error) {
    case 'invalid_grant':
      return status < 500 ? { verdict: 'final', code: error } : undefined;
    case 'invalid_client':
    case 'unauthorized_client':
      return { verdict: 'client_invalid', code: error };
    case 'server_error':
    case 'temporarily_unavailable':
      return { verdict: 'not_processed', code: error, retryAfterSeconds };
    case 'invalid_request':
    case 'invalid_scope':
    case 'invalid_target':
    case 'unsupported_grant_type':
      return { verdict: 'config_error', code: error };
    default:
      return undefined;
  }
}
