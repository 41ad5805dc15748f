/**
 * How long the audit trail is kept. The daemon removes what is older, at most once a day; without a daemon
 * `broker audit prune` does. With it go the rows of the journal of refresh tokens that are as old.
 *
 * Each batch is a transaction of its own that removes, moves the sealed beginning of the trail, and writes down that
 * it did: it can be interrupted between any two.
 */
import { setImmediate } from 'node:timers/promises';
import { BrokerError } from '../errors.ts';
import { readHead } from '../vault/audit-chain.ts';
import { type RemovedRows, removeOldest } from '../vault/audit-retention.ts';
import { listConnections } from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import { removeOldRotations } from '../vault/rotations.ts';
import { timestamp } from './connections.ts';
import type { Context } from './context.ts';

type Parts = Pick<Context, 'vault' | 'clock' | 'log'>;

export interface PruneView {
  /** Audit rows removed. */
  rows: number;
  /** What was written before then, RFC 3339. */
  before: string;
  /** Rows of the journal of refresh tokens removed. */
  journal_rows: number;
}

const DAY_MS = 86_400_000;
/** Whether it is time is looked at so often. */
const LOOK_MS = 3_600_000;
/** A daemon that starts has better things to do. */
const FIRST_LOOK_MS = 60_000;

/**
 * Removes what is older.
 *
 * @param actor who does it, for the trail
 * Throws `vault_unavailable` when the trail is not as it was written. What was removed before stays removed.
 */
export async function prune(
  { vault, clock }: Pick<Context, 'vault' | 'clock'>,
  olderThanMs: number,
  actor: string,
  {
    stopping,
    onProgress,
  }: { stopping?: AbortSignal; onProgress?: ((rows: number) => void) | undefined } = {},
): Promise<PruneView> {
  const now = Math.floor(clock.now());
  const before = now - olderThanMs;
  let rows = 0;
  for (;;) {
    const removed = await vault.transaction(() => removeAndTell(vault, before, now, actor));
    if (removed.kind === 'not_intact') throw notIntact(removed.sequence);
    if (removed.kind === 'none') break;
    rows += removed.rows;
    onProgress?.(rows);
    if (!removed.isMore || stopping?.aborted) break;
    // Others have waited for their turn.
    await setImmediate();
  }
  const journalRows = await pruneJournal(vault, before);
  return { rows, before: timestamp(before), journal_rows: journalRows };
}

function* removeAndTell(
  { audit, sealer }: Context['vault'],
  before: number,
  now: number,
  actor: string,
): Steps<RemovedRows> {
  const removed = yield* removeOldest(sealer.mac, before, now);
  if (removed.kind === 'removed') {
    const { rows, through } = removed;
    const detail = { rows, through, before: timestamp(before) };
    yield* audit.append({ actor, action: 'audit.prune', outcome: 'ok', detail });
  }
  return removed;
}

async function pruneJournal(vault: Context['vault'], before: number): Promise<number> {
  let rows = 0;
  for (const { id, generation } of await vault.run(() => listConnections())) {
    rows += await vault.run(() => removeOldRotations(id, generation, before));
    await setImmediate();
  }
  return rows;
}

function notIntact(sequence: number | undefined): BrokerError {
  const where = sequence === undefined ? 'at its sealed ends' : `from row ${sequence} on`;
  return new BrokerError(
    'vault_unavailable',
    `the audit trail is not as it was written ${where}: nothing of it is removed`,
    { hint: 'broker audit verify tells more; keep a copy of the vault for whoever looks into it' },
  );
}

export interface Retention {
  stop(): Promise<void>;
}

/** Removes what is older than this, at most once a day, until stopped. */
export function startRetention(parts: Parts, keepMs: number): Retention {
  const { clock, log } = parts;
  const stopping = new AbortController();
  let lastAt: number | null = null;

  async function look(): Promise<void> {
    if (!isDayAgo(lastAt, clock.now()) || !isDayAgo(await removedAt(parts), clock.now())) return;
    lastAt = clock.now();
    const { rows, before, journal_rows } = await prune(parts, keepMs, 'scheduler', {
      stopping: stopping.signal,
    });
    if (rows > 0) log.info({ rows, before, journal_rows }, 'old rows of the audit trail were removed');
  }

  async function loop(): Promise<void> {
    await clock.wait(FIRST_LOOK_MS, stopping.signal).catch(() => {});
    while (!stopping.signal.aborted) {
      await look().catch((error: unknown) =>
        log.error({ err: error }, 'old rows of the audit trail could not be removed'),
      );
      await clock.wait(LOOK_MS, stopping.signal).catch(() => {});
    }
  }

  const looping = loop();
  return {
    async stop() {
      stopping.abort();
      await looping;
    },
  };
}

/** When somebody did it last, this process or another. Null: nobody yet. */
async function removedAt({ vault }: Parts): Promise<number | null> {
  return (await vault.run(() => readHead(vault.sealer.mac)))?.removedAt ?? null;
}

/** What lies ahead was written before the clock was set back. */
function isDayAgo(at: number | null, now: number): boolean {
  return at === null || now - at >= DAY_MS || at > now;
}
