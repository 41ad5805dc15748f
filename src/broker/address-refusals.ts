/**
 * Refusals of callers nobody knows, by the address they come from: how many are let try, and what the audit trail tells.
 *
 * All agents of a machine share one address, so what is limited is refusals and not requests: a key that is valid is
 * never asked where it comes from. The trail has one row for each address and minute, or strangers would keep the disk
 * busy; and neither part remembers more than some thousand addresses.
 */
import type { Clock } from '../clock.ts';
import { type Bucket, formatRate, type RateLimit, takeRequest } from '../core/rate-limit.ts';
import { BrokerError } from '../errors.ts';
import { forNobody } from '../request-context.ts';
import type { Context } from './context.ts';

/** Addresses remembered at most. */
const MOST_ADDRESSES = 10_000;

/** Addresses whose first refusal is written at once, in one minute; those of a crowd wait for its end. */
const MOST_AT_ONCE = 100;

const A_MINUTE_MS = 60_000;

/** Of addresses for which there was no room. */
const OTHERS = 'others';

/** Counts a refusal. Throws `rate_limited` when this address had too many; then it is told that and nothing else. */
export type Throttle = (address: string) => void;

/** @param limit null: none */
export function createThrottle(clock: Pick<Clock, 'now'>, limit: RateLimit | null): Throttle {
  const buckets = new Map<string, Bucket>();
  return (address) => {
    if (limit === null) return;
    const { bucket, waitMs } = takeRequest(buckets.get(address), limit, clock.now());
    // Put at the end: whoever was refused longest ago is forgotten first.
    buckets.delete(address);
    buckets.set(address, bucket);
    const [oldest] = buckets.keys();
    if (buckets.size > MOST_ADDRESSES && oldest !== undefined) buckets.delete(oldest);
    if (waitMs > 0) throw tooMany(limit, Math.ceil(waitMs / 1000));
  };
}

export interface AddressTally {
  /** Counts a refusal. The first of an address is in the audit trail when this resolves. Never rejects. */
  count(address: string): Promise<void>;
  /** Writes what was counted and not yet written. Nothing may be counted any more. */
  close(): Promise<void>;
}

/** Counts for the audit trail: the first refusal of an address at once, the rest at the end of each minute. */
export function createAddressTally({
  vault,
  clock,
  log,
}: Pick<Context, 'vault' | 'clock' | 'log'>): AddressTally {
  /** Refusals by address that are not written yet. */
  const unwritten = new Map<string, number>();
  let atOnce = 0;
  let minutes: Promise<void> | undefined;
  const closing = new AbortController();

  async function write(counts: [string, number][]): Promise<void> {
    const records = counts.map(([address, count]) => ({
      ...{ actor: `address:${address}`, action: 'authenticate', outcome: 'unauthenticated' },
      detail: { count },
    }));
    try {
      await vault.transaction(() => vault.audit.appendAll(records));
    } catch (error) {
      // An answer to a stranger does not wait for the disk, and is not lost by it.
      for (const [address, count] of counts) unwritten.set(address, (unwritten.get(address) ?? 0) + count);
      log.error({ err: error }, 'refused keys could not be written down yet');
    }
  }

  /** The end of a minute: whoever was quiet in it is forgotten. */
  async function writeAll(): Promise<void> {
    const counts = [...unwritten].filter(([, count]) => count > 0);
    unwritten.clear();
    atOnce = 0;
    for (const [address] of counts) unwritten.set(address, 0);
    if (counts.length > 0) await write(counts);
  }

  async function watch(): Promise<void> {
    while (unwritten.size > 0 && !closing.signal.aborted) {
      await clock.wait(A_MINUTE_MS, closing.signal).catch(() => {});
      await writeAll();
    }
    minutes = undefined;
  }

  return {
    async count(caller) {
      const address = unwritten.has(caller) || unwritten.size < MOST_ADDRESSES ? caller : OTHERS;
      const before = unwritten.get(address);
      const isFirst = before === undefined && atOnce < MOST_AT_ONCE;
      unwritten.set(address, isFirst ? 0 : (before ?? 0) + 1);
      minutes ??= forNobody(watch);
      if (!isFirst) return;
      atOnce += 1;
      await write([[address, 1]]);
    },
    async close() {
      closing.abort();
      await minutes;
      await writeAll();
    },
  };
}

function tooMany(limit: RateLimit, retryAfterSeconds: number): BrokerError {
  return new BrokerError(
    'rate_limited',
    `more than ${formatRate(limit)} keys from this address were refused`,
    {
      hint: 'stop sending the key that is refused: an operator gives out another with broker agent rotate <name>; a valid key is answered at any time',
      retryAfterSeconds,
    },
  );
}
