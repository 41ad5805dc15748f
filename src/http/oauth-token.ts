/**
 * `POST /oauth/token`: OAuth clients of any make get tokens with what they can do already, client credentials.
 *
 * Nobody signs in here, so a refusal is never `invalid_grant`, which would send a client into a sign-in of its own.
 */
import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from 'express';
import type { Broker } from '../broker/index.ts';
import { toTokenView } from '../broker/token-view.ts';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { Log } from '../log.ts';
import { peerOf } from './authenticate.ts';
import { invalidRequest, type OAuthRefusal, readTokenRequest } from './client-request.ts';
import { toProblem } from './problem.ts';

export interface OAuthOptions {
  broker: Broker;
  clock: Clock;
  log: Log;
  /** URL under which clients reach us, without a slash at its end. Never taken from a request. */
  baseUrl: string;
}

const FORM = 'application/x-www-form-urlencoded';

/** Requests are a few short words; anything larger is a mistake. */
const BODY_LIMIT = '16kb';

const WELL_KNOWN = '/.well-known/oauth-authorization-server';

/** Keeps answers to the few lines a person reads. */
const LONGEST_DESCRIPTION = 2000;

/** Broker errors in OAuth's words. Not here: a status of 503 is `temporarily_unavailable`, any other `server_error`. */
const REFUSALS: Record<string, Pick<OAuthRefusal, 'status' | 'error'>> = {
  unauthenticated: { status: 401, error: 'invalid_client' },
  bad_request: { status: 400, error: 'invalid_target' },
  not_found: { status: 400, error: 'invalid_target' },
  forbidden: { status: 400, error: 'invalid_target' },
  login_required: { status: 503, error: 'temporarily_unavailable' },
  client_invalid: { status: 503, error: 'temporarily_unavailable' },
  config_error: { status: 503, error: 'temporarily_unavailable' },
  rate_limited: { status: 429, error: 'temporarily_unavailable' },
};

/** Token endpoint and metadata, at their full paths. */
export function oauthRoutes({ broker, clock, log, baseUrl }: OAuthOptions): Router {
  const router = Router();
  const metadata = oauthMetadata(baseUrl);
  // A proxy in front of us may strip the path of the public URL, but not from a well-known address (RFC 8414 §3.1).
  const metadataPaths = new Set([`${WELL_KNOWN}/oauth`, WELL_KNOWN + new URL(metadata.issuer).pathname]);

  router.get(`${WELL_KNOWN}/*path`, (request, response, next) => {
    if (metadataPaths.has(request.path)) response.json(metadata);
    else next();
  });

  router.all('/oauth/authorize', () => {
    throw new BrokerError('bad_request', 'nobody signs in here', {
      hint: 'agents: POST /oauth/token with grant_type=client_credentials; operators: broker login <url>',
    });
  });

  const form = express.text({ type: FORM, limit: BODY_LIMIT });
  router.post(
    '/oauth/token',
    requireForm,
    form,
    async (request: Request, response: Response) => {
      const asked = readTokenRequest(request.headers, String(request.body ?? ''));
      if ('refused' in asked) {
        await noteRefusedKey(broker, request, asked.refused);
        return refuse(response, asked.refused);
      }
      const caller = await broker.agents.authenticateClient(asked.client, peerOf(request));
      if (asked.grantType !== 'client_credentials') return refuse(response, UNSUPPORTED_GRANT_TYPE);
      const token = await broker.tokenForClient(caller, asked);
      const { access_token, token_type, expires_in, scope } = toTokenView(token, clock.now());
      response.set('Pragma', 'no-cache').json({ access_token, token_type, expires_in, scope });
    },
    answerWithOAuthError(log),
  );

  return router;
}

/** What is wrong with the form is nobody's key. Throws `rate_limited`. */
async function noteRefusedKey(
  { agents }: Broker,
  request: Request,
  { error, isChallenge }: OAuthRefusal,
): Promise<void> {
  if (error !== 'invalid_client') return;
  const isNone = request.headers.authorization === undefined && isChallenge === true;
  await agents.refuse(isNone ? 'missing' : 'malformed', peerOf(request));
}

const UNSUPPORTED_GRANT_TYPE: OAuthRefusal = {
  status: 400,
  error: 'unsupported_grant_type',
  description: 'only client_credentials is granted here; ask again with it whenever a token has ended',
};

/** What `oauthMetadata` tells. */
export type OAuthMetadata = ReturnType<typeof oauthMetadata>;

/** RFC 8414 §2. The MCP SDKs refuse metadata without the first two fields of the second half. */
function oauthMetadata(baseUrl: string) {
  return {
    issuer: `${baseUrl}/oauth`,
    token_endpoint: `${baseUrl}/oauth/token`,
    grant_types_supported: ['client_credentials'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    authorization_endpoint: `${baseUrl}/oauth/authorize`,
    response_types_supported: [],
  };
}

/** Parameters anywhere else than in a form would be passed over, and with them what the client wanted. */
const requireForm: RequestHandler = (request, response, next) => {
  if (request.headers['content-type'] === undefined)
    refuse(response, invalidRequest(`send the parameters as ${FORM}`).refused);
  else if (request.is(FORM) === false)
    refuse(response, invalidRequest(`the body is not declared as ${FORM}`, 415).refused);
  else if (request.url.includes('?'))
    refuse(response, invalidRequest('parameters belong into the body, not into the URL').refused);
  else next();
};

/** The one error handler of the token endpoint. */
function answerWithOAuthError(log: Log): ErrorRequestHandler {
  return (error, request, response, next) => {
    if (response.headersSent) return next(error);
    const { status: bodyStatus } = (error ?? {}) as { status?: unknown };
    if (!(error instanceof BrokerError) && typeof bodyStatus === 'number' && bodyStatus < 500)
      return refuse(response, invalidRequest('the body could not be read', bodyStatus).refused);
    const { status, code, title, detail, next_step, retry_after } = toProblem(error);
    const refusal = REFUSALS[code] ?? {
      status,
      error: status === 503 ? 'temporarily_unavailable' : 'server_error',
    };
    const where = { method: request.method, path: request.path };
    if (status === 500) log.error({ err: error, ...where }, title);
    else if (status > 500) log.warn({ code, ...where }, detail);
    if (retry_after !== undefined) response.set('Retry-After', String(retry_after));
    const description = next_step === undefined ? detail : `${detail}; next step: ${next_step}`;
    const isChallenge = status === 401 && request.headers.authorization !== undefined;
    refuse(response, { ...refusal, description, isChallenge });
  };
}

function refuse(response: Response, { status, error, description, isChallenge = false }: OAuthRefusal): void {
  // Only when asked by header: some clients look at nothing else once they see a challenge.
  if (isChallenge) response.set('WWW-Authenticate', 'Basic realm="mcp-token-broker", charset="UTF-8"');
  response.status(status).json({ error, error_description: speakable(description) });
}

/** The characters RFC 6749 §5.2 has for descriptions: ASCII without quotes and backslashes. */
function speakable(text: string): string {
  return text
    .replaceAll('"', "'")
    .replace(/[^\x20-\x7e]|\\/g, '?')
    .slice(0, LONGEST_DESCRIPTION);
}
