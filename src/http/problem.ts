/** Errors as `application/problem+json` (RFC 9457): each code with its title. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorRequestHandler, RequestHandler } from 'express';
import { statusOf } from '../core/error-status.ts';
import { BrokerError, type ErrorCode } from '../errors.ts';
import type { Log } from '../log.ts';
import { requestIdHeader } from '../request-context.ts';
import { SAFE_HEADERS } from './guard.ts';

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  connection?: string;
  next_step?: string;
  retry_after?: number;
}

/** Of a server that nobody could sign in to, whoever asks. */
const NO_LOGIN = 'a login there cannot begin';

/** For each code that has a status. */
export const TITLES: Partial<Record<ErrorCode, string>> = {
  bad_request: 'the request makes no sense',
  unauthenticated: 'a valid agent key is needed',
  forbidden: 'not allowed',
  not_found: 'not found',
  login_required: 'an operator must sign in again',
  client_invalid: 'the client registration is gone',
  config_error: 'the connection cannot work as it is',
  discovery_failed: NO_LOGIN,
  no_login_needed: NO_LOGIN,
  issuer_mismatch: NO_LOGIN,
  resource_mismatch: NO_LOGIN,
  pkce_unsupported: NO_LOGIN,
  registration_refused: NO_LOGIN,
  login_refused: NO_LOGIN,
  rate_limited: 'too soon',
  upstream_unavailable: 'the provider cannot be used at the moment',
  save_failed: 'the vault cannot be written at the moment',
  vault_locked: 'the vault is busy',
  vault_unavailable: 'the vault cannot be used at the moment',
};

/** Codes whose story is the operator's: agents get a bare `internal`. */
const INTERNAL = { status: 500, title: 'internal error' };

/** What the caller is told. Unknown errors become a bare 500. */
export function toProblem(error: unknown): Problem {
  const known = error instanceof BrokerError ? statusOf(error) : undefined;
  if (!(error instanceof BrokerError) || !known) {
    return {
      ...base('internal', INTERNAL),
      detail: 'something went wrong here; the log of the daemon tells more',
    };
  }
  const { status, retryAfterSeconds: retryAfter } = known;
  return {
    ...base(error.code, { status, title: TITLES[error.code] ?? error.code }),
    detail: error.message,
    ...(error.connection === undefined ? {} : { connection: error.connection }),
    ...(error.hint === undefined ? {} : { next_step: error.hint }),
    ...(retryAfter === undefined ? {} : { retry_after: retryAfter }),
  };
}

/** The last handler for requests no route took. */
export const noSuchRoute: RequestHandler = (request) => {
  const isSignIn = SIGN_IN.test(request.path);
  throw new BrokerError('not_found', `there is no ${request.method} ${request.path}`, {
    hint: isSignIn
      ? 'agents do not sign in here: send the agent key as Authorization: Bearer mtb_…, and check it if you do'
      : 'docs/api.md lists the routes',
  });
};

/** What MCP clients try after a 401, and show their users the answer to. */
const SIGN_IN = /^\/(register|authorize|token)$|^\/\.well-known\/(oauth|openid)/;

/** The one error handler of the app. */
export function answerWithProblem(log: Log): ErrorRequestHandler {
  return (error, request, response, next) => {
    if (response.headersSent) return next(error);
    sendProblem(request, response, error, log);
  };
}

/** Answers with the error, which is also logged where it is ours. The answer must not have begun. */
export function sendProblem(
  request: IncomingMessage & { originalUrl?: string },
  response: ServerResponse,
  error: unknown,
  log: Log,
): void {
  const problem = toProblem(translateBodyError(error));
  // The body parser's own status tells a body that is too large from one that is not JSON.
  if ((error as { type?: unknown } | undefined)?.type === 'entity.too.large') problem.status = 413;
  const { method, originalUrl = request.url ?? '' } = request;
  const where = { method, path: originalUrl.split('?')[0] };
  if (problem.status === 500) log.error({ err: error, ...where }, problem.title);
  // Everybody is told so while a provider is down: a word for each, not a page.
  else if (problem.status > 500) log.warn({ code: problem.code, ...where }, problem.detail);
  const body = JSON.stringify(problem);
  response.writeHead(problem.status, {
    'Content-Type': 'application/problem+json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    ...SAFE_HEADERS,
    ...requestIdHeader(),
    ...(problem.retry_after === undefined ? {} : { 'Retry-After': String(problem.retry_after) }),
    ...(problem.status === 401 ? { 'WWW-Authenticate': 'Bearer realm="mcp-token-broker"' } : {}),
  });
  response.end(body);
}

function base(code: string, { status, title }: { status: number; title: string }): Omit<Problem, 'detail'> {
  return { type: `urn:mcp-token-broker:error:${code}`, title, status, code };
}

/** Errors of express and its body parser: they carry a status below 500 and say whose fault it is. */
function translateBodyError(error: unknown): unknown {
  const { status, type } = (error ?? {}) as { status?: unknown; type?: unknown };
  if (error instanceof BrokerError || typeof status !== 'number' || status >= 500) return error;
  const message = type === 'entity.too.large' ? 'the body is too large' : 'the request could not be read';
  return new BrokerError('bad_request', message, {
    hint: 'send a small JSON object, or no body',
    cause: error,
  });
}
