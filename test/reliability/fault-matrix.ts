/**
 * What every fault of a refresh means, as DESIGN §5 wants it: for the connection, for the agents that ask
 * meanwhile, and for the attempts after it. `fault-matrix.test.ts` runs each row at two servers, a
 * strict one of our own and oidc-provider, with the same expectations. Documents are made from the rows.
 */
import type { ConnectionState } from '../../src/core/connection.ts';
import type { Verdict } from '../../src/core/verdict.ts';
import { type FaultName, RETRY_AFTER_SECONDS } from '../support/hostile-faults.ts';

/** What an agent that asks for a token gets. */
export type AgentAnswer =
  | '200'
  | '200 with a warning'
  | '503 upstream_unavailable'
  | '409 login_required'
  | '409 client_invalid'
  | '409 config_error';

/** How the story goes on at the next planned attempt, the server being well again unless `lasts`. */
export type Ending =
  /** The refresh works, and so does the one after it. */
  | 'recovers'
  /** The server had ended the login: a person signs in again, nothing else helps. */
  | 'login_required'
  /** No attempt is planned: a person signs in again. */
  | 'waits for a login';

export interface FaultRow {
  /** Title of the case, unique. */
  name: string;
  fault: FaultName;
  verdict: Verdict['verdict'];
  /** State and its code after the one faulty refresh. */
  state: ConnectionState;
  code: RegExp | null;
  /** Asked while the old access token still lives; this is what causes the refresh. */
  alive: AgentAnswer;
  /** Asked after its end, before the next attempt is due. */
  expired: AgentAnswer;
  /** The server accepts a used refresh token once more for so long. Default 0: reuse revokes. */
  graceMs?: number;
  /** Codes by which this server says `invalid_grant`, as the operator told at the login. */
  deadTokenErrors?: string[];
  /** How often one refresh asks: again in each manner the broker knows, after a refusal that used nothing up. Default 1. */
  manners?: number;
  /** The next attempt comes so much later at the earliest and at the latest. Undefined: none is planned. */
  nextAttemptSeconds?: readonly [number, number];
  /** The fault stays for this long, and the ladder of attempts is climbed. Default: until before the next one. */
  lastsMs?: number;
  ending: Ending;
  /** Refresh tokens shown to the server from the fault to the ending, both included. Jitter may save one of many. */
  presentations: number;
}

/** First step of the ladder, with up to a quarter of jitter. */
const FIRST_STEP = [5, 6.25] as const;
const RETRY_AFTER = [RETRY_AFTER_SECONDS, RETRY_AFTER_SECONDS] as const;

/** A grace window that a prompt second attempt falls into. */
const GRACE_MS = 30_000;

const HOUR_MS = 3_600_000;

type Details = Partial<FaultRow> & { fault: FaultName };

/** The server did nothing: safe to ask again. */
const notProcessed = (fault: FaultName, code: RegExp, details: Partial<FaultRow> = {}): FaultRow => ({
  ...{ name: fault, fault, verdict: 'not_processed', state: 'degraded', code },
  ...{ alive: '200 with a warning', expired: '503 upstream_unavailable' },
  ...{ nextAttemptSeconds: FIRST_STEP, ending: 'recovers', presentations: 2 },
  ...details,
});

/** The server never saw the token. */
const unreachable = (fault: FaultName, code: RegExp): FaultRow =>
  notProcessed(fault, code, { presentations: 1 });

/** Nobody knows whether the server rotated. */
const unknown = (fault: FaultName, code: RegExp, details: Partial<FaultRow> = {}): FaultRow =>
  notProcessed(fault, code, { verdict: 'unknown', state: 'uncertain', ...details });

/** The server rotated, and its answer was lost: inside a grace window nothing happens, else reuse ends the login. */
const committed = (fault: FaultName, code: RegExp): FaultRow[] => [
  unknown(fault, code, { ending: 'login_required' }),
  unknown(fault, code, { name: `${fault}; the server has a grace window`, graceMs: GRACE_MS }),
];

const busy = (status: 408 | 425 | 429 | 503): FaultRow[] => [
  notProcessed(`${status}`, new RegExp(`^http_${status}$`)),
  notProcessed(`${status} with Retry-After in seconds`, new RegExp(`^http_${status}$`), {
    nextAttemptSeconds: RETRY_AFTER,
  }),
  notProcessed(`${status} with Retry-After as a date`, new RegExp(`^http_${status}$`), {
    nextAttemptSeconds: RETRY_AFTER,
  }),
];

/** An odd answer with everything that is needed in it. */
const success = (fault: FaultName): FaultRow => ({
  ...{ name: fault, fault, verdict: 'success', state: 'ok', code: null, alive: '200', expired: '200' },
  ...{ ending: 'recovers', presentations: 2 },
});

/** The first `invalid_grant` is not believed. */
const final = (fault: FaultName, details: Partial<FaultRow> = {}): FaultRow =>
  notProcessed(fault, /^invalid_grant$/, { verdict: 'final', nextAttemptSeconds: [60, 60], ...details });

const clientInvalid = (fault: FaultName, code: RegExp): FaultRow => ({
  ...{ name: fault, fault, verdict: 'client_invalid', state: 'client_invalid', code },
  ...{ alive: '200 with a warning', expired: '409 client_invalid' },
  ...{ ending: 'waits for a login', presentations: 1 },
});

const configError = (details: Details & { code: RegExp }): FaultRow => ({
  ...{ name: details.fault, verdict: 'config_error', state: 'config_error' },
  ...{ alive: '200 with a warning', expired: '409 config_error' },
  ...{ nextAttemptSeconds: FIRST_STEP, ending: 'recovers', presentations: 2 },
  ...details,
});

/** Every row, in the order of the request's way: network, status, body, OAuth. */
export const FAULT_ROWS: readonly FaultRow[] = [
  unreachable('connection refused', /^econnrefused$/),
  unreachable('DNS failure', /^(enotfound|eai_again|eai_nodata)$/),
  unreachable('TLS failure', /^tls_failed$/),
  unknown('reset before commit', /^(econnreset|und_err_socket)$/),
  ...committed('reset after commit', /^(econnreset|und_err_socket)$/),
  unknown('no answer before the deadline', /^timeout$/),
  ...committed('no answer before the deadline, committed', /^timeout$/),
  ...committed('slow loris', /^timeout$/),

  ...busy(408),
  ...busy(425),
  ...busy(429),
  ...busy(503),
  unknown('500', /^http_500_not_json$/),
  ...committed('500, committed', /^http_500_not_json$/),
  unknown('502', /^http_502_not_json$/),
  ...committed('502, committed', /^http_502_not_json$/),
  unknown('504', /^http_504_not_json$/),
  ...committed('504, committed', /^http_504_not_json$/),
  unknown('502', /^http_502_not_json$/, {
    name: '502 for six hours',
    lastsMs: 6 * HOUR_MS,
    // 5 s doubled until six hours are over, and the one that works.
    presentations: 14,
  }),
  notProcessed('server_error', /^server_error$/),
  notProcessed('temporarily_unavailable', /^temporarily_unavailable$/),
  notProcessed('429 with the error invalid_client', /^http_429$/),
  notProcessed('503 with the error invalid_client', /^http_503$/),
  notProcessed('429 with the error invalid_request', /^http_429$/),
  unknown('page of a firewall, 403', /^http_403_not_json$/),
  unknown('page of a captive portal, 200', /^http_200_not_json$/),
  unknown('redirect to a login page', /^http_302_not_json$/),

  ...committed('truncated JSON', /^(econnreset|und_err_socket|und_err_res_content_length_mismatch)$/),
  ...committed('huge body', /^body_too_large$/),
  success('JSON as text/plain'),
  success('expires_in missing'),
  success('expires_in 0'),
  success('expires_in as text'),
  success('expires_in negative'),
  success('token_type missing'),
  success('token_type in other case'),
  success('scope shrunk'),
  success('no refresh token returned'),
  success('a new pair with an error beside it'),
  {
    ...success('token_type DPoP'),
    ...{ state: 'config_error', code: /^unsupported_token_type$/ },
    ...{ alive: '409 config_error', expired: '409 config_error' },
  },

  final('invalid_grant', { name: 'invalid_grant once' }),
  final('invalid_grant', {
    name: 'invalid_grant always',
    lastsMs: Number.POSITIVE_INFINITY,
    ending: 'login_required',
  }),
  final('invalid_grant with 401 and a challenge'),
  final('invalid_grant with 200'),
  clientInvalid('invalid_client with 400', /^invalid_client$/),
  clientInvalid('invalid_client with 401', /^invalid_client$/),
  clientInvalid('dead token called unauthorized_client', /^unauthorized_client$/),
  configError({
    fault: 'dead token called invalid_request',
    code: /^invalid_request$/,
    manners: 3,
    presentations: 4,
  }),
  ...(['unauthorized_client', 'invalid_request', 'bad_refresh_token'] as const).map((error) =>
    final(`dead token called ${error}`, {
      name: `dead token called ${error}, at a server known for it`,
      code: new RegExp(`^${error}$`),
      deadTokenErrors: [error],
    }),
  ),
  final('dead token called bad_refresh_token, with 200', {
    name: 'dead token called bad_refresh_token, with 200, at a server known for it',
    code: /^bad_refresh_token$/,
    deadTokenErrors: ['bad_refresh_token'],
    lastsMs: Number.POSITIVE_INFINITY,
    ending: 'login_required',
  }),
  unknown('dead token called bad_refresh_token', /^bad_refresh_token$/),
  unknown('dead token called bad_refresh_token, with 200', /^bad_refresh_token$/),
];
