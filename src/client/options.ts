/** What a caller of this library says. The types here are public, so they need no types of Node. */

/** A refresh at a slow provider may be going on behind an answer. */
const DEFAULT_TIMEOUT_MS = 60_000;

/** Timers take no more. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The daemon takes a year at most. */
const LONGEST_MIN_TTL_SECONDS = 31_536_000;

/** As the broker names them: `coda`, or `coda@alice` with an account. */
const CONNECTION_NAME = /^[a-z0-9][a-z0-9._-]{0,62}(@[A-Za-z0-9._+-]{1,64})?$/;

/** Everything but the connection has a default. */
export interface BrokerOptions {
  /** Name of the connection, such as `coda` or `coda@alice`. */
  connection: string;
  /**
   * Where the daemon is: `http://host:port`, `https://host:port` or `unix:/path`. Default `BROKER_URL`, else
   * http://127.0.0.1:8787.
   */
  url?: string | undefined;
  /**
   * The agent key. Default `BROKER_AGENT_KEY`, else the content of the file `BROKER_AGENT_KEY_FILE`; read once, at
   * the first use.
   */
  key?: string | undefined;
  /** Seconds a token should live at least. Default 0. The daemon clamps it to half the token's lifetime. */
  minTtl?: number | undefined;
  /** Milliseconds one answer of the daemon may take. Default 60000. */
  timeoutMs?: number | undefined;
}

/** Fills in what has a fixed default. Throws `TypeError` for what cannot be; no value is in its message. */
export function checkOptions({ connection, minTtl = 0, timeoutMs = DEFAULT_TIMEOUT_MS }: BrokerOptions) {
  if (typeof connection !== 'string' || !CONNECTION_NAME.test(connection)) {
    throw new TypeError('connection must be the name of one, such as coda or coda@alice');
  }
  if (!Number.isInteger(minTtl) || minTtl < 0 || minTtl > LONGEST_MIN_TTL_SECONDS) {
    throw new TypeError('minTtl must be a whole number of seconds, a year at most');
  }
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > LONGEST_TIMEOUT_MS) {
    throw new TypeError('timeoutMs must be a whole number of milliseconds, 1 or more');
  }
  return { connection, minTtl, timeoutMs };
}
