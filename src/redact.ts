/**
 * What may stand in a log line, decided by what a value is, and not by who logs it.
 *
 * Secrets are `Secret` objects that print as fingerprints. For all that is not ours there are three nets besides:
 * errors are told by name, code and message alone, since libraries hang whole answers onto them; wire fields that hold
 * secrets are told as such at any depth; and text that looks like a credential is cut out of the finished line.
 */
import { BrokerError } from './errors.ts';
import { Secret } from './secret.ts';

/** Names of fields and headers whose values never reach a log line. */
const SECRET_NAMES = new Set([
  ...['access_token', 'refresh_token', 'id_token', 'client_secret', 'registration_access_token'],
  ...['code_verifier', 'device_code', 'client_assertion', 'assertion', 'subject_token', 'actor_token'],
  ...['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'password'],
]);

const REDACTED = '[Redacted]';

/** Deeper, nobody reads. */
const DEEPEST = 5;

/** The value as a log line may hold it. */
export function redacted(value: unknown, depth = 0): unknown {
  if (value instanceof Secret) return value.toString();
  if (value instanceof Error) return describeError(value);
  if (typeof value === 'string') return withoutCredentials(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= DEEPEST) return '[…]';
  if (Array.isArray(value)) return value.map((each) => redacted(each, depth + 1));
  // Streams, requests, headers and bytes: what they hold is foreign, and so is how they print.
  if (!isPlain(value)) return value instanceof Date ? value : `[${value.constructor.name}]`;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name,
      SECRET_NAMES.has(name.toLowerCase()) && !(each instanceof Secret)
        ? REDACTED
        : redacted(each, depth + 1),
    ]),
  );
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * Errors without `cause` and without the rest of their fields: in those of the OAuth libraries stand whole response
 * bodies, tokens included. And without a stack where the failure is one of the world's and its message says it all.
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  if (error instanceof BrokerError && error.code !== 'internal')
    return { code: error.code, message: withoutCredentials(error.message) };
  const { name, stack } = error;
  const message = withoutCredentials(error.message);
  const code = (error as { code?: unknown }).code;
  return {
    ...{ name, message },
    ...(typeof code === 'string' ? { code } : {}),
    // Its first lines are the message once more.
    ...(stack === undefined ? {} : { stack: withoutCredentials(stack) }),
  };
}

/** Text that looks like a credential: messages of libraries quote what they were given. */
const CREDENTIALS: readonly [RegExp, string][] = [
  // Of undici: `Headers.append: "…" is an invalid header value.`
  [/"[\s\S]*"(?= is an invalid header value)/g, `"${REDACTED}"`],
  [/\bmtb_[\w-]{16,}/g, `mtb_${REDACTED}`],
  [/\b(Bearer|Basic|DPoP)(?: |%20|\+)+[\w.~+/=%:-]{8,}/gi, `$1 ${REDACTED}`],
  // JSON Web Tokens.
  [/\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*){1,3}/g, REDACTED],
  // Names and passwords in URLs.
  [/(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#"@]+@/gi, `$1${REDACTED}@`],
  // Parameters of forms and queries, and fields of JSON.
  [
    /\b((?:access|refresh|id|subject|actor|registration_access)_token|client_secret|code_verifier|client_assertion)("?\s*[=:]\s*"?)[^\s&",}]+/gi,
    `$1$2${REDACTED}`,
  ],
];

/** The text without what looks like a credential. */
export function withoutCredentials(text: string): string {
  return CREDENTIALS.reduce((cleaned, [pattern, shown]) => cleaned.replace(pattern, shown), text);
}
