/**
 * Tokens handed out and calls let through, written down in batches.
 *
 * A synced write for each would make the disk the limit, so they go together, at most 100 ms late. A SIGKILL can lose that much of the record; logins, refreshes and refusals are written before the answer.
 */
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { forNobody } from '../request-context.ts';
import { markAgentUsed } from '../vault/agents.ts';
import type { AuditRecord } from '../vault/audit.ts';
import { markUsed } from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import type { Vault } from '../vault/index.ts';

const BATCH_MS = 100;

/** Kept in memory at most while the vault cannot be written. */
const MOST_WAITING = 10_000;

export interface HandOut {
  record: AuditRecord;
  /** Undefined: none was needed. */
  connectionId: string | undefined;
  /** Undefined: handed to the operator. */
  agentName: string | undefined;
}

export interface HandOuts {
  add(handOut: HandOut): void;
  /** How many are not written yet. */
  waiting(): number;
  /** Writes what is waiting. Nothing may be added any more. */
  close(): Promise<void>;
}

/** Collects hand-outs and writes them together. */
export function createHandOuts(vault: Vault, clock: Clock, log: Log): HandOuts {
  let waiting: HandOut[] = [];
  let isScheduled = false;
  let writing: Promise<void> = Promise.resolve();
  const closing = new AbortController();

  /** One after the other: while the vault is locked there is one that waits, not one for each batch. */
  function flush(): Promise<void> {
    writing = writing.catch(() => {}).then(writeWaiting);
    return writing;
  }

  async function writeWaiting(): Promise<void> {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    try {
      await vault.transaction(() => write(vault, batch, clock.now()));
    } catch (error) {
      waiting = [...batch, ...waiting];
      throw error;
    }
  }

  async function flushSoon(): Promise<void> {
    isScheduled = true;
    await clock.wait(BATCH_MS, closing.signal).catch(() => {});
    // Then closing writes.
    if (closing.signal.aborted) return;
    await flush().catch((error: unknown) =>
      log.error({ err: error, waiting: waiting.length }, 'the audit trail could not be written yet'),
    );
    const lost = waiting.splice(0, waiting.length - MOST_WAITING).length;
    if (lost > 0) log.error({ lost }, 'tokens were handed out that the audit trail will not tell of');
    isScheduled = false;
    if (waiting.length > 0) void flushSoon();
  }

  return {
    add(handOut) {
      waiting.push(handOut);
      if (!isScheduled) void forNobody(flushSoon);
    },
    waiting: () => waiting.length,
    async close() {
      closing.abort();
      await flush();
    },
  };
}

function* write(vault: Vault, batch: HandOut[], now: number): Steps<void> {
  yield* vault.audit.appendAll(batch.map(({ record }) => record));
  for (const id of new Set(batch.flatMap(({ connectionId }) => connectionId ?? []))) yield* markUsed(id, now);
  for (const name of new Set(batch.flatMap(({ agentName }) => agentName ?? [])))
    yield* markAgentUsed(name, now);
}
