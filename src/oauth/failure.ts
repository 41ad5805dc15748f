/** Foreign failures made into ours: the one file that knows how undici, TLS and OAuth servers spell them. */
import { BrokerError, quote, systemCode } from '../errors.ts';

/** Failures before any byte of the request left. Everything else may have reached the server. */
const NOT_SENT = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_NODATA',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'ADDRESS_REFUSED',
]);

/** Node's names for certificates it does not accept. */
const CERTIFICATE =
  /^(CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH$|EPROTO$)/;

export interface NetworkFailure {
  /** Lower-case code, such as `econnrefused` or `timeout`. */
  code: string;
  /** Whether bytes of the request may have reached the server. */
  maybeSent: boolean;
}

/** What went wrong on the wire. */
export function readNetworkFailure(error: unknown): NetworkFailure {
  if ((error as { name?: unknown })?.name === 'TimeoutError') return { code: 'timeout', maybeSent: true };
  for (
    let each: unknown = error;
    each !== undefined && each !== null;
    each = (each as { cause?: unknown }).cause
  ) {
    // Codes of our own errors are not those of the wire; what caused them may have one.
    const code = each instanceof BrokerError ? undefined : systemCode(each);
    if (code === undefined) continue;
    if (NOT_SENT.has(code)) return { code: code.toLowerCase(), maybeSent: false };
    if (CERTIFICATE.test(code)) return { code: 'tls_failed', maybeSent: false };
    return { code: code.toLowerCase(), maybeSent: true };
  }
  return { code: 'no_answer', maybeSent: true };
}

const NETWORK_MESSAGES: Record<string, string> = {
  enotfound: 'the host name is not known',
  eai_again: 'the host name could not be looked up',
  econnrefused: 'the connection was refused',
  ehostunreach: 'the host cannot be reached',
  enetunreach: 'the network cannot be reached',
  und_err_connect_timeout: 'the host does not answer',
  timeout: 'no answer came in time',
  tls_failed: 'its TLS certificate is not accepted',
  body_too_large: 'its answer is larger than 1 MiB',
};

/** A network failure as an error for people: `upstream_unavailable`. BrokerErrors pass unchanged. */
export function networkError(error: unknown, url: string): BrokerError {
  if (error instanceof BrokerError) return error;
  const { code } = readNetworkFailure(error);
  const message = NETWORK_MESSAGES[code] ?? `the connection failed (${code})`;
  return new BrokerError('upstream_unavailable', `${new URL(url).host} cannot be reached: ${message}`, {
    hint:
      code === 'tls_failed'
        ? 'if it uses a private certificate authority, name it with --ca-file'
        : 'check the URL and the network (HTTPS_PROXY and NO_PROXY are honoured), then try again',
    cause: error,
  });
}

/** Enough of a page to find its words in; the rest is not looked at. */
const MAX_READ_OF_PAGE = 2000;

/**
 * `400 invalid_client_metadata "the words"`: why a server refused, in one bounded, quoted line. Of a JSON body
 * only the error is told: what else it holds may be secret.
 */
export function describeRefusal(status: number, text: string): string {
  const body = parseObject(text);
  if (body) {
    const error = typeof body.error === 'string' ? ` ${quote(body.error).slice(1, -1)}` : '';
    const told = [body.error_description, body.message, body.detail].find((each) => typeof each === 'string');
    return `${status}${error}${told === undefined ? '' : ` ${quote(String(told))}`}`;
  }
  const words = text
    .slice(0, MAX_READ_OF_PAGE)
    .replace(/<[^<>]*>/g, ' ')
    .trim();
  return words === '' ? `${status}` : `${status} ${quote(words)}`;
}

/** Deepest nesting of a JSON body. What providers send has three levels; much deeper ones break what walks them. */
const MAX_DEPTH = 32;

/**
 * A JSON object, with fields that are null taken as absent; undefined for anything else, and for one nested more than
 * 32 levels deep. Fields named like what every object has are left out at all levels: `__proto__` would change what
 * the object is, and a `toString` of theirs would make `String(value)` throw.
 */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isObject(value) || Array.isArray(value) || !makeHarmless(value)) return undefined;
    return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null));
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Takes the fields out that could do harm. False when the object is nested too deep. Level by level, not recursive. */
function makeHarmless(root: Record<string, unknown>): boolean {
  let level = [root];
  for (let depth = 0; depth < MAX_DEPTH && level.length > 0; depth += 1) {
    for (const each of level) if (!Array.isArray(each)) dropInheritedNames(each);
    level = level.flatMap((each) => Object.values(each).filter(isObject));
  }
  return level.length === 0;
}

function dropInheritedNames(object: Record<string, unknown>): void {
  for (const name in object) if (name in Object.prototype) delete object[name];
}

/** Seconds asked for by `Retry-After` (RFC 9110 §10.2.3): a number or a date. Undefined: absent or rubbish. */
export function readRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - now) / 1000));
}
